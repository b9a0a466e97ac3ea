//! The end of a command from its report.

use crate::report::render::{finding_headline, repair_line};
use crate::report::run::{EndReport, RunReport};
use crate::tui::attended::{Ending, LogLine, Tone};
use crate::units::Bytes;

/// Lines of evidence shown.
const EVIDENCE: usize = 3;
/// Repairs shown.
const REPAIRS: usize = 3;

impl Ending {
    /// How a command ended: its code, what its output and the cards say of that, what repairs it.
    #[must_use]
    pub fn of_run(report: &RunReport) -> Self {
        let Some(ended) = &report.ended else {
            return Self { is_good: false, headline: "it was not started".to_owned(), lines: Vec::new() };
        };
        let is_good = ended.exit_code == Some(0);
        let mut lines = Vec::new();
        for finding in report.diagnosis.iter().flat_map(|diagnosis| &diagnosis.findings) {
            lines.push(LogLine::new(Tone::Fault, finding_headline(finding)));
            lines.push(LogLine::new(Tone::Plain, format!("  {}", finding.why)));
            for evidence in finding.evidence.iter().take(EVIDENCE) {
                let place = format!("  {}:{} {}", evidence.file, evidence.line, evidence.text.trim());
                lines.push(LogLine::new(Tone::Quiet, place));
            }
            for (place, repair) in finding.repairs.iter().take(REPAIRS).enumerate() {
                let word = if place == 0 { "repair" } else { "or" };
                lines.push(LogLine::new(Tone::Step, format!("  {word}: {}", repair_line(repair))));
                if let Some(command) = repair.command.as_ref().filter(|_| place == 0) {
                    lines.push(LogLine::new(Tone::Plain, format!("    {command}")));
                }
            }
        }
        if !is_good && lines.is_empty() {
            lines.push(LogLine::new(Tone::Warning, "its output names no failure of memory"));
        }
        if let Some(kills @ 1..) = ended.host_memory_kills {
            let text = format!("processes that the kernel killed meanwhile for want of host memory: {kills}");
            lines.push(LogLine::new(Tone::Warning, text));
        }
        // Of a command that went well nobody asks who else was there.
        for seen in report.observed.iter().filter(|_| !is_good) {
            lines.push(LogLine::new(Tone::Warning, format!("seen on the cards: {}", seen.text)));
        }
        // Cards that it never touched say nothing.
        for card in report.cards.iter().filter(|card| card.peak_ours_bytes != Some(Bytes::ZERO)) {
            let ours = card.peak_ours_bytes.map_or_else(String::new, |ours| format!(", of that {ours:.2} its own"));
            let peak = (card.peak_used_bytes, card.capacity_bytes, card.peak_seconds);
            let text =
                format!("card {}: at most {:.2} of {:.2} in use{ours}, at {:.0} s", card.card, peak.0, peak.1, peak.2);
            lines.push(LogLine::new(Tone::Quiet, text));
        }
        for left in &report.survivors {
            let used = left.used_bytes.map_or_else(|| "memory".to_owned(), |bytes| format!("{bytes:.2}"));
            let command = left.command.as_deref().unwrap_or("its command cannot be read");
            let text = format!("left behind: process {} still holds {used} ({command})", left.pid);
            lines.push(LogLine::new(Tone::Warning, text));
        }
        Self { is_good, headline: headline(ended), lines }
    }
}

fn headline(ended: &EndReport) -> String {
    let time = format!("after {:.1} s", ended.seconds);
    match (ended.exit_code, ended.signal) {
        (_, Some(signal)) => format!("the command was ended by signal {signal} {time}"),
        (Some(0), None) => format!("the command ended well {time}"),
        (Some(code), None) => format!("the command ended with exit code {code} {time}"),
        (None, None) => format!("the command ended {time}"),
    }
}
