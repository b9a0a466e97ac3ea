//! Partitioned cards.

use schemars::JsonSchema;
use serde::Serialize;

use super::memory::MemoryReport;
use super::split;
use crate::hardware::{Absence, MigInstance, MigMode};

/// MIG mode of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MigReport {
    /// Whether the card is partitioned.
    pub enabled: bool,
    /// Its MIG devices.
    pub instances: Vec<MigInstanceReport>,
}

/// One MIG device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MigInstanceReport {
    /// Index among the card's MIG devices.
    pub index: u32,
    /// Name with its profile.
    pub name: Option<String>,
    /// Why `name` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_reason: Option<Absence>,
    /// `MIG-…` identity.
    pub uuid: Option<String>,
    /// Why `uuid` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid_reason: Option<Absence>,
    /// GPU instance id, as `processes` name it.
    pub gpu_instance: Option<u32>,
    /// Why `gpu_instance` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_instance_reason: Option<Absence>,
    /// Memory of the slice.
    pub memory: Option<MemoryReport>,
    /// Why `memory` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reason: Option<Absence>,
}

impl MigReport {
    pub(super) fn new(mode: &MigMode) -> Self {
        match mode {
            MigMode::Disabled => Self { enabled: false, instances: Vec::new() },
            MigMode::Enabled(instances) => {
                Self { enabled: true, instances: instances.iter().map(MigInstanceReport::new).collect() }
            }
        }
    }
}

impl MigInstanceReport {
    pub(super) fn new(instance: &MigInstance) -> Self {
        let (name, name_reason) = split(instance.name.clone());
        let (uuid, uuid_reason) = split(instance.uuid.clone());
        let (gpu_instance, gpu_instance_reason) = split(instance.gpu_instance);
        let (memory, memory_reason) = split(instance.memory.map(MemoryReport::new));
        Self {
            index: instance.index,
            name,
            name_reason,
            uuid,
            uuid_reason,
            gpu_instance,
            gpu_instance_reason,
            memory,
            memory_reason,
        }
    }
}
