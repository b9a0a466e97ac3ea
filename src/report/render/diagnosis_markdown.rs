//! `diagnose --format markdown`: for issue trackers.

use std::fmt::Write as _;

use super::diagnosis_text::{differences, headline, logs, origin, repair_text};
use crate::report::DiagnosisReport;
use crate::units::Bytes;

/// The diagnosis as Markdown.
#[must_use]
pub fn diagnosis_markdown(report: &DiagnosisReport) -> String {
    let mut text = String::new();
    if report.findings.is_empty() {
        let _ = writeln!(text, "**nothing found**: no failure of memory in {}", logs(report));
    }
    for finding in &report.findings {
        let _ = writeln!(text, "**{}**\n\n{}\n", headline(finding), finding.why);
        let _ = writeln!(text, "```text");
        for evidence in &finding.evidence {
            // A fence inside a quotation would end the block.
            let _ = writeln!(text, "{}:{} {}", evidence.file, evidence.line, evidence.text.replace("```", "'''"));
        }
        let _ = writeln!(text, "```\n");
        for matched in &finding.fingerprint {
            let _ = writeln!(text, "- {}", matched.text);
        }
        if let Some(budget) = &finding.budget {
            let size = |bytes: Option<Bytes>| bytes.map_or_else(|| "-".to_owned(), |b| b.to_string());
            let _ = writeln!(text, "\n| part of the card | log | plan |\n| --- | ---: | ---: |");
            for line in &budget.lines {
                let name = line.component.replace('_', " ");
                let _ = writeln!(text, "| {name} | {} | {} |", size(line.stated_bytes), size(line.planned_bytes));
            }
            let _ = writeln!(text, "| free | {} | |", size(budget.free_bytes));
            let _ = writeln!(text, "| asked for | {} | |", size(budget.requested_bytes));
            let _ = writeln!(text, "| card | {} | |", size(budget.capacity_bytes));
        }
        if !finding.rejected.is_empty() {
            let _ = writeln!(text, "\nConsidered and rejected:\n");
        }
        for rejected in &finding.rejected {
            let _ = writeln!(text, "- `{}`: {}", rejected.cause, rejected.why);
        }
        if !finding.repairs.is_empty() {
            let _ = writeln!(text, "\nRepairs:\n");
        }
        for repair in &finding.repairs {
            let _ = writeln!(text, "- {}", repair_text(repair));
            if let Some(command) = &repair.command {
                let _ = writeln!(text, "  `{command}`");
            }
        }
        for rejected in &finding.rejected_repairs {
            let _ = writeln!(text, "- will not help: {}: {}", rejected.change, rejected.why);
        }
        text.push('\n');
    }
    if !report.findings.is_empty() {
        let _ = writeln!(text, "{}", origin(report));
    }
    if let Some(against) = &report.against {
        let _ = writeln!(text, "\n```text\n{}\n```", differences(against).join("\n"));
    }
    for note in &report.notes {
        let _ = writeln!(text, "\n> {note}");
    }
    text
}
