//! How cards fail, and what the numbers of the CUDA driver mean.

use std::fmt;

use super::DeviceMemory;
use crate::units::Bytes;

// Numbers of `cuda.h`.
pub(super) const OUT_OF_MEMORY: u32 = 2;
const ECC_UNCORRECTABLE: u32 = 214;
/// The card or its context is beyond use: `DEVICE_UNAVAILABLE`, `NO_DEVICE`, `NVLINK_UNCORRECTABLE`, `CONTAINED`, `CONTEXT_IS_DESTROYED`,
/// `LAUNCH_FAILED` (we launch nothing: it is what a card that left the bus answers), `UNKNOWN`.
const LOST: [u32; 7] = [46, 100, 220, 226, 709, 719, 999];

/// A code that the CUDA driver returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverCode {
    /// Number, as in `cuda.h`.
    pub code: u32,
    /// The driver's own name for it, such as `CUDA_ERROR_OUT_OF_MEMORY`.
    pub name: String,
}

impl fmt::Display for DriverCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.code)
    }
}

/// Why a card did not do what was asked. Told apart by the driver's number, never by its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// An allocation was refused.
    #[error("{device} is out of memory: {}{}", requested_text(.requested), free_text(.memory))]
    OutOfMemory {
        /// Such as `cuda:2`.
        device: String,
        /// Size of the allocation; `None` for what the driver itself needs, such as a context.
        requested: Option<Bytes>,
        /// What the card had then; `None` when it no longer answered.
        memory: Option<DeviceMemory>,
    },
    /// Page-locked host memory was refused.
    #[error("{device} could not page-lock {requested} of host memory for staging: {code}")]
    Staging {
        /// Such as `cuda:2`.
        device: String,
        /// Size of the allocation.
        requested: Bytes,
        /// What the driver said.
        code: DriverCode,
    },
    /// The card is gone: it fell off the bus, or its context is beyond use.
    #[error("{device} is lost: `{call}` answered {code}")]
    Lost {
        /// Such as `cuda:2`.
        device: String,
        /// The call that showed it.
        call: &'static str,
        /// What the driver said.
        code: DriverCode,
    },
    /// Memory of the card is broken beyond correction.
    #[error("{device} has an uncorrectable memory error: `{call}` answered {code}")]
    Ecc {
        /// Such as `cuda:2`.
        device: String,
        /// The call that showed it.
        call: &'static str,
        /// What the driver said.
        code: DriverCode,
    },
    /// The driver refused a call for another reason.
    #[error("{device}: `{call}` answered {code}")]
    Driver {
        /// Such as `cuda:2`.
        device: String,
        /// The call.
        call: &'static str,
        /// What the driver said.
        code: DriverCode,
    },
    /// The load names a card that is not there.
    #[error("card {index} is not there: the load can use {available}")]
    NoSuchDevice {
        /// What was asked for.
        index: u64,
        /// Number of cards at hand.
        available: u64,
    },
    /// A copy would leave its arena or its staging buffer; refused before the driver is asked.
    #[error("{device}: a copy of {width} bytes × {rows} rows does not lie inside its arena or its staging buffer")]
    OutOfRange {
        /// Such as `cuda:2`.
        device: String,
        /// Bytes of a run.
        width: u64,
        /// Number of runs.
        rows: u64,
    },
}

impl DeviceError {
    /// The kind of error that a code of the CUDA driver stands for.
    pub(super) fn of_code(device: &str, call: &'static str, code: DriverCode) -> Self {
        let device = device.to_owned();
        match code.code {
            OUT_OF_MEMORY => Self::OutOfMemory { device, requested: None, memory: None },
            ECC_UNCORRECTABLE => Self::Ecc { device, call, code },
            number if LOST.contains(&number) => Self::Lost { device, call, code },
            _ => Self::Driver { device, call, code },
        }
    }
}

fn requested_text(requested: &Option<Bytes>) -> String {
    requested.map_or_else(|| "no room for what the driver needs".to_owned(), |bytes| format!("{bytes} asked"))
}

fn free_text(memory: &Option<DeviceMemory>) -> String {
    memory.map_or_else(String::new, |memory| format!(", {} free of {}", memory.free, memory.total))
}

/// Why CUDA cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverMissing {
    /// No driver library.
    #[error("no NVIDIA driver is installed here (`libcuda.so.1` not found)")]
    NotInstalled,
    /// A library without a function that is needed.
    #[error("the NVIDIA driver is too old, or not one: it has no `{0}`")]
    Symbol(&'static str),
    /// The driver does not start.
    #[error("the NVIDIA driver does not start: {0}")]
    Init(DriverCode),
}
