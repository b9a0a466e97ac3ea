//! `profiles` as text.

use super::columns::{Align, columns};
use super::style::{DIM, RESET};
use crate::report::{ProfileListReport, ProfileReport};

/// One line a profile.
#[must_use]
pub fn profile_list_text(report: &ProfileListReport) -> String {
    let row = |p: &crate::report::ProfileName| vec![p.kind.clone(), p.id.clone(), p.summary.clone()];
    let rows: Vec<_> = report.profiles.iter().map(row).collect();
    joined(columns(&[Align::Left; 3], &rows))
}

/// One line a figure, and below it where it comes from when that changes.
#[must_use]
pub fn profile_text(report: &ProfileReport) -> String {
    let value = |fact: &crate::report::ProfileFact| match fact.replaced {
        true => format!("{} (not used here: measured)", fact.value),
        false => fact.value.clone(),
    };
    let row = |fact: &crate::report::ProfileFact| vec![fact.name.clone(), value(fact), fact.basis.to_string()];
    let rows: Vec<_> = report.facts.iter().map(row).collect();
    let mut lines = vec![format!("{} {}", report.kind, report.id)];
    let mut source = "";
    for (line, fact) in columns(&[Align::Left; 3], &rows).into_iter().zip(&report.facts) {
        if fact.source != source {
            source = &fact.source;
            lines.push(format!("{DIM}from {source}{RESET}"));
        }
        lines.push(format!("  {line}"));
    }
    joined(lines)
}

fn joined(lines: Vec<String>) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
