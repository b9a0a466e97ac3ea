//! `load` as text: predicted, placed and reported, card by card.

use super::columns::{Align, columns};
use super::style::{DIM, GREEN, RED, RESET, YELLOW};
use crate::report::LoadReport;
use crate::units::Bytes;

/// The load for a terminal.
#[must_use]
pub fn load_text(report: &LoadReport) -> String {
    let colour = if report.confirmed { GREEN } else { RED };
    let mut lines = vec![match report.message.split_once(':') {
        Some((word, rest)) => format!("{colour}{word}{RESET}:{rest}"),
        None => format!("{colour}{}{RESET}", report.message),
    }];
    lines.push(format!(
        "{} on {}, {} {}; {}",
        report.plan.model.id.as_deref().unwrap_or(&report.plan.model.architecture),
        report.plan.fleet.cards,
        report.plan.engine.name,
        report.plan.engine.version,
        report.device_reason,
    ));
    lines.push(String::new());
    lines.extend(ranks(report));
    lines.push(String::new());
    lines.extend(cards(report));
    lines.extend(not_exercised(report));
    for finding in &report.findings {
        lines.push(format!("{YELLOW}finding{RESET} {finding}"));
    }
    let rate = report.read.gigabytes_per_second.map(|r| format!(" at {r:.2} GB/s")).unwrap_or_default();
    let seconds = report.read.seconds.map(|s| format!(" in {s:.2} s")).unwrap_or_default();
    let generated = report.read.source == "generated";
    let way = match (report.read.direct_files, report.read.buffered_files) {
        _ if generated => "no file read".to_owned(),
        (0, _) => "through the page cache".to_owned(),
        (_, 0) => "around the page cache".to_owned(),
        (direct, buffered) => format!("{direct} files around the page cache and {buffered} through it"),
    };
    lines.push(format!(
        "{} {} once{seconds}{rate}, {way}; {} readers, staging {}",
        if generated { "generated" } else { "read" },
        report.read.file_bytes,
        report.read.workers,
        report.read.staging_bytes
    ));
    lines.push(match report.verification.verified {
        Some(true) => format!(
            "verified ({}): {} read back and equal",
            report.verification.mode, report.verification.compared_bytes
        ),
        _ => "verified: nothing was compared".to_owned(),
    });
    for warning in &report.warnings {
        lines.push(format!("{YELLOW}warning{RESET} {warning}"));
    }
    lines.push(format!("{DIM}the plan for serving: {}{RESET}", report.plan.verdict.message));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn ranks(report: &LoadReport) -> Vec<String> {
    let beside = report.with != "weights";
    let mut head = vec!["rank", "card", "tensors", "predicted", "placed", "zeros", "arena", "KV", "workspace", "GB/s"];
    if !beside {
        head.retain(|name| !matches!(*name, "KV" | "workspace"));
    }
    let mut aligned = vec![Align::Right; head.len()];
    aligned[1] = Align::Left;
    let mut rows: Vec<Vec<String>> = vec![head.into_iter().map(str::to_owned).collect()];
    for rank in &report.ranks {
        let mut row = vec![
            rank.rank.to_string(),
            rank.device.clone(),
            rank.tensors.to_string(),
            rank.predicted_bytes.to_string(),
            rank.placed_bytes.to_string(),
            rank.zeroed_bytes.to_string(),
            rank.arena_bytes.to_string(),
        ];
        if beside {
            row.extend([created(rank.kv_cache_bytes), created(rank.workspace_bytes)]);
        }
        row.push(rank.gigabytes_per_second.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}")));
        rows.push(row);
    }
    let mut lines = columns(&aligned, &rows);
    if let Some(head) = lines.first_mut() {
        *head = format!("{DIM}{head}{RESET}");
    }
    lines
}

/// Nothing was asked for, or so much.
fn created(bytes: Bytes) -> String {
    if bytes == Bytes::ZERO { "-".to_owned() } else { bytes.to_string() }
}

/// What the driver (or the host's account) says, beside the prediction.
fn cards(report: &LoadReport) -> Vec<String> {
    let mut rows = vec![["card", "line", "predicted", "observed", "status"].map(str::to_owned).to_vec()];
    let exercised = |status: &str| status != "not_exercised";
    for line in report.reconciliation.iter().filter(|l| exercised(&l.status) || l.observed_bytes.is_some()) {
        rows.push(vec![
            line.device.clone(),
            line.line.clone(),
            line.predicted_bytes.to_string(),
            line.observed_bytes.map_or_else(|| "-".to_owned(), |b| b.to_string()),
            line.status.replace('_', " "),
        ]);
    }
    if rows.len() == 1 {
        return Vec::new();
    }
    let mut lines = columns(&[Align::Left, Align::Left, Align::Right, Align::Right, Align::Left], &rows);
    if let Some(head) = lines.first_mut() {
        *head = format!("{DIM}{head}{RESET}");
    }
    lines
}

/// The lines that only the engine would create, once for all cards.
fn not_exercised(report: &LoadReport) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for line in report.reconciliation.iter().filter(|l| l.status == "not_exercised" && l.observed_bytes.is_none()) {
        if !names.contains(&line.line.as_str()) {
            names.push(&line.line);
        }
    }
    (!names.is_empty()).then(|| format!("not exercised, only the engine creates them: {}", names.join(", ")))
}
