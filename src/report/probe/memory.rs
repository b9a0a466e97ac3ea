//! Memory of a card or MIG device.

use schemars::JsonSchema;
use serde::Serialize;

use super::split;
use crate::hardware::{Absence, MemoryState};
use crate::units::Bytes;

/// Device memory. `total = reserved + used + free` where `reserved` is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemoryReport {
    /// NVML total, as `nvidia-smi` shows it.
    pub total_bytes: Bytes,
    /// Kept by driver and firmware.
    pub reserved_bytes: Option<Bytes>,
    /// Why `reserved_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_bytes_reason: Option<Absence>,
    /// In use; where `reserved_bytes` is `null` and the driver is of branch 510 or later, the reserved part included.
    pub used_bytes: Bytes,
    /// Free.
    pub free_bytes: Bytes,
    /// What CUDA calls the total: total − reserved. This is a plan's capacity.
    pub cuda_total_bytes: Option<Bytes>,
    /// Why `cuda_total_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda_total_bytes_reason: Option<Absence>,
}

impl MemoryReport {
    pub(super) fn new(memory: MemoryState) -> Self {
        let (reserved_bytes, reserved_bytes_reason) = split(memory.reserved);
        Self {
            total_bytes: memory.total,
            reserved_bytes,
            reserved_bytes_reason,
            used_bytes: memory.used,
            free_bytes: memory.free,
            cuda_total_bytes: memory.cuda_total(),
            cuda_total_bytes_reason: reserved_bytes_reason,
        }
    }
}
