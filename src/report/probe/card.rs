//! One card of the report.

use schemars::JsonSchema;
use serde::Serialize;

use super::holders::{ProcessReport, Unlisted};
use super::memory::MemoryReport;
use super::mig::MigReport;
use super::split;
use crate::hardware::{Absence, CardState, PcieLink};
use crate::units::Bytes;

/// One card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CardReport {
    /// Index in NVML and `nvidia-smi`.
    pub index: u32,
    /// Product name.
    pub name: Option<String>,
    /// Why `name` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_reason: Option<Absence>,
    /// `GPU-…` identity.
    pub uuid: Option<String>,
    /// Why `uuid` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid_reason: Option<Absence>,
    /// PCI address.
    pub pci_bus_id: Option<String>,
    /// Why `pci_bus_id` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci_bus_id_reason: Option<Absence>,
    /// CUDA compute capability, such as `8.6`.
    pub compute_capability: Option<String>,
    /// Why `compute_capability` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_capability_reason: Option<Absence>,
    /// Device memory.
    pub memory: Option<MemoryReport>,
    /// Why `memory` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reason: Option<Absence>,
    /// Share of the last sample period in which kernels ran, in percent.
    pub utilization_percent: Option<u32>,
    /// Why `utilization_percent` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_percent_reason: Option<Absence>,
    /// Temperature in degrees Celsius.
    pub temperature_celsius: Option<u32>,
    /// Why `temperature_celsius` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_celsius_reason: Option<Absence>,
    /// Power draw in milliwatts.
    pub power_milliwatts: Option<u32>,
    /// Why `power_milliwatts` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_milliwatts_reason: Option<Absence>,
    /// PCIe link.
    pub pcie: Option<PcieReport>,
    /// Why `pcie` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcie_reason: Option<Absence>,
    /// MIG mode and instances.
    pub mig: Option<MigReport>,
    /// Why `mig` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mig_reason: Option<Absence>,
    /// Who holds memory, largest first, as far as visible from here.
    pub processes: Option<Vec<ProcessReport>>,
    /// Why `processes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes_reason: Option<Absence>,
    /// Memory in use that no listed process accounts for.
    pub unlisted_bytes: Option<Bytes>,
    /// Why `unlisted_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted_bytes_reason: Option<Absence>,
    /// What that memory is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted_is: Option<Unlisted>,
    /// Whether the card has dropped off the bus.
    pub lost: bool,
}

/// PCIe link of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PcieReport {
    /// Generation now; links drop when idle.
    pub generation: u32,
    /// Lanes now.
    pub width: u32,
    /// Highest generation of card and slot.
    pub max_generation: u32,
    /// Most lanes of card and slot.
    pub max_width: u32,
}

impl CardReport {
    pub(super) fn new(card: &CardState, reserved_counts_as_used: bool) -> Self {
        let (name, name_reason) = split(card.name.clone());
        let (uuid, uuid_reason) = split(card.uuid.clone());
        let (pci_bus_id, pci_bus_id_reason) = split(card.pci_bus_id.clone());
        let (compute_capability, compute_capability_reason) =
            split(card.compute_capability.map(|(major, minor)| format!("{major}.{minor}")));
        let (memory, memory_reason) = split(card.memory.map(MemoryReport::new));
        let (utilization_percent, utilization_percent_reason) = split(card.utilization_percent);
        let (temperature_celsius, temperature_celsius_reason) = split(card.temperature_celsius);
        let (power_milliwatts, power_milliwatts_reason) = split(card.power_milliwatts);
        let (pcie, pcie_reason) = split(card.pcie.map(PcieReport::new));
        let (mig, mig_reason) = split(card.mig.as_ref().map(MigReport::new));
        let processes = card.processes.as_ref().map(|list| list.iter().map(ProcessReport::new).collect());
        let (processes, processes_reason) = split(processes);
        let (unlisted_bytes, unlisted_bytes_reason) = split(card.unlisted());
        Self {
            index: card.index,
            name,
            name_reason,
            uuid,
            uuid_reason,
            pci_bus_id,
            pci_bus_id_reason,
            compute_capability,
            compute_capability_reason,
            memory,
            memory_reason,
            utilization_percent,
            utilization_percent_reason,
            temperature_celsius,
            temperature_celsius_reason,
            power_milliwatts,
            power_milliwatts_reason,
            pcie,
            pcie_reason,
            mig,
            mig_reason,
            processes,
            processes_reason,
            unlisted_bytes,
            unlisted_bytes_reason,
            unlisted_is: unlisted_bytes.map(|bytes| Unlisted::of(bytes, reserved_counts_as_used)),
            lost: card.is_lost(),
        }
    }
}

impl PcieReport {
    fn new(link: PcieLink) -> Self {
        Self {
            generation: link.generation,
            width: link.width,
            max_generation: link.max_generation,
            max_width: link.max_width,
        }
    }
}
