//! The book that all processes of a simulated machine keep together: one file, locked while it changes, in which each process has a
//! page of its own. It survives whatever happens to a process, so that a test can read afterwards what was held and what was returned.

mod file;
mod liveness;
mod records;
mod summary;

use std::path::Path;

use file::BookFile;
pub use records::{ProcessCounters, UnitUse};
use records::{ProcessRecord, UnitRecord};
pub use summary::{MachineUse, ProcessUse, UnitTotals};

/// Most cards and MIG instances of one machine.
pub(crate) const MAX_UNITS: usize = 64;
/// Most processes that ever attach to one machine.
pub(crate) const MAX_PROCESSES: usize = 1024;

/// One process's view of the book.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: BookFile,
    slot: usize,
    mine: ProcessRecord,
}

impl Ledger {
    /// Opens the book (creating it) and takes a page for this process.
    pub(crate) fn attach(path: &Path) -> std::io::Result<Self> {
        let file = BookFile::open(path)?;
        let pid = std::process::id();
        let mine = ProcessRecord::new(pid, liveness::start_time(pid).unwrap_or(0));
        let slot = file.locked(|file| {
            let slot = file.process_count()?;
            if slot >= MAX_PROCESSES {
                return Err(std::io::Error::other("too many processes for one simulated machine"));
            }
            file.write_process(slot, &mine)?;
            file.set_process_count(slot + 1)?;
            Ok(slot)
        })?;
        Ok(Self { file, slot, mine })
    }

    /// What this process uses of a card.
    pub(crate) fn mine(&self, unit: usize) -> &UnitUse {
        &self.mine.units[unit]
    }

    /// Counters of this process.
    pub(crate) fn counters(&self) -> &ProcessCounters {
        &self.mine.counters
    }

    /// Changes this process's counters. Nobody else writes them, so no lock is taken.
    pub(crate) fn count(&mut self, change: impl FnOnce(&mut ProcessCounters)) {
        change(&mut self.mine.counters);
        // A full disk must not change what the simulated driver answers; the test then sees an old page.
        let _ = self.file.write_counters(self.slot, &self.mine.counters);
    }

    /// Changes what only this process counts of a card (never bytes or contexts: those are claimed) and returns the result.
    pub(crate) fn count_on(&mut self, unit: usize, change: impl FnOnce(&mut UnitUse)) -> UnitUse {
        let mine = &mut self.mine.units[unit];
        change(mine);
        let _ = self.file.write_unit_use(self.slot, unit, mine);
        *mine
    }

    /// Moves this process's use of a card to `wanted` if `total` bytes are enough for it, all other live processes and `others`.
    /// Returns whether they are.
    pub(crate) fn claim(&mut self, unit: usize, total: u64, others: u64, wanted: UnitUse) -> bool {
        let slot = self.slot;
        let claimed = self.file.locked(|file| {
            let elsewhere: u64 =
                live_on(file, unit)?.into_iter().filter(|held| held.slot != slot).map(|h| h.bytes).sum();
            let demand = elsewhere.saturating_add(others).saturating_add(wanted.total());
            let grows = wanted.total() > self.mine.units[unit].total();
            if grows && demand > total {
                return Ok(false);
            }
            let mut wanted = wanted;
            wanted.high_water = wanted.high_water.max(wanted.total());
            self.mine.units[unit] = wanted;
            file.write_unit_use(slot, unit, &wanted)?;
            let mut record = file.unit(unit)?;
            record.high_water = record.high_water.max(demand);
            file.write_unit(unit, &record)?;
            Ok(true)
        });
        claimed.unwrap_or(false)
    }

    /// Bytes that live processes hold on a card, each with its process id.
    pub(crate) fn holders(&self, unit: usize) -> Vec<(u32, u64)> {
        let held = self.file.locked(|file| live_on(file, unit)).unwrap_or_default();
        held.into_iter().map(|held| (held.pid, held.bytes)).collect()
    }

    /// What is known of a card beyond any process. Its numbers change one at a time, so that no lock is needed to read them.
    pub(crate) fn unit(&self, unit: usize) -> UnitRecord {
        self.file.unit(unit).unwrap_or_default()
    }

    /// Changes what is known of a card beyond any process.
    pub(crate) fn change_unit(&self, unit: usize, change: impl FnOnce(&mut UnitRecord)) {
        let _ = self.file.locked(|file| {
            let mut record = file.unit(unit)?;
            change(&mut record);
            file.write_unit(unit, &record)
        });
    }
}

/// What a process that still runs holds on a card.
struct Held {
    slot: usize,
    pid: u32,
    bytes: u64,
}

/// The processes that hold something on a card and still run. Those that hold nothing are not looked up: there are many of them on a
/// machine that was used often.
fn live_on(file: &BookFile, unit: usize) -> std::io::Result<Vec<Held>> {
    let mut held = Vec::new();
    for slot in 0..file.process_count()? {
        let bytes = file.unit_use(slot, unit)?.total();
        if bytes > 0 {
            let (pid, start_time) = file.identity(slot)?;
            if liveness::is_alive(pid, start_time) {
                held.push(Held { slot, pid, bytes });
            }
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests;
