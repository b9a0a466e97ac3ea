//! Cards as the driver reports them: what CUDA lets a process have, not what the box says.
//!
//! One TOML file a card in `profiles/gpus/`, embedded at build. NVML's total counts memory that the driver keeps for itself; the CUDA
//! total is what remains, and it is what every plan divides. Each group of figures names its source and says whether it was published
//! for that very card (`basis = "profile"`) or carried over from a neighbour (`"assumed"`).

mod catalogue;
mod embedded;
mod file;

pub use catalogue::{GpuCatalogue, SelectGpuError};
pub use file::GpuProfileError;

use crate::units::{Basis, Bytes};

/// What is known of one kind of card, or of one MIG slice of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuProfile {
    /// What a plan calls it: `A100-80GB`.
    pub id: String,
    /// Product names exactly as the driver gives them. Two kinds of one name (the 10 and 12 GB RTX 3080) differ by their totals.
    pub names: Vec<String>,
    /// Other names that people type.
    pub aliases: Vec<String>,
    /// PCI device ids under vendor 10de, four hexadecimal digits, where published.
    pub pci_device_ids: Vec<String>,
    /// Generation of the chip.
    pub architecture: Architecture,
    /// CUDA compute capability, (major, minor).
    pub compute_capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Whether such cards reach each other over NVLink in the machines that are sold with several.
    pub nvlink: bool,
    /// Where the compute figures come from.
    pub compute_source: String,
    /// Memory.
    pub memory: GpuMemory,
    /// Memory of a CUDA context, where measured for this card or one like it.
    pub context: Option<GpuContext>,
    /// The card that a MIG slice is cut from, by id; `None` for a whole card.
    pub slice_of: Option<String>,
}

/// Memory of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuMemory {
    /// `HBM3`, `GDDR6`, …
    pub kind: String,
    /// What error correction costs, in a sentence.
    pub ecc: Option<String>,
    /// NVML's total; `None` where NVML gives none (unified memory) or none is published (MIG slices).
    pub nvml_total: Option<Bytes>,
    /// CUDA's total: NVML's less what the driver reserves.
    pub cuda_total: Bytes,
    /// Whether device and host draw on one pool.
    pub shared_pool: bool,
    /// [`Basis::Profile`] when published for this card, [`Basis::Assumed`] when carried over.
    pub basis: Basis,
    /// Where the totals come from, and what other drivers report.
    pub source: String,
}

/// Memory of a CUDA context with kernels loaded as they are used, before the first tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuContext {
    /// The least seen.
    pub low: Bytes,
    /// The usual figure.
    pub expected: Bytes,
    /// The most seen.
    pub high: Bytes,
    /// [`Basis::Profile`] when published for this card, [`Basis::Assumed`] when carried over.
    pub basis: Basis,
    /// Where the figures come from.
    pub source: String,
}

/// Generation of NVIDIA chips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Compute capability 6.
    Pascal,
    /// 7.0.
    Volta,
    /// 7.5.
    Turing,
    /// 8.0 to 8.7.
    Ampere,
    /// Ada Lovelace, 8.9.
    Ada,
    /// 9.0.
    Hopper,
    /// 10 to 12.
    Blackwell,
}

impl Architecture {
    /// The generation's name as NVIDIA writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pascal => "Pascal",
            Self::Volta => "Volta",
            Self::Turing => "Turing",
            Self::Ampere => "Ampere",
            Self::Ada => "Ada Lovelace",
            Self::Hopper => "Hopper",
            Self::Blackwell => "Blackwell",
        }
    }
}

/// Most threads resident on one multiprocessor, by compute capability; `None` for one that is not known.
///
/// Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
#[must_use]
pub const fn threads_per_multiprocessor(compute_capability: (u32, u32)) -> Option<u32> {
    match compute_capability {
        (6, 0 | 1) | (7, 0 | 2) | (8, 0) | (9, 0) | (10, 0 | 1 | 3) => Some(2048),
        (8, 6 | 7 | 9) | (11, 0) | (12, 0 | 1) => Some(1536),
        (7, 5) => Some(1024),
        _ => None,
    }
}
