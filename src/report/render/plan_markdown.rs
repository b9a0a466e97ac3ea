//! `plan --format markdown`: for pull requests.

use std::fmt::Write as _;

use crate::report::PlanReport;

/// The plan as Markdown.
#[must_use]
pub fn plan_markdown(report: &PlanReport) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "**{}**\n", report.verdict.message);
    let _ = writeln!(
        text,
        "{} on {}, {} {}\n",
        report.model.id.as_deref().unwrap_or(&report.model.architecture),
        report.fleet.cards,
        report.engine.name,
        report.engine.version
    );
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
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "\n> warning: {warning}");
    }
    text
}
