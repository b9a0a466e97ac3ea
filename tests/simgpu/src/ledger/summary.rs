//! What a test reads afterwards.

use std::path::Path;

use super::file::BookFile;
use super::liveness;
use super::records::{ProcessCounters, UnitUse};
use crate::machine::Machine;
use crate::units;

/// The whole machine as its book tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineUse {
    /// Every process that ever attached, in that order.
    pub processes: Vec<ProcessUse>,
    /// Cards in NVML order, then MIG instances card by card.
    pub units: Vec<UnitTotals>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessUse {
    /// Process id.
    pub pid: u32,
    /// Whether it still runs.
    pub alive: bool,
    /// Counters that belong to no card.
    pub counters: ProcessCounters,
    /// What it uses (or, when it is gone, left behind) of each card and instance.
    pub units: Vec<UnitUse>,
}

/// One card or MIG instance, whoever used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitTotals {
    /// Most bytes in use at any time, other people's included.
    pub high_water: u64,
    /// Fell off the bus.
    pub lost: bool,
    /// Uncorrectable memory errors that happened.
    pub uncorrected_errors: u64,
}

impl MachineUse {
    /// Reads the book of a machine. A book that was never opened is an unused machine.
    ///
    /// # Errors
    /// When the file cannot be read or is not a book.
    pub fn read(machine: &Machine, path: &Path) -> std::io::Result<Self> {
        let count = units::count(machine);
        if !path.exists() {
            let unused = UnitTotals { high_water: 0, lost: false, uncorrected_errors: 0 };
            return Ok(Self { processes: Vec::new(), units: vec![unused; count] });
        }
        let file = BookFile::open_read(path)?;
        file.locked(|file| {
            let mut processes = Vec::new();
            for slot in 0..file.process_count()? {
                let mut record = file.process(slot)?;
                record.units.truncate(count);
                processes.push(ProcessUse {
                    pid: record.pid,
                    alive: liveness::is_alive(record.pid, record.start_time),
                    counters: record.counters,
                    units: record.units,
                });
            }
            let mut totals = Vec::new();
            for unit in 0..count {
                let record = file.unit(unit)?;
                totals.push(UnitTotals {
                    high_water: record.high_water,
                    lost: record.lost,
                    uncorrected_errors: record.uncorrected_errors,
                });
            }
            Ok(Self { processes, units: totals })
        })
    }

    /// Device bytes and contexts that nobody returned: what live processes hold, and what dead ones died holding.
    #[must_use]
    pub fn unreturned(&self) -> u64 {
        self.processes.iter().map(ProcessUse::device_bytes).sum()
    }

    /// What processes that are gone died holding, bytes: a real driver would have had to clean up behind them.
    #[must_use]
    pub fn leaked(&self) -> u64 {
        self.processes.iter().filter(|p| !p.alive).map(ProcessUse::device_bytes).sum()
    }

    /// Copies of all processes, and their bytes.
    #[must_use]
    pub fn copies(&self) -> (u64, u64) {
        let all = self.processes.iter().flat_map(|p| &p.units);
        all.fold((0, 0), |(copies, bytes), unit| (copies + unit.copies, bytes + unit.copied_bytes))
    }

    /// Broken rules of the CUDA API, all processes.
    #[must_use]
    pub fn misuses(&self) -> u64 {
        self.processes.iter().map(|p| p.counters.misuses).sum()
    }

    /// What is still held, in words: empty when every process returned every byte, context, pinned block, stream and event.
    #[must_use]
    pub fn loose_ends(&self) -> Vec<String> {
        self.processes.iter().flat_map(ProcessUse::loose_ends).collect()
    }
}

impl ProcessUse {
    /// Bytes of contexts and allocations on all cards.
    #[must_use]
    pub fn device_bytes(&self) -> u64 {
        self.units.iter().map(UnitUse::total).sum()
    }

    /// Contexts on all cards.
    #[must_use]
    pub fn contexts(&self) -> u64 {
        self.units.iter().map(|u| u.contexts).sum()
    }

    /// What this process has not returned, in words.
    #[must_use]
    pub fn loose_ends(&self) -> Vec<String> {
        let mut ends = Vec::new();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                ends.push(format!("process {}: {count} {what}", self.pid));
            }
        };
        for (at, unit) in self.units.iter().enumerate() {
            note(unit.contexts, &format!("contexts on card {at}"));
            note(unit.allocations, &format!("allocations ({} bytes) on card {at}", unit.held_bytes));
        }
        note(self.counters.pinned_blocks, "pinned host blocks");
        note(self.counters.streams, "streams");
        note(self.counters.events, "events");
        note(self.counters.nvml_sessions, "NVML sessions");
        ends
    }
}
