//! Plans of several engine versions beside each other.

use super::columns::{Align, columns};
use super::style::{DIM, RESET};
use crate::report::ComparisonReport;

/// Shown where a plan has no such line.
const ABSENT: &str = "—";

/// What differs, one line each, one column a version.
#[must_use]
pub fn comparison_text(report: &ComparisonReport) -> String {
    let version = |plan: &crate::report::PlanReport| format!("{} {}", plan.engine.name, plan.engine.version);
    let mut rows = vec![std::iter::once(String::new()).chain(report.plans.iter().map(version)).collect::<Vec<_>>()];
    for difference in &report.differences {
        let values = difference.values.iter().map(|value| value.clone().unwrap_or_else(|| ABSENT.to_owned()));
        rows.push(std::iter::once(difference.what.clone()).chain(values).collect());
    }
    let mut align = vec![Align::Right; report.plans.len() + 1];
    align[0] = Align::Left;
    let mut lines = columns(&align, &rows);
    if let Some(head) = lines.first_mut() {
        *head = format!("{DIM}{head}{RESET}");
    }
    if report.differences.is_empty() {
        lines.push("no difference".to_owned());
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// The same as a Markdown table.
#[must_use]
pub fn comparison_markdown(report: &ComparisonReport) -> String {
    let mut text = String::from("| |");
    for plan in &report.plans {
        text.push_str(&format!(" {} {} |", plan.engine.name, plan.engine.version));
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(report.plans.len()));
    text.push('\n');
    for difference in &report.differences {
        text.push_str(&format!("| {} |", difference.what));
        for value in &difference.values {
            text.push_str(&format!(" {} |", value.as_deref().unwrap_or(ABSENT)));
        }
        text.push('\n');
    }
    text
}
