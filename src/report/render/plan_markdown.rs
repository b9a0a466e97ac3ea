//! `plan --format markdown`: for pull requests.

use std::fmt::Write as _;

use super::plan_text::{assumed, least_certain, subject};
use crate::report::PlanReport;

/// The plan as Markdown.
#[must_use]
pub fn plan_markdown(report: &PlanReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "**{}**\n", report.verdict.message);
    let _ = writeln!(text, "{}\n", subject(report));
    let _ = writeln!(
        text,
        "| rank | card | weights | KV cache | activation | graphs | communication | context | others | total | capacity |"
    );
    let _ = writeln!(text, "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for rank in &report.ranks {
        let _ = writeln!(
            text,
            "| {} | {} {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            rank.rank,
            rank.card,
            rank.gpu,
            rank.weights_bytes,
            rank.kv_cache_bytes,
            rank.activation_bytes,
            rank.cuda_graph_bytes,
            rank.communication_bytes,
            rank.context_bytes,
            rank.other_processes_bytes,
            rank.total_bytes,
            rank.capacity_bytes
        );
    }
    if !report.advice.is_empty() {
        let _ = writeln!(text, "\nRepairs that re-planning confirmed:\n");
        for advice in &report.advice {
            let _ = writeln!(
                text,
                "- `{}`: {} to spare; price: {}",
                advice.flags.join(" "),
                advice.predicted.headroom_bytes,
                advice.price
            );
        }
        if let Some(command) = report.advice.first().and_then(|advice| advice.command.as_ref()) {
            let _ = writeln!(text, "\nThe command with the first:\n\n```sh\n{command}\n```");
        }
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "\n> warning: {warning}");
    }
    let _ = writeln!(text, "\n{}", assumed(report));
    if let Some(weakest) = &report.weakest_line {
        let _ = writeln!(text, "\n{}", least_certain(weakest));
    }
    text
}
