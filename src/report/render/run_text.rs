//! How a watched command ended, for a terminal.

use super::columns::printable;
use super::columns::{Align, columns};
use super::style::{RED, RESET, YELLOW};
use crate::report::run::{RunCard, RunReport};
use crate::units::Bytes;

/// Samples shown of each card.
const MOMENTS: usize = 6;

/// The end of a command that failed: how, what the cards held last, what is left behind.
#[must_use]
pub fn run_text(report: &RunReport) -> String {
    let mut lines = Vec::new();
    if let Some(ended) = &report.ended {
        let how = match (ended.exit_code, ended.signal) {
            (_, Some(signal)) => format!("was ended by signal {signal}"),
            (Some(code), None) => format!("ended with exit code {code}"),
            (None, None) => "ended".to_owned(),
        };
        lines.push(format!("shardfit: the command {RED}{how}{RESET} after {:.1} s", ended.seconds));
        if let Some(kills @ 1..) = ended.host_memory_kills {
            lines.push(format!(
                "{YELLOW}the kernel killed {kills} process{} meanwhile for want of host memory{RESET}",
                if kills == 1 { "" } else { "es" }
            ));
        }
    }
    let told = report.phases.iter().map(|phase| match phase.seconds {
        Some(seconds) => format!("{} at {seconds:.1} s", phase.phase),
        None => phase.phase.clone(),
    });
    let told: Vec<String> = told.collect();
    if !told.is_empty() {
        lines.push(format!("it told of: {}", told.join(" → ")));
    }
    lines.extend(cards(report));
    for seen in &report.observed {
        lines.push(format!("{YELLOW}seen on the cards:{RESET} {}", printable(&seen.text)));
    }
    for survivor in &report.survivors {
        let used = survivor.used_bytes.map_or_else(|| "memory".to_owned(), |bytes| format!("{bytes:.2}"));
        let command = survivor.command.as_deref().map_or_else(|| "(its command cannot be read)".to_owned(), printable);
        lines.push(format!("{YELLOW}left behind:{RESET} process {} still holds {used}: {command}", survivor.pid));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn cards(report: &RunReport) -> Vec<String> {
    if report.cards.is_empty() {
        return report.cards_reason.iter().map(|why| format!("the cards were not watched: {why}")).collect();
    }
    let head =
        ["card", "before", "peak", "at", "ours at most", "of", "last samples, in use"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(head).chain(report.cards.iter().map(row)).collect();
    let align = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left];
    columns(&align, &rows)
}

fn row(card: &RunCard) -> Vec<String> {
    let gib = |bytes: Bytes| format!("{bytes:.2}");
    let last = &card.last[card.last.len().saturating_sub(MOMENTS)..];
    vec![
        format!("{} {}", card.card, card.name.as_deref().unwrap_or("?")),
        gib(card.first_used_bytes),
        gib(card.peak_used_bytes),
        format!("{:.0} s", card.peak_seconds),
        card.peak_ours_bytes.map_or_else(|| "?".to_owned(), gib),
        gib(card.capacity_bytes),
        last.iter().map(|moment| gib(moment.used_bytes)).collect::<Vec<_>>().join(" → "),
    ]
}
