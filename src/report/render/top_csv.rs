//! `top --once` for spreadsheets and scripts: a line a card.

use crate::report::top::{TopCard, TopReport};
use crate::units::Bytes;

/// Names of the columns. A field is empty where the driver did not tell.
const COLUMNS: &str = "card,name,uuid,lost,total_bytes,reserved_bytes,used_bytes,own_bytes,other_processes_bytes,unlisted_bytes,\
free_bytes,utilization_percent,temperature_celsius,power_milliwatts,processes,sm_clock_mhz,memory_clock_mhz,power_limit_milliwatts,uncorrected_errors,\
pcie_sent_bytes_per_second,pcie_received_bytes_per_second,nvlink_sent_bytes_per_second,nvlink_received_bytes_per_second";

/// The cards of a report as CSV (RFC 4180 fields, lines ended by a line feed).
#[must_use]
pub fn render(report: &TopReport) -> String {
    let mut out = format!("{COLUMNS}\n");
    for card in &report.cards {
        let processes = report.processes.iter().filter(|process| process.card == card.card).count();
        let processes = card.processes_reason.is_none().then(|| processes.to_string());
        out += &fields(card, processes).join(",");
        out.push('\n');
    }
    out
}

fn fields(card: &TopCard, processes: Option<String>) -> [String; 23] {
    let memory = card.memory.as_ref();
    let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0.to_string()).unwrap_or_default();
    let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        card.card.clone(),
        quoted(card.name.as_deref().unwrap_or_default()),
        quoted(card.uuid.as_deref().unwrap_or_default()),
        card.lost.to_string(),
        bytes(memory.map(|m| m.total_bytes)),
        bytes(memory.and_then(|m| m.reserved_bytes)),
        bytes(memory.map(|m| m.used_bytes)),
        bytes(memory.and_then(|m| m.own_bytes)),
        bytes(memory.and_then(|m| m.other_processes_bytes)),
        bytes(memory.and_then(|m| m.unlisted_bytes)),
        bytes(memory.map(|m| m.free_bytes)),
        number(card.utilization_percent),
        number(card.temperature_celsius),
        number(card.power_milliwatts),
        processes.unwrap_or_default(),
        number(card.sm_clock_mhz),
        number(card.memory_clock_mhz),
        number(card.power_limit_milliwatts),
        card.uncorrected_errors.map(|count| count.to_string()).unwrap_or_default(),
        bytes(card.pcie_sent_bytes_per_second),
        bytes(card.pcie_received_bytes_per_second),
        bytes(card.nvlink_sent_bytes_per_second),
        bytes(card.nvlink_received_bytes_per_second),
    ]
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
