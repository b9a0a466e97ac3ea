//! `diagnose` for a terminal: the cause first, then the lines it rests on, then what repairs it.

use super::columns::{Align, columns};
use super::style::{DIM, GREEN, RED, RESET, YELLOW};
use crate::engines::Cause;
use crate::oom::Value;
use crate::report::{AgainstReport, BudgetReport, DiagnosisReport, FindingReport, RepairReport};
use crate::units::{ByteDelta, Bytes};

/// Evidence lines shown.
const EVIDENCE: usize = 4;
/// Characters of a quoted line shown.
const QUOTED: usize = 240;
/// Differences shown.
const DIFFERENCES: usize = 12;
/// Repairs shown.
const REPAIRS: usize = 4;

/// The diagnosis as text.
#[must_use]
pub fn diagnosis_text(report: &DiagnosisReport) -> String {
    let mut lines = Vec::new();
    if report.findings.is_empty() {
        lines.push(format!("{GREEN}nothing found{RESET}: no failure of memory in {}", logs(report)));
    }
    for (i, finding) in report.findings.iter().enumerate() {
        if i > 0 {
            lines.push(String::new());
            lines.push(format!("{DIM}then{RESET}"));
        }
        lines.extend(text_of(finding));
    }
    if !report.findings.is_empty() {
        lines.push(String::new());
        lines.push(format!("{DIM}{}{RESET}", origin(report)));
    }
    if let Some(against) = &report.against {
        lines.push(String::new());
        lines.extend(differences(against));
    }
    for note in &report.notes {
        lines.push(format!("{YELLOW}note{RESET} {note}"));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// What another log states differently.
pub(super) fn differences(against: &AgainstReport) -> Vec<String> {
    let outcome = against.cause.map_or_else(|| "no failure".to_owned(), |cause| cause.to_string());
    let mut lines = vec![format!("against {} ({outcome}):", against.name)];
    if against.differences.is_empty() {
        lines.push("  both state the same".to_owned());
    }
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let rows: Vec<Vec<String>> = std::iter::once(["  what", "here", "there", "moved"].map(str::to_owned).to_vec())
        .chain(against.differences.iter().take(DIFFERENCES).map(|d| {
            let moved = d.moved_bytes.map_or_else(String::new, |b| ByteDelta(i128::from(b)).to_string());
            vec![format!("  {}", d.name), value(&d.here), value(&d.there), moved]
        }))
        .collect();
    if rows.len() > 1 {
        lines.extend(
            columns(&[Align::Left, Align::Right, Align::Right, Align::Right], &rows)
                .iter()
                .map(|l| l.trim_end().to_owned()),
        );
    }
    if against.differences.len() > DIFFERENCES {
        lines.push(format!("  … and {} more (--format json has all)", against.differences.len() - DIFFERENCES));
    }
    lines
}

/// What was read, by which engine it was written.
pub(super) fn origin(report: &DiagnosisReport) -> String {
    let engine = match (&report.engine, &report.engine_version) {
        (Some(engine), Some(version)) => format!("{engine} {version}"),
        (Some(engine), None) => format!("{engine}, version not stated"),
        (None, _) => "engine not stated".to_owned(),
    };
    let echoes = match report.consequences {
        0 => String::new(),
        1 => ", 1 message that follows from it".to_owned(),
        n => format!(", {n} messages that follow from it"),
    };
    format!("{}: {engine}{echoes}", logs(report))
}

pub(super) fn logs(report: &DiagnosisReport) -> String {
    match report.files.as_slice() {
        [] => "no log".to_owned(),
        [one] => format!("{} ({} lines)", one.name, one.lines),
        several => format!("{} logs, from {}", several.len(), several[0].name),
    }
}

/// The first line: the cause, where, and how sure.
#[must_use]
pub fn headline(finding: &FindingReport) -> String {
    let device = finding.device.map(|d| format!(" on card {d}")).unwrap_or_default();
    let rank = finding.rank.map(|r| format!(", rank {r}")).unwrap_or_default();
    let stage = finding.stage.map(|s| format!(", {}", s.when())).unwrap_or_default();
    match finding.cause {
        Cause::Unknown => format!("cannot tell{device}{rank}{stage}"),
        cause => format!("{cause}{device}{rank}{stage} ({} confidence)", finding.confidence.name()),
    }
}

fn text_of(finding: &FindingReport) -> Vec<String> {
    let colour = if finding.cause == Cause::Unknown { YELLOW } else { RED };
    let mut lines = vec![format!("{colour}{}{RESET}", headline(finding)), format!("  {}", finding.why), String::new()];
    for evidence in finding.evidence.iter().take(EVIDENCE) {
        lines.push(format!("  {DIM}{}:{}{RESET} {}", evidence.file, evidence.line, shortened(&evidence.text)));
    }
    for matched in finding.fingerprint.iter().take(2) {
        lines.push(format!("  {DIM}size{RESET} {}", matched.text));
    }
    if let Some(budget) = &finding.budget {
        lines.push(String::new());
        lines.extend(ledger(budget));
    }
    if !finding.rejected.is_empty() {
        lines.push(String::new());
    }
    for rejected in &finding.rejected {
        lines.push(format!("  {DIM}not {}{RESET}: {}", rejected.cause, rejected.why));
    }
    if !finding.repairs.is_empty() {
        lines.push(String::new());
    }
    for (i, repair) in finding.repairs.iter().take(REPAIRS).enumerate() {
        lines.push(format!("  {GREEN}{}{RESET} {}", if i == 0 { "repair" } else { "    or" }, repair_text(repair)));
        if let Some(command) = repair.command.as_ref().filter(|_| i == 0) {
            lines.push(format!("         as `{command}`"));
        }
    }
    for rejected in &finding.rejected_repairs {
        lines.push(format!("  {DIM}will not help{RESET} {}: {}", rejected.change, rejected.why));
    }
    lines
}

/// A repair in one line.
#[must_use]
pub fn repair_text(repair: &RepairReport) -> String {
    let flags = if repair.flags.is_empty() {
        repair.change.clone()
    } else {
        format!("`{}` ({})", repair.flags.join(" "), repair.change)
    };
    let state = match (&repair.predicted, &repair.reason) {
        (Some(predicted), _) if repair.confirmed && predicted.state == "tight" => {
            format!("{} to spare, tight", predicted.headroom_bytes)
        }
        (Some(predicted), _) if repair.confirmed => format!("{} to spare", predicted.headroom_bytes),
        (_, Some(reason)) => format!("not confirmed: {reason}"),
        _ if repair.confirmed => "confirmed".to_owned(),
        _ => "not confirmed".to_owned(),
    };
    format!("{flags}: {state}; price: {}", repair.price)
}

fn ledger(budget: &BudgetReport) -> Vec<String> {
    let size = |bytes: Option<Bytes>| bytes.map_or_else(|| "-".to_owned(), |b| format!("{b:.2}"));
    let mut rows = vec![["  where the card's memory went", "log", "plan", ""].map(str::to_owned).to_vec()];
    for line in &budget.lines {
        let mark = if line.larger_than_planned { "larger than planned" } else { "" };
        rows.push(vec![
            format!("  {}", line.component.replace('_', " ")),
            size(line.stated_bytes),
            size(line.planned_bytes),
            mark.to_owned(),
        ]);
    }
    let totals = [("free", budget.free_bytes), ("asked for", budget.requested_bytes), ("card", budget.capacity_bytes)];
    for (name, bytes) in totals {
        if bytes.is_some() {
            rows.push(vec![format!("  {name}"), size(bytes), String::new(), String::new()]);
        }
    }
    columns(&[Align::Left, Align::Right, Align::Right, Align::Left], &rows)
        .iter()
        .map(|l| l.trim_end().to_owned())
        .collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
