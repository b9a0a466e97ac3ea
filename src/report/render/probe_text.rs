//! `probe` for people.

use std::fmt::Display;

use super::columns::Align::{Left, Right};
use super::columns::{columns, printable, shortened};
use crate::hardware::Absence;
use crate::report::probe::{
    CardReport, CudaView, MemoryReport, PeerGroup, ProbeReport, ProbeSource, ProcessReport, Unlisted,
};

const BOLD: &str = "\u{1b}[1m";
const YELLOW: &str = "\u{1b}[33m";
const RED: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";

/// Longest part of a command line shown.
const COMMAND_WIDTH: usize = 48;

/// The report as text, with terminal styles that the caller strips where they do not belong.
#[must_use]
pub fn render(report: &ProbeReport) -> String {
    let mut parts = vec![head(report), section("cards", cards(report)), section("memory is held by", holders(report))];
    if !report.peers.is_empty() {
        parts.push(section("links", links(&report.peer_groups())));
    }
    parts.push(section("a CUDA process sees", cuda(&report.cuda)));
    parts.join("\n")
}

fn head(report: &ProbeReport) -> String {
    let source = match report.source {
        ProbeSource::Live => "",
        ProbeSource::Recording => " · from a recording",
    };
    format!(
        "driver {} · CUDA {} · {}{source}\n",
        text(report.driver_version.as_ref(), report.driver_version_reason),
        text(report.cuda_version.as_ref(), report.cuda_version_reason),
        match report.cards.len() {
            1 => "1 card".to_owned(),
            n => format!("{n} cards"),
        },
    )
}

fn section(title: &str, lines: Vec<String>) -> String {
    let mut text = format!("{BOLD}{title}{PLAIN}\n");
    for line in lines {
        text.extend(["  ", &line, "\n"]);
    }
    text
}

/// A value, or one word on why there is none.
fn text<T: Display>(value: Option<T>, reason: Option<Absence>) -> String {
    match (value, reason) {
        (Some(value), _) => printable(&value.to_string()),
        (None, reason) => reason.map_or("-", Absence::short).to_owned(),
    }
}

fn cards(report: &ProbeReport) -> Vec<String> {
    let titles =
        ["#", "name", "total", "reserved", "used", "free", "CUDA total", "util", "temp", "power", "PCIe", "MIG"];
    let align = [Left, Left, Right, Right, Right, Right, Right, Right, Right, Right, Left, Left];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    for card in &report.cards {
        rows.push(card_row(card));
        for instance in card.mig.iter().flat_map(|mig| &mig.instances) {
            let mut row =
                vec![format!("{}/{}", card.index, instance.index), text(instance.name.as_ref(), instance.name_reason)];
            row.extend(memory_cells(instance.memory.as_ref(), instance.memory_reason));
            rows.push(row);
        }
    }
    columns(&align, &rows)
}

fn card_row(card: &CardReport) -> Vec<String> {
    let mut row = vec![card.index.to_string(), text(card.name.as_ref(), card.name_reason)];
    row.extend(memory_cells(card.memory.as_ref(), card.memory_reason));
    let pcie = card.pcie.map(|link| {
        let now = format!("gen{} x{}", link.generation, link.width);
        let most = format!("gen{} x{}", link.max_generation, link.max_width);
        if now == most { now } else { format!("{now} (of {most})") }
    });
    let mig = card.mig.as_ref().map(|mig| if mig.enabled { "on" } else { "off" });
    row.extend([
        text(card.utilization_percent.map(|n| format!("{n} %")), card.utilization_percent_reason),
        text(card.temperature_celsius.map(|n| format!("{n} °C")), card.temperature_celsius_reason),
        text(card.power_milliwatts.map(|n| format!("{:.0} W", f64::from(n) / 1e3)), card.power_milliwatts_reason),
        text(pcie, card.pcie_reason),
        text(mig, card.mig_reason),
    ]);
    row
}

/// total, reserved, used, free, CUDA total
fn memory_cells(memory: Option<&MemoryReport>, reason: Option<Absence>) -> Vec<String> {
    let Some(memory) = memory else {
        return vec![text(None::<String>, reason); 5];
    };
    vec![
        memory.total_bytes.to_string(),
        text(memory.reserved_bytes, memory.reserved_bytes_reason),
        memory.used_bytes.to_string(),
        memory.free_bytes.to_string(),
        text(memory.cuda_total_bytes, memory.cuda_total_bytes_reason),
    ]
}

fn holders(report: &ProbeReport) -> Vec<String> {
    let mut rows = Vec::new();
    for card in &report.cards {
        rows.extend(card_holders(card));
    }
    columns(&[Left, Right, Right, Left, Left], &rows)
}

