//! One sample as a report.

use super::{CardUsage, MemoryUse, ProcessRow, SortOrder, sort, usages};
use crate::hardware::{Absence, Reading, Snapshot};
use crate::report::probe::ToolReport;
use crate::report::top::{SCHEMA, TopCard, TopMemory, TopProcess, TopReport};

/// The report of a snapshot.
#[must_use]
pub fn report(snapshot: &Snapshot) -> TopReport {
    let usages = usages(snapshot);
    let mut rows: Vec<_> = usages.iter().flat_map(ProcessRow::of).collect();
    sort(&mut rows, SortOrder::Memory);
    let (driver_version, driver_version_reason) = split(snapshot.driver_version.clone());
    let (cuda_version, cuda_version_reason) = split(snapshot.cuda_version.clone());
    TopReport {
        schema: SCHEMA,
        tool: ToolReport { name: "shardfit", version: env!("CARGO_PKG_VERSION") },
        driver_version,
        driver_version_reason,
        cuda_version,
        cuda_version_reason,
        cards: usages.iter().map(card).collect(),
        processes: rows.into_iter().map(process).collect(),
    }
}

/// A reading as a value and, beside it, why there is none.
fn split<T>(reading: Reading<T>) -> (Option<T>, Option<Absence>) {
    match reading.told() {
        Ok(value) => (Some(value), None),
        Err(absence) => (None, Some(absence)),
    }
}

fn card(usage: &CardUsage) -> TopCard {
    let (name, name_reason) = split(usage.name.clone());
    let (uuid, uuid_reason) = split(usage.uuid.clone());
    let (memory, memory_reason) = split(usage.memory.map(memory));
    let (utilization_percent, utilization_percent_reason) = split(usage.utilization_percent);
    let (temperature_celsius, temperature_celsius_reason) = split(usage.temperature_celsius);
    let (power_milliwatts, power_milliwatts_reason) = split(usage.power_milliwatts);
    let vitals = usage.vitals;
    let (sm_clock_mhz, sm_clock_mhz_reason) = split(vitals.sm_clock_mhz);
    let (memory_clock_mhz, memory_clock_mhz_reason) = split(vitals.memory_clock_mhz);
    let (power_limit_milliwatts, power_limit_milliwatts_reason) = split(vitals.power_limit_milliwatts);
    let (uncorrected_errors, uncorrected_errors_reason) = split(vitals.uncorrected_errors);
    let (pcie_sent_bytes_per_second, pcie_sent_bytes_per_second_reason) = split(vitals.pcie_sent_per_second);
    let (pcie_received_bytes_per_second, pcie_received_bytes_per_second_reason) =
        split(vitals.pcie_received_per_second);
    let (nvlink_sent_bytes_per_second, nvlink_sent_bytes_per_second_reason) = split(vitals.nvlink_sent_per_second);
    let (nvlink_received_bytes_per_second, nvlink_received_bytes_per_second_reason) =
        split(vitals.nvlink_received_per_second);
    TopCard {
        card: usage.id.to_string(),
        lost: usage.lost,
        name,
        name_reason,
        uuid,
        uuid_reason,
        memory,
        memory_reason,
        utilization_percent,
        utilization_percent_reason,
        temperature_celsius,
        temperature_celsius_reason,
        power_milliwatts,
        power_milliwatts_reason,
        sm_clock_mhz,
        sm_clock_mhz_reason,
        memory_clock_mhz,
        memory_clock_mhz_reason,
        power_limit_milliwatts,
        power_limit_milliwatts_reason,
        uncorrected_errors,
        uncorrected_errors_reason,
        pcie_sent_bytes_per_second,
        pcie_sent_bytes_per_second_reason,
        pcie_received_bytes_per_second,
        pcie_received_bytes_per_second_reason,
        nvlink_sent_bytes_per_second,
        nvlink_sent_bytes_per_second_reason,
        nvlink_received_bytes_per_second,
        nvlink_received_bytes_per_second_reason,
        processes_reason: usage.processes.as_ref().told().err(),
    }
}

fn memory(memory: MemoryUse) -> TopMemory {
    let (reserved_bytes, reserved_bytes_reason) = split(memory.reserved);
    let (own_bytes, own_bytes_reason) = split(memory.own);
    let (other_processes_bytes, other_processes_bytes_reason) = split(memory.others);
    let (unlisted_bytes, unlisted_bytes_reason) = split(memory.unlisted);
    TopMemory {
        total_bytes: memory.total,
        reserved_bytes,
        reserved_bytes_reason,
        used_bytes: memory.used,
        own_bytes,
        own_bytes_reason,
        other_processes_bytes,
        other_processes_bytes_reason,
        unlisted_bytes,
        unlisted_bytes_reason,
        free_bytes: memory.free,
    }
}

fn process(row: ProcessRow<'_>) -> TopProcess {
    let unseen = |absent: bool| absent.then_some("not visible from here");
    let (used_bytes, used_bytes_reason) = split(row.used);
    TopProcess {
        card: row.card.to_string(),
        pid: row.pid,
        used_bytes,
        used_bytes_reason,
        name_reason: unseen(row.name.is_none()),
        name: row.name.map(str::to_owned),
        command_reason: unseen(row.command.is_none()),
        command: row.command.map(str::to_owned),
        user_reason: unseen(row.user.is_none()),
        user: row.user.map(str::to_owned),
        orphan: row.orphan,
    }
}
