//! What the loader asks of a card, and the two kinds of card that answer.

mod cuda;
mod error;
mod host;

use std::fmt;
use std::sync::Arc;

pub use cuda::{CudaCards, CudaDriver};
pub use error::{DeviceError, DriverCode, DriverMissing};
pub use host::HostCards;

use super::staging::{StagingBuffer, StagingMemory};
use crate::placement::StridedCopy;
use crate::units::Bytes;

/// Which kind of card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A CUDA device, through the driver.
    Cuda,
    /// Host memory with a stated capacity: proves placement and bytes, never that a GPU holds them.
    Host,
}

impl DeviceKind {
    /// Name as in reports and flags.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Host => "host",
        }
    }
}

/// The sixteen bytes that identify a card, as the CUDA driver gives them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Whether NVML's text (`GPU-…` or `MIG-…`) names the same card. CUDA gives the bytes alone, so the prefix does not count.
    #[must_use]
    pub fn matches(&self, nvml: &str) -> bool {
        nvml.split_once('-').is_some_and(|(_, digits)| digits.eq_ignore_ascii_case(&self.to_string()))
    }
}

/// Hyphenated lower-case hexadecimal digits, as NVML prints them after its prefix.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which card this is; known without touching its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// Backend.
    pub kind: DeviceKind,
    /// CUDA ordinal under `CUDA_VISIBLE_DEVICES`, or number of the host card.
    pub ordinal: u32,
    /// Product name.
    pub name: String,
    /// Identity to join with NVML; a host card has none.
    pub uuid: Option<Uuid>,
    /// CUDA total, or the stated capacity of a host card.
    pub total: Bytes,
}

/// `cuda:0`, `host:3`.
impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.ordinal)
    }
}

/// What a card's driver says of its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Free for allocation now.
    pub free: Bytes,
    /// All that processes share.
    pub total: Bytes,
}

impl DeviceMemory {
    /// total − free: what everyone on the card holds.
    #[must_use]
    pub const fn used(&self) -> Bytes {
        self.total.saturating_sub(self.free)
    }
}

/// Runs of bytes inside an arena: run *i* starts at `offset + i·pitch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    /// First byte, from the start of the arena.
    pub offset: u64,
    /// Distance between the starts of two runs.
    pub pitch: u64,
    /// Bytes of one run.
    pub width: u64,
    /// Number of runs.
    pub rows: u64,
}

impl Runs {
    /// One run.
    #[must_use]
    pub const fn contiguous(offset: u64, bytes: u64) -> Self {
        Self { offset, pitch: bytes, width: bytes, rows: 1 }
    }

    /// Where a copy's bytes arrive.
    #[must_use]
    pub const fn target_of(copy: &StridedCopy) -> Self {
        Self { offset: copy.target_offset, pitch: copy.target_pitch, width: copy.width, rows: copy.rows }
    }

    /// Where a copy's bytes come from.
    #[must_use]
    pub const fn source_of(copy: &StridedCopy) -> Self {
        Self { offset: copy.source_offset, pitch: copy.source_pitch, width: copy.width, rows: copy.rows }
    }

    /// Sum of the runs; saturates.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.width.saturating_mul(self.rows)
    }

    /// One past the last byte; `None` past 2^64.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        if self.bytes() == 0 {
            return Some(self.offset);
        }
        (self.rows - 1).checked_mul(self.pitch)?.checked_add(self.width)?.checked_add(self.offset)
    }

    /// Whether all of it lies below `limit`.
    #[must_use]
    pub fn fits(&self, limit: u64) -> bool {
        self.end().is_some_and(|end| end <= limit)
    }

    /// The same bytes in as few runs as possible.
    #[must_use]
    pub const fn merged(self) -> Self {
        if self.rows > 1 && self.width == self.pitch { Self::contiguous(self.offset, self.bytes()) } else { self }
    }
}

/// One card, opened: its context exists (where the backend has such a thing) until the last handle and arena are dropped.
pub trait Device: Send + Sync {
    /// Which card this is.
    fn identity(&self) -> &DeviceIdentity;

