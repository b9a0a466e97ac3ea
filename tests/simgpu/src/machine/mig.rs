//! Cards cut into instances.

use serde::{Deserialize, Serialize};

use super::{Card, MIB, OtherProcess};

/// Whether a card is partitioned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mig {
    /// The card cannot be partitioned.
    #[default]
    Unsupported,
    /// It can, and is not.
    Disabled,
    /// It is; the instances at hand.
    Enabled(Vec<MigInstance>),
}

/// One instance: a card of its own to CUDA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigInstance {
    /// `1g.10gb`.
    pub profile: String,
    /// `MIG-…` identity; filled in by [`super::Machine::card`] when empty.
    #[serde(default)]
    pub uuid: String,
    /// GPU instance id, as process lists name it.
    pub gpu_instance: u32,
    /// NVML total of the slice, bytes.
    pub nvml_total: u64,
    /// Bytes of it that driver and firmware hold.
    pub reserved: u64,
    /// Streaming multiprocessors of the slice.
    pub multiprocessors: u32,
    /// Bytes that a CUDA context costs on it.
    pub context_bytes: u64,
    /// Compute slices (the 1 of `1g.10gb`).
    pub slices: u32,
    /// Processes of other people on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<OtherProcess>,
}

impl MigInstance {
    /// One seventh of an A100 80 GB.
    #[must_use]
    pub fn a100_1g_10gb() -> Self {
        Self {
            profile: "1g.10gb".to_owned(),
            uuid: String::new(),
            gpu_instance: 7,
            nvml_total: 9728 * MIB,
            reserved: 13 * MIB,
            multiprocessors: 14,
            context_bytes: 110 * MIB,
            slices: 1,
            processes: Vec::new(),
        }
    }

    /// Three sevenths of the compute and half of the memory of an A100 or H100 80 GB.
    #[must_use]
    pub fn a100_3g_40gb() -> Self {
        Self {
            profile: "3g.40gb".to_owned(),
            uuid: String::new(),
            gpu_instance: 1,
            nvml_total: 40_192 * MIB,
            reserved: 37 * MIB,
            multiprocessors: 42,
            context_bytes: 200 * MIB,
            slices: 3,
            processes: Vec::new(),
        }
    }

    /// What CUDA calls the total, bytes.
    #[must_use]
    pub fn cuda_total(&self) -> u64 {
        self.nvml_total.saturating_sub(self.reserved)
    }
}

impl Card {
    /// Cuts the card into `count` instances with ids counting up from the one given.
    #[must_use]
    pub fn partitioned(mut self, count: u32, instance: MigInstance) -> Self {
        let instances = (0..count).map(|at| MigInstance {
            gpu_instance: instance.gpu_instance.saturating_add(at),
            uuid: String::new(),
            ..instance.clone()
        });
        self.mig = Mig::Enabled(instances.collect());
        self
    }
}