/// card, bytes, pid, user, what
fn card_holders(card: &CardReport) -> Vec<Vec<String>> {
    let place = format!("card {}", card.index);
    let row = |bytes: String, pid: String, user: String, what: String| vec![place.clone(), bytes, pid, user, what];
    let blank = String::new;
    let Some(processes) = &card.processes else {
        let words = card.processes_reason.map_or("not told", Absence::words);
        return vec![row(blank(), blank(), blank(), format!("cannot be told: {words}"))];
    };
    let mut rows: Vec<_> = processes
        .iter()
        .map(|process| {
            row(
                text(process.used_bytes, process.used_bytes_reason),
                process.pid.to_string(),
                printable(process.user.as_deref().unwrap_or("-")),
                what(process),
            )
        })
        .collect();
    match (card.unlisted_bytes, card.unlisted_is) {
        // A card's own use beside processes is noise; alone it is the whole answer.
        (Some(_), Some(Unlisted::OwnUse)) if !rows.is_empty() => {}
        (Some(bytes), Some(meaning)) => {
            rows.push(row(bytes.to_string(), "-".to_owned(), "-".to_owned(), meaning.words().to_owned()));
        }
        (Some(_), None) => {}
        (None, _) => {
            let words = card.unlisted_bytes_reason.map_or("not told", Absence::words);
            rows.push(row(blank(), blank(), blank(), format!("unseen processes: cannot be told: {words}")));
        }
    }
    rows
}

fn what(process: &ProcessReport) -> String {
    let name = process.name.as_deref().map_or_else(|| "not visible from here".to_owned(), printable);
    let command = process.command.as_deref().map(printable).filter(|command| !command.starts_with(&name));
    let mut text = match command {
        Some(command) => format!("{name}: {}", shortened(&command, COMMAND_WIDTH)),
        None => process.command.as_deref().map_or(name, |command| shortened(&printable(command), COMMAND_WIDTH)),
    };
    if let Some(instance) = process.gpu_instance {
        text.push_str(&format!(" (GPU instance {instance})"));
    }
    if process.orphan {
        text.push_str(&format!("  {YELLOW}orphan: its engine is gone{PLAIN}"));
    }
    text
}

fn links(groups: &[PeerGroup<'_>]) -> Vec<String> {
    let rows = groups.iter().map(|group| vec![pairs(&group.pairs, groups.len()), link(group)]).collect::<Vec<_>>();
    columns(&[Left, Left], &rows)
}

/// `0-1, 0-2, 1-2`, or a count where all pairs are alike.
pub(super) fn pairs(pairs: &[(u32, u32)], groups: usize) -> String {
    if groups == 1 && pairs.len() > 1 {
        return format!("all {} pairs", pairs.len());
    }
    let names: Vec<String> = pairs.iter().map(|(a, b)| format!("{a}-{b}")).collect();
    names.join(", ")
}

/// `18 NVLinks, peer access, through a host bridge`
pub(super) fn link(group: &PeerGroup<'_>) -> String {
    let nvlinks = match (group.link.nvlinks, group.link.nvlinks_reason) {
        (Some(0), _) | (None, Some(Absence::Unsupported)) => "no NVLink".to_owned(),
        (Some(1), _) => "1 NVLink".to_owned(),
        (Some(n), _) => format!("{n} NVLinks"),
        (None, reason) => format!("NVLinks: {}", reason.map_or("not told", Absence::words)),
    };
    let access = match (group.link.peer_access, group.link.peer_access_reason) {
        (Some(true), _) => "peer access".to_owned(),
        (Some(false), _) => "no peer access".to_owned(),
        (None, reason) => format!("peer access: {}", reason.map_or("not told", Absence::words)),
    };
    match &group.link.common_ancestor {
        Some(ancestor) => format!("{nvlinks}, {access}, joined by: {}", printable(ancestor)),
        None => format!("{nvlinks}, {access}"),
    }
}

fn cuda(view: &CudaView) -> Vec<String> {
    let mask = match &view.visible_devices {
        Some(mask) => format!("CUDA_VISIBLE_DEVICES={}", printable(mask)),
        None => "CUDA_VISIBLE_DEVICES is not set".to_owned(),
    };
    let mut lines = vec![format!("{mask}, order {}", view.device_order)];
    let rows: Vec<Vec<String>> = view
        .devices
        .iter()
        .map(|device| {
            vec![
                format!("cuda:{}", device.ordinal),
                device.device.to_string(),
                printable(device.name.as_deref().unwrap_or("-")),
                printable(device.uuid.as_deref().unwrap_or("-")),
            ]
        })
        .collect();
    lines.extend(columns(&[Left, Left, Left, Left], &rows));
    if view.devices.is_empty() {
        lines.push(format!("{RED}no card{PLAIN}"));
    }
    if !view.hidden.is_empty() {
        let names: Vec<String> = view.hidden.iter().map(ToString::to_string).collect();
        lines.push(format!("hidden: {}", names.join(", ")));
    }
    lines.extend(view.notes.iter().map(|note| format!("note: {}", printable(note))));
    lines
}