    /// What the driver says of its memory now.
    ///
    /// # Errors
    /// When the card does not answer.
    fn memory(&self) -> Result<DeviceMemory, DeviceError>;

    /// Allocates one arena.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`] when the card is full.
    fn allocate(&self, bytes: Bytes) -> Result<Box<dyn Arena>, DeviceError>;

    /// Host memory that this kind of card copies from and to at full speed.
    ///
    /// # Errors
    /// When the host has no such memory left.
    fn staging(&self, bytes: usize) -> Result<Box<dyn StagingMemory>, DeviceError>;
}

/// One allocation on a card. Dropping it waits for its copies and frees it.
pub trait Arena: Send + Sync {
    /// Queues zero bytes.
    ///
    /// # Errors
    /// When the runs leave the arena or the driver refuses.
    fn zero(&self, runs: Runs) -> Result<(), DeviceError>;

    /// Queues copies out of a staging buffer. Until the returned transfer is over it shares the buffer, so that nobody can get the exclusive
    /// access that writing needs.
    ///
    /// # Errors
    /// When a copy leaves arena or buffer, or the driver refuses; nothing is in flight then.
    fn submit(&self, source: &Arc<StagingBuffer>, copies: &[StridedCopy]) -> Result<Box<dyn Transfer>, DeviceError>;

    /// Waits for all that is queued, and tells what failed on the way.
    ///
    /// # Errors
    /// When the card reports a failure of queued work.
    fn synchronize(&self) -> Result<(), DeviceError>;

    /// Reads runs back, packed to the front of `into`.
    ///
    /// # Errors
    /// When the runs leave the arena or the buffer, or the driver refuses.
    fn read_back(&self, runs: Runs, into: &mut StagingBuffer) -> Result<(), DeviceError>;
}

/// Copies on their way. Dropping it waits for them.
pub trait Transfer: Send {
    /// Waits until the copies are done.
    ///
    /// # Errors
    /// When the card reports that they failed.
    fn wait(self: Box<Self>) -> Result<(), DeviceError>;
}

/// The cards of a load, opened one by one, so that a card without a shard is never touched.
pub trait Cards: Sync {
    /// Which kind.
    fn kind(&self) -> DeviceKind;

    /// Number of cards.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs narrower than this are packed by the CPU before they leave: a strided copy of them costs more than the packing.
    fn pack_below(&self) -> u64;

    /// The staging buffer that suits these cards best.
    fn best_buffer(&self) -> Bytes;

    /// Which card has an index, without opening it.
    ///
    /// # Errors
    /// When there is no such card.
    fn identity(&self, index: usize) -> Result<DeviceIdentity, DeviceError>;

    /// Opens a card.
    ///
    /// # Errors
    /// When there is no such card, or its driver refuses.
    fn open(&self, index: usize) -> Result<Arc<dyn Device>, DeviceError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_matches_either_prefix() {
        let uuid = Uuid([0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(uuid.to_string(), "deadbeef-0001-0203-0405-060708090a0b");
        assert!(uuid.matches("GPU-deadbeef-0001-0203-0405-060708090a0b"));
        assert!(uuid.matches("MIG-DEADBEEF-0001-0203-0405-060708090A0B"));
        assert!(!uuid.matches("GPU-deadbeef-0001-0203-0405-060708090a0c"));
        assert!(!uuid.matches("deadbeef000102030405060708090a0b"));
    }

    #[test]
    fn runs_know_their_end() {
        let cases = [
            (Runs { offset: 3, pitch: 10, width: 4, rows: 3 }, Some(27)),
            (Runs::contiguous(5, 7), Some(12)),
            (Runs { offset: 5, pitch: 7, width: 0, rows: 9 }, Some(5)),
            (Runs { offset: 1, pitch: u64::MAX, width: 1, rows: 2 }, None),
            (Runs { offset: 0, pitch: u64::MAX, width: 1, rows: 3 }, None),
        ];
        for (runs, end) in cases {
            assert_eq!(runs.end(), end, "{runs:?}");
        }
        assert!(Runs::contiguous(0, 8).fits(8));
        assert!(!Runs::contiguous(1, 8).fits(8));
    }
}
