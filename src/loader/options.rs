//! How to load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::units::Bytes;

/// How much of what arrived is read back and compared with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Nothing.
    None,
    /// Start, end and some pieces between of every part of every tensor; the same ones each time.
    #[default]
    Sample,
    /// Every byte, by checksums taken on the way out and of what is read back; files are read a second time only to name a difference.
    Checksum,
    /// Every byte, with the files read a second time.
    Full,
}

impl Verify {
    /// Name as in flags and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sample => "sample",
            Self::Checksum => "checksum",
            Self::Full => "full",
        }
    }
}

/// Settings of one load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Bound on the host memory of all staging buffers together.
    pub staging: Bytes,
    /// Threads that read, pack and send; `None` lets the machine decide.
    pub workers: Option<usize>,
    /// Largest buffer, and so largest read; `None` lets the kind of card decide.
    pub buffer: Option<Bytes>,
    /// Runs narrower than this many bytes are packed by the CPU; `None` lets the kind of card decide.
    pub pack_below: Option<u64>,
    /// What is compared afterwards.
    pub verify: Verify,
    /// Set by another thread or a signal to stop; looked at between reads.
    pub cancel: Arc<AtomicBool>,
}

impl LoadOptions {
    /// Staging of the default: sixteen buffers of 8 MiB.
    pub const DEFAULT_STAGING: Bytes = Bytes::mib(128);

    /// More readers than this did not help on any storage or bus at hand.
    const MOST_WORKERS: usize = 8;

    pub(super) fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// Readers that wait for a disk use no core: some more of them keep its queue filled.
    const LEAST_DIRECT_WORKERS: usize = 4;

    pub(super) fn worker_count(&self, direct: bool) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let least = if direct { Self::LEAST_DIRECT_WORKERS } else { 1 };
        self.workers.unwrap_or_else(|| cores().clamp(least, Self::MOST_WORKERS)).max(1)
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            staging: Self::DEFAULT_STAGING,
            workers: None,
            buffer: None,
            pack_below: None,
            verify: Verify::default(),
            cancel: Arc::default(),
        }
    }
}

/// Settings that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Not even one worker could have its buffers.
    #[error("{given} of staging is too little: `--staging` must be at least {smallest} for this load")]
    StagingTooSmall {
        /// What was asked for.
        given: Bytes,
        /// The least that works.
        smallest: Bytes,
    },
}
