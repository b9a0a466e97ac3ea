//! The pages of the book: plain rows of 64-bit numbers, so that a page can be read whatever happened while it was written.

use super::MAX_UNITS;

/// Numbers in one unit's part of a process page.
pub(super) const UNIT_USE_WORDS: usize = 16;
/// Numbers in the head of a process page.
pub(super) const PROCESS_HEAD_WORDS: usize = 32;
/// Numbers in the head's counters, which start after identity.
pub(super) const COUNTER_OFFSET_WORDS: usize = 4;
/// Numbers in a unit's own record.
pub(super) const UNIT_WORDS: usize = 8;
/// Numbers in a process page.
pub(super) const PROCESS_WORDS: usize = PROCESS_HEAD_WORDS + MAX_UNITS * UNIT_USE_WORDS;

/// What one process uses of one card or MIG instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitUse {
    /// Contexts now.
    pub contexts: u64,
    /// Bytes of those contexts.
    pub context_bytes: u64,
    /// Allocations now.
    pub allocations: u64,
    /// Bytes of those allocations, rounded as the driver rounds them.
    pub held_bytes: u64,
    /// Most bytes (contexts and allocations) at any time.
    pub high_water: u64,
    /// Allocations ever granted or refused.
    pub allocation_calls: u64,
    /// Copies carried out.
    pub copies: u64,
    /// Bytes of those copies.
    pub copied_bytes: u64,
    /// NVML calls about it.
    pub nvml_calls: u64,
}

impl UnitUse {
    /// Contexts and allocations together, bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.context_bytes + self.held_bytes
    }

    pub(super) fn words(&self) -> [u64; UNIT_USE_WORDS] {
        let mut words = [0; UNIT_USE_WORDS];
        words[..9].copy_from_slice(&[
            self.contexts,
            self.context_bytes,
            self.allocations,
            self.held_bytes,
            self.high_water,
            self.allocation_calls,
            self.copies,
            self.copied_bytes,
            self.nvml_calls,
        ]);
        words
    }

    pub(super) fn from_words(words: &[u64]) -> Self {
        Self {
            contexts: words[0],
            context_bytes: words[1],
            allocations: words[2],
            held_bytes: words[3],
            high_water: words[4],
            allocation_calls: words[5],
            copies: words[6],
            copied_bytes: words[7],
            nvml_calls: words[8],
        }
    }
}

/// What one process did, card by card aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessCounters {
    /// Pinned host blocks now.
    pub pinned_blocks: u64,
    /// Bytes of those blocks.
    pub pinned_bytes: u64,
    /// Most pinned bytes at any time.
    pub pinned_high_water: u64,
    /// Streams not destroyed.
    pub streams: u64,
    /// Events not destroyed.
    pub events: u64,
    /// NVML initialisations without a shutdown.
    pub nvml_sessions: u64,
    /// Broken rules of the CUDA API: host memory freed while a copy needs it, pointers that are nobody's, handles used after their end.
    pub misuses: u64,
}

impl ProcessCounters {
    pub(super) fn words(&self) -> [u64; 7] {
        [
            self.pinned_blocks,
            self.pinned_bytes,
            self.pinned_high_water,
            self.streams,
            self.events,
            self.nvml_sessions,
            self.misuses,
        ]
    }

    fn from_words(words: &[u64]) -> Self {
        Self {
            pinned_blocks: words[0],
            pinned_bytes: words[1],
            pinned_high_water: words[2],
            streams: words[3],
            events: words[4],
            nvml_sessions: words[5],
            misuses: words[6],
        }
    }
}

/// A process's page.
#[derive(Debug, Clone)]
pub(super) struct ProcessRecord {
    pub(super) pid: u32,
    /// Clock ticks after boot; tells a process from a later one with the same id.
    pub(super) start_time: u64,
    pub(super) counters: ProcessCounters,
    pub(super) units: Vec<UnitUse>,
}

impl ProcessRecord {
    pub(super) fn new(pid: u32, start_time: u64) -> Self {
        Self { pid, start_time, counters: ProcessCounters::default(), units: vec![UnitUse::default(); MAX_UNITS] }
    }

    pub(super) fn words(&self) -> Vec<u64> {
        let mut words = vec![0; PROCESS_HEAD_WORDS];
        words[0] = u64::from(self.pid);
        words[1] = self.start_time;
        let counters = self.counters.words();
        words[COUNTER_OFFSET_WORDS..COUNTER_OFFSET_WORDS + counters.len()].copy_from_slice(&counters);
        words.extend(self.units.iter().flat_map(UnitUse::words));
        words
    }

    pub(super) fn from_words(words: &[u64]) -> Self {
        Self {
            pid: u32::try_from(words[0]).unwrap_or(0),
            start_time: words[1],
            counters: ProcessCounters::from_words(&words[COUNTER_OFFSET_WORDS..]),
            units: words[PROCESS_HEAD_WORDS..].chunks_exact(UNIT_USE_WORDS).map(UnitUse::from_words).collect(),
        }
    }
}

/// What holds for a card whoever uses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UnitRecord {
    /// Fell off the bus.
    pub(crate) lost: bool,
    /// Uncorrectable memory errors that happened while simulated.
    pub(crate) uncorrected_errors: u64,
    /// Most bytes in use at any time, everybody's together.
    pub(crate) high_water: u64,
}

impl UnitRecord {
    pub(super) fn words(self) -> [u64; UNIT_WORDS] {
        let mut words = [0; UNIT_WORDS];
        words[..3].copy_from_slice(&[u64::from(self.lost), self.uncorrected_errors, self.high_water]);
        words
    }

    pub(super) fn from_words(words: &[u64]) -> Self {
        Self { lost: words[0] != 0, uncorrected_errors: words[1], high_water: words[2] }
    }
}
