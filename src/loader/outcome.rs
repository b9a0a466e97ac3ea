//! What a load did and measured.

use super::device::{DeviceIdentity, DeviceKind, DeviceMemory};
use super::options::Verify;
use super::progress::Phase;
use crate::units::Bytes;

/// What a load did and measured, complete or up to its failure.
#[derive(Debug, Clone)]
pub struct LoadOutcome {
    /// Which kind of cards.
    pub kind: DeviceKind,
    /// Number of reading threads.
    pub workers: usize,
    /// Bytes of one staging buffer, and so of the largest read.
    pub buffer: Bytes,
    /// All staging memory.
    pub staging: Bytes,
    /// Number of files read around the page cache, and of all files.
    pub direct_files: (usize, usize),
    /// Bytes read from files for the load, each once.
    pub read: Bytes,
    /// From the first read to the last byte on a card; `None` when nothing was streamed.
    pub seconds: Option<f64>,
    /// Each rank, in the order of the placement.
    pub ranks: Vec<RankOutcome>,
    /// Each card that holds a rank.
    pub devices: Vec<DeviceOutcome>,
    /// What was compared; `None` when it did not come to that.
    pub verification: Option<Verification>,
    /// The steps that ended.
    pub reached: Vec<Phase>,
}

/// One rank.
#[derive(Debug, Clone, PartialEq)]
pub struct RankOutcome {
    /// Global rank.
    pub rank: u32,
    /// Index of its card among the load's cards.
    pub device: usize,
    /// Number of tensors.
    pub tensors: usize,
    /// Its allocation.
    pub arena: Bytes,
    /// Bytes of files that it needs, before conversion.
    pub file_bytes: Bytes,
    /// Bytes from files that arrived, after conversion.
    pub placed: Bytes,
    /// Bytes that should arrive.
    pub expected: Bytes,
    /// Bytes of padding and of values that engines compute: zeros here.
    pub zeroed: Bytes,
    /// From the start of streaming to the rank's last byte; `None` while some are missing.
    pub seconds: Option<f64>,
    /// Bytes compared with the files.
    pub compared: Bytes,
    /// Bytes of its KV pool.
    pub pooled: Bytes,
    /// Bytes of its workspace.
    pub workspace: Bytes,
}

impl RankOutcome {
    /// Bytes that arrived per second, in units of 10^9.
    #[must_use]
    pub fn gigabytes_per_second(&self) -> Option<f64> {
        rate(self.placed, self.seconds?)
    }
}

/// One card: its memory as the driver told it at the end of each step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceOutcome {
    /// Index among the load's cards.
    pub device: usize,
    /// Which card.
    pub identity: DeviceIdentity,
    /// Memory at the end of each step; `None` where the driver cannot be asked (no context) or did not answer.
    pub memory: Vec<(Phase, Option<DeviceMemory>)>,
}

impl DeviceOutcome {
    /// Memory at the end of a step, where the driver told.
    #[must_use]
    pub fn at(&self, phase: Phase) -> Option<DeviceMemory> {
        self.memory.iter().find(|(at, _)| *at == phase).and_then(|(_, memory)| *memory)
    }
}

/// What was compared with the files. There is no mismatch in it: one ends the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verification {
    /// How much was to be compared.
    pub mode: Verify,
    /// Bytes read back from cards and compared.
    pub compared: Bytes,
    /// Bytes read a second time from files for it.
    pub read_again: Bytes,
    /// How long it took.
    pub seconds: f64,
}

impl LoadOutcome {
    /// Bytes from files that arrived on cards, all ranks together.
    #[must_use]
    pub fn placed(&self) -> Bytes {
        self.ranks.iter().map(|rank| rank.placed).sum()
    }

    /// File bytes read per second, in units of 10^9.
    #[must_use]
    pub fn gigabytes_per_second(&self) -> Option<f64> {
        rate(self.read, self.seconds?)
    }
}

fn rate(bytes: Bytes, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| bytes.0 as f64 / seconds / 1e9)
}
