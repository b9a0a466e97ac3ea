//! `probe` for pull requests and issue trackers.

use std::fmt::Display;

use super::columns::printable;
use super::probe_text::{link, pairs};
use crate::hardware::Absence;
use crate::report::probe::{CardReport, MemoryReport, ProbeReport, Unlisted};

/// The report as Markdown.
#[must_use]
pub fn render(report: &ProbeReport) -> String {
    let mut out = format!(
        "**Driver {}, CUDA {}**\n\n",
        cell(report.driver_version.as_ref(), report.driver_version_reason),
        cell(report.cuda_version.as_ref(), report.cuda_version_reason),
    );
    let titles = ["#", "name", "total", "reserved", "used", "free", "CUDA total"];
    out.push_str(&table(&titles, report.cards.iter().flat_map(card_rows)));
    let holders: Vec<_> = report.cards.iter().flat_map(holder_rows).collect();
    if !holders.is_empty() {
        out.push('\n');
        out.push_str(&table(&["card", "held", "pid", "user", "by"], holders));
    }
    let groups = report.peer_groups();
    if !groups.is_empty() {
        out.push('\n');
        let rows = groups.iter().map(|group| vec![pairs(&group.pairs, groups.len()), link(group)]);
        out.push_str(&table(&["cards", "link"], rows));
    }
    out.push('\n');
    let mask =
        report.cuda.visible_devices.as_deref().map_or("not set".to_owned(), |mask| format!("`{}`", escape(mask)));
    out.push_str(&format!("CUDA_VISIBLE_DEVICES {mask}, order {}\n\n", report.cuda.device_order));
    let devices = report.cuda.devices.iter().map(|d| {
        vec![
            format!("cuda:{}", d.ordinal),
            d.device.to_string(),
            escape(d.name.as_deref().unwrap_or("-")),
            escape(d.uuid.as_deref().unwrap_or("-")),
        ]
    });
    out.push_str(&table(&["ordinal", "device", "name", "UUID"], devices));
    for note in report.cuda.notes.iter().chain(&report.warnings) {
        out.push_str(&format!("\n> {}\n", escape(note)));
    }
    out
}

fn table(titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = format!("| {} |\n|{}\n", titles.join(" | "), " --- |".repeat(titles.len()));
    for row in rows {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    out
}

fn card_rows(card: &CardReport) -> Vec<Vec<String>> {
    let mut row = vec![card.index.to_string(), cell(card.name.as_ref(), card.name_reason)];
    row.extend(memory_cells(card.memory.as_ref(), card.memory_reason));
    let mut rows = vec![row];
    for instance in card.mig.iter().flat_map(|mig| &mig.instances) {
        let mut row =
            vec![format!("{}/{}", card.index, instance.index), cell(instance.name.as_ref(), instance.name_reason)];
        row.extend(memory_cells(instance.memory.as_ref(), instance.memory_reason));
        rows.push(row);
    }
    rows
}

fn memory_cells(memory: Option<&MemoryReport>, reason: Option<Absence>) -> Vec<String> {
    let Some(memory) = memory else {
        return vec![cell(None::<String>, reason); 5];
    };
    vec![
        memory.total_bytes.to_string(),
        cell(memory.reserved_bytes, memory.reserved_bytes_reason),
        memory.used_bytes.to_string(),
        memory.free_bytes.to_string(),
        cell(memory.cuda_total_bytes, memory.cuda_total_bytes_reason),
    ]
}

fn holder_rows(card: &CardReport) -> Vec<Vec<String>> {
    let place = card.index.to_string();
    let Some(processes) = &card.processes else {
        let words = card.processes_reason.map_or("not told", Absence::words);
        return vec![vec![place, "-".to_owned(), "-".to_owned(), "-".to_owned(), format!("cannot be told: {words}")]];
    };
    let mut rows: Vec<_> = processes
        .iter()
        .map(|process| {
            let name = escape(process.name.as_deref().unwrap_or("not visible from here"));
            vec![
                place.clone(),
                cell(process.used_bytes, process.used_bytes_reason),
                process.pid.to_string(),
                escape(process.user.as_deref().unwrap_or("-")),
                if process.orphan { format!("{name} (orphan: its engine is gone)") } else { name },
            ]
        })
        .collect();
    if let (Some(bytes), Some(meaning)) = (card.unlisted_bytes, card.unlisted_is)
        && (rows.is_empty() || meaning != Unlisted::OwnUse)
    {
        rows.push(vec![place, bytes.to_string(), "-".to_owned(), "-".to_owned(), meaning.words().to_owned()]);
    }
    rows
}

fn cell<T: Display>(value: Option<T>, reason: Option<Absence>) -> String {
    match value {
        Some(value) => escape(&value.to_string()),
        None => reason.map_or("-", Absence::words).to_owned(),
    }
}

/// Text that stays inside its cell.
fn escape(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;")
}
