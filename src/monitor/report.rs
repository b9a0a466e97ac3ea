//! What is watched, as a report.

use crate::hardware::{Reading, Snapshot};
use crate::report::top::{Tool, TopCard, TopProcess, TopReport};
use crate::units::Bytes;

use super::{CardUsage, MemoryUse, ProcessRow, SortOrder, sort, usages};

/// The report of one snapshot.
#[must_use]
pub fn report(snapshot: &Snapshot) -> TopReport {
    let usages = usages(snapshot);
    let mut rows: Vec<_> = usages.iter().flat_map(ProcessRow::of).collect();
    sort(&mut rows, SortOrder::Memory);
    TopReport {
        schema: TopReport::SCHEMA,
        tool: Tool::default(),
        driver_version: snapshot.driver_version.clone().known(),
        cuda_version: snapshot.cuda_version.clone().known(),
        cards: usages.iter().map(card).collect(),
        processes: rows.into_iter().map(process).collect(),
    }
}

fn card(usage: &CardUsage) -> TopCard {
    let memory = usage.memory.known();
    TopCard {
        card: usage.id.to_string(),
        uuid: usage.uuid.clone().known(),
        name: usage.name.clone().known(),
        total_bytes: memory.map(|m| m.total),
        capacity_bytes: memory.map(|m| m.capacity),
        reserved_bytes: memory.and_then(|m| m.reserved.known()),
        used_bytes: memory.map(|m| m.used),
        own_bytes: memory.and_then(|m| m.own.known()),
        other_processes_bytes: memory.and_then(|m| m.others.known()),
        unseen_bytes: memory.and_then(|m| m.unseen.known()),
        free_bytes: memory.map(|m| m.free),
        memory_reason: usage.memory.reason(),
        reserved_reason: part_reason(usage, |m| m.reserved),
        own_reason: part_reason(usage, |m| m.own),
        unseen_reason: part_reason(usage, |m| m.unseen),
        utilization_percent: usage.utilization_percent.known(),
        utilization_reason: usage.utilization_percent.reason(),
        temperature_celsius: usage.temperature_celsius.known(),
        temperature_reason: usage.temperature_celsius.reason(),
        power_milliwatts: usage.power_milliwatts.known(),
        power_reason: usage.power_milliwatts.reason(),
        processes_reason: usage.processes.reason(),
    }
}

/// Why a part of the memory is not known: its own reason, or that of the whole.
fn part_reason(usage: &CardUsage, part: impl Fn(MemoryUse) -> Reading<Bytes>) -> Option<&'static str> {
    usage.memory.and_then(part).reason()
}

fn process(row: ProcessRow) -> TopProcess {
    TopProcess {
        card: row.card.to_string(),
        pid: row.pid,
        user: row.user,
        name: row.name,
        command: row.command,
        used_bytes: row.used.known(),
        used_reason: row.used.reason(),
        orphan: row.orphan,
    }
}
