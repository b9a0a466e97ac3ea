//! `plan --explain`: the arithmetic of every line.

use super::columns::{Align, columns};
use crate::report::{PlanReport, RankReport};

/// Each rank's ledger with bounds, basis and formula.
#[must_use]
pub fn plan_explain(report: &PlanReport) -> String {
    let mut lines = vec![report.verdict.message.clone()];
    if let Some(words) = &report.verdict.engine_message {
        lines.push(format!("the engine would say: {words}"));
    }
    for (i, rank) in report.ranks.iter().enumerate() {
        let twin = report.ranks[..i].iter().find(|r| r.lines == rank.lines && r.weights == rank.weights);
        lines.push(String::new());
        lines.push(heading(rank));
        match twin {
            Some(twin) => lines.push(format!("  as rank {}", twin.rank)),
            None => lines.extend(ledger(rank)),
        }
    }
    if !report.rejected_advice.is_empty() {
        lines.push(String::new());
        lines.push("tried, and no help:".to_owned());
        lines.extend(report.rejected_advice.iter().map(|r| format!("  {}: {}", r.change, r.why)));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn heading(rank: &RankReport) -> String {
    let layers = if rank.layers.is_empty() { String::new() } else { format!(", layers {}", rank.layers) };
    let budget = rank.budget_bytes.map(|b| format!(", budget {b}")).unwrap_or_default();
    format!("rank {} on card {} ({}, {}){budget}{layers}", rank.rank, rank.card, rank.gpu, rank.capacity_bytes)
}

fn ledger(rank: &RankReport) -> Vec<String> {
    let mut rows = vec![["  line", "low", "expected", "high", "basis"].map(str::to_owned).to_vec()];
    for line in &rank.lines {
        rows.push(vec![
            format!("  {}: {}", line.component, line.what),
            line.low.to_string(),
            line.expected.to_string(),
            line.high.to_string(),
            line.basis.to_string(),
        ]);
    }
    rows.push(vec!["  total".to_owned(), String::new(), rank.total_bytes.to_string(), String::new(), String::new()]);
    let mut lines = columns(&[Align::Left, Align::Right, Align::Right, Align::Right, Align::Left], &rows);
    lines.push("  arithmetic:".to_owned());
    lines.extend(rank.lines.iter().map(|l| format!("    {} = {} B: {}", l.what, l.expected.0, l.formula)));
    lines.push("  weights by part:".to_owned());
    let parts = rank.weights.iter().filter(|(_, bytes)| bytes.0 > 0);
    lines.extend(parts.map(|(part, bytes)| format!("    {part} = {} B ({bytes})", bytes.0)));
    lines.push(format!(
        "    constructed {} B, of which {} B from files; resident {} B",
        rank.constructed_bytes.0, rank.file_bytes.0, rank.weights_bytes.0
    ));
    lines
}
