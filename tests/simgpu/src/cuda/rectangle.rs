//! What a copy or a fill covers: rows of bytes, each a pitch after the one before. A plain copy is one row.

use super::errors::Code;

/// The largest pitch, as the device attribute says.
const MAX_PITCH: usize = 0x7FFF_FFFF;

/// Where one side of a copy lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A device address.
    Device(u64),
    /// A host address, and the pinned block it lies in if it does.
    Host { address: usize, block: Option<u64> },
}

/// One side of a copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) place: Place,
    /// Bytes from one row to the next.
    pub(super) pitch: usize,
}

impl Side {
    pub(super) fn device(address: u64, pitch: usize) -> Self {
        Self { place: Place::Device(address), pitch }
    }

    pub(super) fn host(address: usize, pitch: usize) -> Self {
        Self { place: Place::Host { address, block: None }, pitch }
    }
}

/// Rows to copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy {
    pub(super) from: Side,
    pub(super) to: Side,
    /// Bytes of a row.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
}

impl Copy {
    pub(super) fn line(from: Side, to: Side, length: usize) -> Self {
        Self { from, to, width: length, height: 1 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

/// Rows to fill with one byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fill {
    pub(super) address: u64,
    pub(super) pitch: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) byte: u8,
}

/// Bytes from the first to the last one touched. Rows must not overlap, and a pitch has a limit.
pub(super) fn extent(width: usize, height: usize, pitch: usize) -> Result<u64, Code> {
    if height > 1 && (pitch < width || pitch > MAX_PITCH) {
        return Err(Code::INVALID_VALUE);
    }
    let gaps = (height as u64).saturating_sub(1).checked_mul(pitch as u64);
    gaps.and_then(|gaps| gaps.checked_add(width as u64)).ok_or(Code::INVALID_VALUE)
}
