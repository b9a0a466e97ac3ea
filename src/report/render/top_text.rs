//! `top --once` for people and logs.

use std::fmt::Display;

use super::columns::Align::{Left, Right};
use super::columns::{columns, printable, shortened};
use crate::hardware::Absence;
use crate::report::top::{TopCard, TopMemory, TopProcess, TopReport};
use crate::units::Bytes;

const BOLD: &str = "\u{1b}[1m";
const YELLOW: &str = "\u{1b}[33m";
const PLAIN: &str = "\u{1b}[0m";

/// Longest part of a command line shown.
const COMMAND_WIDTH: usize = 60;

/// The report as text, with terminal styles that the caller strips where they do not belong.
#[must_use]
pub fn render(report: &TopReport) -> String {
    let driver = text(report.driver_version.as_ref(), report.driver_version_reason);
    let cuda = text(report.cuda_version.as_ref(), report.cuda_version_reason);
    let mut out = format!("driver {driver} · CUDA {cuda} · memory in GiB\n");
    section(&mut out, "cards", cards(report));
    let traffic = traffic(report);
    if !traffic.is_empty() {
        section(&mut out, "traffic in GB/s", traffic);
    }
    section(&mut out, "processes", processes(report));
    out
}

fn section(out: &mut String, title: &str, lines: Vec<String>) {
    *out += &format!("\n{BOLD}{title}{PLAIN}\n");
    for line in lines {
        out.extend(["  ", &line, "\n"]);
    }
}

fn cards(report: &TopReport) -> Vec<String> {
    let titles =
        ["#", "name", "total", "reserved", "used", "shardfit", "others", "unlisted", "free", "util", "temp", "power"];
    let align = [Left, Left, Right, Right, Right, Right, Right, Right, Right, Right, Right, Right];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(report.cards.iter().map(card_row));
    columns(&align, &rows)
}

fn card_row(card: &TopCard) -> Vec<String> {
    let mut row = vec![card.card.clone(), text(card.name.as_ref(), card.name_reason)];
    row.extend(memory_cells(card.memory.as_ref(), card.memory_reason));
    let percent = card.utilization_percent.map(|percent| format!("{percent} %"));
    let celsius = card.temperature_celsius.map(|celsius| format!("{celsius} °C"));
    let watts = card.power_milliwatts.map(|milliwatts| format!("{:.0} W", f64::from(milliwatts) / 1000.0));
    row.extend([
        text(percent, card.utilization_percent_reason),
        text(celsius, card.temperature_celsius_reason),
        text(watts, card.power_milliwatts_reason),
    ]);
    row
}

/// Bytes over PCIe and NVLink of the cards that told some of it; nothing when none did, as without `--traffic`.
fn traffic(report: &TopReport) -> Vec<String> {
    let rates = |card: &TopCard| {
        [
            (card.pcie_sent_bytes_per_second, card.pcie_sent_bytes_per_second_reason),
            (card.pcie_received_bytes_per_second, card.pcie_received_bytes_per_second_reason),
            (card.nvlink_sent_bytes_per_second, card.nvlink_sent_bytes_per_second_reason),
            (card.nvlink_received_bytes_per_second, card.nvlink_received_bytes_per_second_reason),
        ]
    };
    let told = |card: &&TopCard| rates(card).iter().any(|(rate, _)| rate.is_some());
    let mut rows = vec![["#", "PCIe out", "PCIe in", "NVLink out", "NVLink in"].map(str::to_owned).to_vec()];
    for card in report.cards.iter().filter(told) {
        let cells = rates(card).map(|(rate, reason)| text(rate.map(|b| format!("{:.2}", b.0 as f64 / 1e9)), reason));
        rows.push([&[card.card.clone()][..], &cells].concat());
    }
    if rows.len() == 1 { Vec::new() } else { columns(&[Left, Right, Right, Right, Right], &rows) }
}

fn memory_cells(memory: Option<&TopMemory>, reason: Option<Absence>) -> Vec<String> {
    let Some(memory) = memory else {
        return vec![text(None::<String>, reason); 7];
    };
    vec![
        gib(memory.total_bytes),
        text(memory.reserved_bytes.map(gib), memory.reserved_bytes_reason),
        gib(memory.used_bytes),
        text(memory.own_bytes.map(gib), memory.own_bytes_reason),
        text(memory.other_processes_bytes.map(gib), memory.other_processes_bytes_reason),
        text(memory.unlisted_bytes.map(gib), memory.unlisted_bytes_reason),
        gib(memory.free_bytes),
    ]
}

fn processes(report: &TopReport) -> Vec<String> {
    let mut lines = Vec::new();
    if !report.processes.is_empty() {
        let titles = ["#", "pid", "user", "memory", "command"];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        rows.extend(report.processes.iter().map(process_row));
        lines = columns(&[Left, Right, Left, Right, Left], &rows);
    }
    for card in &report.cards {
        if let Some(reason) = card.processes_reason {
            lines.push(format!("card {}: cannot be told: {}", card.card, reason.words()));
        }
    }
    if lines.is_empty() {
        lines.push("none is listed".to_owned());
    }
    lines
}

fn process_row(process: &TopProcess) -> Vec<String> {
    let command = process.command.as_deref().or(process.name.as_deref());
    let command = command.map_or("not visible from here".to_owned(), |c| shortened(&printable(c), COMMAND_WIDTH));
    vec![
        process.card.clone(),
        process.pid.to_string(),
        process.user.as_deref().map_or("-".to_owned(), printable),
        text(process.used_bytes.map(gib), process.used_bytes_reason),
        if process.orphan { format!("{YELLOW}orphan{PLAIN} {command}") } else { command },
    ]
}

/// A value, or one word on why there is none.
fn text<T: Display>(value: Option<T>, reason: Option<Absence>) -> String {
    match (value, reason) {
        (Some(value), _) => printable(&value.to_string()),
        (None, reason) => reason.map_or("-", Absence::short).to_owned(),
    }
}

fn gib(bytes: Bytes) -> String {
    format!("{:.2}", bytes.as_gib())
}
