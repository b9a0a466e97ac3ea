//! What goes wrong on a simulated machine. Counts are of the process that asks, and start at one.

use serde::{Deserialize, Serialize};

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The `nth` device allocation on `card` is refused as if the card were full.
    AllocationFails {
        /// NVML index of the card.
        card: usize,
        /// Which allocation, counted from one.
        nth: u64,
    },
    /// The card falls off the bus: CUDA calls fail with `CUDA_ERROR_LAUNCH_FAILED` (719), NVML calls with "GPU is lost", for every
    /// process from then on.
    CardLost {
        /// NVML index of the card.
        card: usize,
        /// After so many copies that touched it.
        after_copies: Option<u64>,
        /// After so many NVML calls about it.
        after_nvml_calls: Option<u64>,
    },
    /// The driver lists the card no more: it was unbound, or taken from this container. Those behind it move up by one.
    CardGone {
        /// Index of the card as described.
        card: usize,
    },
    /// No context can be created on `card`: `code` is the CUDA result (2 out of memory, 46 device unavailable, 999 unknown).
    ContextFails {
        /// NVML index of the card.
        card: usize,
        /// CUDA result code.
        code: u32,
    },
    /// An uncorrectable memory error: CUDA calls on the card fail with 214 from then on, NVML counts it.
    EccError {
        /// NVML index of the card.
        card: usize,
        /// After so many copies that touched it.
        after_copies: u64,
    },
    /// One bit of card memory flips, and nobody says so.
    FlipBit {
        /// NVML index of the card.
        card: usize,
        /// After so many copies that touched it.
        after_copies: u64,
        /// Byte offset in the card's largest allocation.
        offset: u64,
        /// Which bit of the byte.
        bit: u8,
    },
    /// A CUDA call fails once, or always when `nth` is absent.
    CudaError {
        /// Symbol name without `_v2`: `cuMemHostAlloc`.
        call: String,
        /// CUDA result code.
        code: u32,
        /// Which call of that name, counted from one.
        nth: Option<u64>,
    },
    /// An NVML call always fails.
    NvmlError {
        /// Symbol name as exported: `nvmlDeviceGetMemoryInfo_v2`.
        call: String,
        /// NVML index of the card; every card when absent.
        card: Option<usize>,
        /// What it answers.
        error: NvmlFailure,
    },
    /// Each NVML call about a card takes so long.
    SlowNvml {
        /// Milliseconds.
        millis: u64,
    },
    /// The driver reports a critical error of a card to those who wait for events.
    Xid {
        /// NVML index of the card.
        card: usize,
        /// Xid number: 79 is "fallen off the bus", 31 a memory page fault.
        code: u64,
        /// How many waits end without it first.
        after_waits: u64,
    },
}

/// How an NVML call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NvmlFailure {
    /// The card or platform does not offer it (WSL, GeForce, vGPU).
    NotSupported,
    /// Not for this user or container.
    NoPermission,
    /// The driver is too old to know the call.
    FunctionNotFound,
    /// The card fell off the bus.
    GpuIsLost,
    /// The driver is not loaded.
    DriverNotLoaded,
    /// Library and kernel module are of different versions.
    VersionMismatch,
    /// Anything else.
    Unknown,
}

impl Fault {
    /// Memory info v2 is not offered, as on old drivers and under WSL; v1 still answers.
    #[must_use]
    pub fn no_memory_v2() -> Self {
        Self::nvml("nvmlDeviceGetMemoryInfo_v2", NvmlFailure::NotSupported)
    }

    /// Nobody tells who holds memory.
    #[must_use]
    pub fn no_processes(error: NvmlFailure) -> [Self; 2] {
        [
            Self::nvml("nvmlDeviceGetComputeRunningProcesses_v3", error),
            Self::nvml("nvmlDeviceGetGraphicsRunningProcesses_v3", error),
        ]
    }

    /// `call` fails on every card.
    #[must_use]
    pub fn nvml(call: &str, error: NvmlFailure) -> Self {
        Self::NvmlError { call: call.to_owned(), card: None, error }
    }

    /// The CUDA driver cannot start: `code` such as 100 (no device), 803 (driver mismatch), 999.
    #[must_use]
    pub fn cuda_init(code: u32) -> Self {
        Self::CudaError { call: "cuInit".to_owned(), code, nth: None }
    }
}
