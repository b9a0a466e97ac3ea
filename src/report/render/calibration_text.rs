//! `calibrate` as text.

use super::columns::{Align, columns};
use super::style::{DIM, RESET, YELLOW};
use crate::report::CalibrationReport;
use crate::units::Bytes;

/// What was measured, for a terminal.
#[must_use]
pub fn calibration_text(report: &CalibrationReport) -> String {
    let host = &report.host;
    let from = host.read_from.as_deref().map(|path| format!(" ({path})")).unwrap_or_default();
    let mut rows = vec![
        row("host", "memory copy", rate(host.memory_copy_gigabytes_per_second)),
        row("", "read, cached", rate(host.read_cached_gigabytes_per_second)),
        row("", "read, direct", rate(host.read_direct_gigabytes_per_second) + &from),
    ];
    for card in &report.cards {
        rows.extend([
            row(&card.name, "CUDA total", card.capacity_bytes.to_string()),
            row("", "bare context", size(card.bare_context_bytes)),
            row("", "allocations rounded to", size(card.granularity_bytes)),
            row("", "most that fits beside it", size(card.usable_bytes)),
            row("", "pinned memory to card", rate(card.to_card_gigabytes_per_second)),
            row("", "card to pinned memory", rate(card.from_card_gigabytes_per_second)),
            row("", "CPU packs rows below", size(card.pack_below_bytes)),
        ]);
    }
    let mut lines = columns(&[Align::Left, Align::Left, Align::Left], &rows);
    lines.extend(report.notes.iter().map(|note| format!("{YELLOW}note{RESET} {note}")));
    lines.push(match &report.kept_in {
        Some(path) => format!("{DIM}kept in {path}; plans for this machine's cards use it{RESET}"),
        None => format!("{DIM}shown only, nothing was kept{RESET}"),
    });
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn row(subject: &str, what: &str, figure: String) -> Vec<String> {
    vec![subject.to_owned(), what.to_owned(), figure]
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "not measured".to_owned(), |rate| format!("{rate:.2} GB/s"))
}

fn size(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "not measured".to_owned(), |bytes| bytes.to_string())
}
