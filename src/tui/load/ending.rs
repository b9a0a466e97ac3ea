//! The end of a load from its report.

use crate::report::{LoadReport, ReconciliationLine};
use crate::tui::attended::{Ending, LogLine, Tone};
use crate::units::ByteDelta;

impl Ending {
    /// The verdict of a load: what went wrong, what was found, predicted against observed on each card, how fast it was.
    #[must_use]
    pub fn of_load(report: &LoadReport) -> Self {
        let mut lines = Vec::new();
        if let Some(failure) = &report.failure {
            let at = [
                failure.rank.map(|rank| format!("rank {rank}")),
                failure.tensor.clone(),
                failure.file.clone(),
                Some(format!("{} were on the cards", failure.placed_bytes)),
            ];
            let at: Vec<String> = at.into_iter().flatten().collect();
            lines.push(LogLine::new(Tone::Fault, format!("failed at: {}", at.join(", "))));
        }
        lines.extend(report.findings.iter().map(|finding| LogLine::new(Tone::Warning, format!("finding: {finding}"))));
        lines.extend(report.reconciliation.iter().filter(|line| line.observed_bytes.is_some()).map(reconciled));
        for card in &report.cards {
            if let Some(peak) = card.peak_used_bytes {
                let text = format!("{}: at most {peak:.2} of {:.2} in use", card.device, card.capacity_bytes);
                lines.push(LogLine::new(Tone::Quiet, text));
            }
        }
        if let (Some(seconds), Some(rate)) = (report.read.seconds, report.read.gigabytes_per_second) {
            let word = if report.read.source == "generated" { "generated" } else { "read" };
            let text = format!("{word} {} once in {seconds:.2} s at {rate:.2} GB/s", report.read.file_bytes);
            lines.push(LogLine::new(Tone::Plain, text));
        }
        lines.push(match report.verification.verified {
            Some(true) => LogLine::new(
                Tone::Plain,
                format!(
                    "verified ({}): {} read back and equal",
                    report.verification.mode, report.verification.compared_bytes
                ),
            ),
            _ => LogLine::new(Tone::Quiet, "verified: nothing was compared"),
        });
        lines.push(LogLine::new(Tone::Quiet, format!("the plan for serving: {}", report.plan.verdict.message)));
        Self { is_good: report.confirmed, headline: report.message.clone(), lines }
    }
}

fn reconciled(line: &ReconciliationLine) -> LogLine {
    let difference =
        line.difference_bytes.map_or_else(String::new, |bytes| format!(" ({})", ByteDelta(i128::from(bytes))));
    let observed = line.observed_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
    let text = format!(
        "{} {}: predicted {}, observed {observed}{difference}, {}",
        line.device,
        line.line,
        line.predicted_bytes,
        line.status.replace('_', " ")
    );
    let tone = if line.status == "disagrees" { Tone::Warning } else { Tone::Plain };
    LogLine::new(tone, text)
}
