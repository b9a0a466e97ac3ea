//! One card: what it is, what it reports, who else holds memory on it.

use serde::{Deserialize, Serialize};

use super::{Mig, NvLink};

/// A physical card. A reading that is `None` answers "not supported".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Product name, `NVIDIA A10`.
    pub name: String,
    /// `GPU-…` identity; filled in by [`super::Machine::card`] when empty.
    #[serde(default)]
    pub uuid: String,
    /// PCI bus number; filled in by [`super::Machine::card`] when zero.
    #[serde(default)]
    pub pci_bus: u32,
    /// PCI device id and vendor id as NVML packs them: `0x2236_10DE`.
    pub pci_device_id: u32,
    /// NVML total in bytes, the driver's own part included.
    pub nvml_total: u64,
    /// Bytes held by driver and firmware: CUDA total = NVML total − reserved.
    pub reserved: u64,
    /// CUDA compute capability, (major, minor).
    pub compute_capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Most resident threads of a multiprocessor.
    pub threads_per_multiprocessor: u32,
    /// Bytes that a CUDA context costs.
    pub context_bytes: u64,
    /// Processes of other people that are there from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<OtherProcess>,
    /// Bytes in use by processes that NVML does not list (another container).
    #[serde(default)]
    pub hidden_bytes: u64,
    /// Whether the card is partitioned.
    #[serde(default)]
    pub mig: Mig,
    /// Degrees Celsius.
    pub temperature: Option<u32>,
    /// Milliwatts.
    pub power_usage: Option<u32>,
    /// Milliwatts.
    pub power_limit: Option<u32>,
    /// Kernels and memory traffic, percent of time.
    pub utilization: Option<Utilization>,
    /// Megahertz.
    pub clocks: Option<Clocks>,
    /// The link to the host.
    pub pcie: Option<Pcie>,
    /// Fan speed in percent; data-centre cards have none.
    pub fan: Option<u32>,
    /// Error counts; `None` for cards without ECC.
    pub ecc: Option<EccCounts>,
    /// Whether the driver stays loaded when nobody uses the card.
    pub persistence: Option<bool>,
    /// NVLink connections by link number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nvlinks: Vec<NvLink>,
    /// KiB a second that each trained NVLink connection carries from the card, and to it: its counters go by the clock.
    #[serde(default)]
    pub nvlink_traffic: (u64, u64),
    /// Whether other cards may reach this one's memory.
    pub peer_access: bool,
}

/// Share of the last sample period, percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Utilization {
    /// Time in which kernels ran.
    pub gpu: u32,
    /// Time in which memory was read or written.
    pub memory: u32,
}

/// Megahertz now and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clocks {
    /// Multiprocessors now.
    pub sm: u32,
    /// Memory now.
    pub memory: u32,
    /// Multiprocessors at most.
    pub max_sm: u32,
    /// Memory at most.
    pub max_memory: u32,
}

/// The PCI Express link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pcie {
    /// Generation now (links drop when idle).
    pub generation: u32,
    /// Highest generation that card and slot allow.
    pub max_generation: u32,
    /// Lanes now.
    pub width: u32,
    /// Most lanes that card and slot allow.
    pub max_width: u32,
    /// KB/s from the card.
    pub sent: u32,
    /// KB/s to the card.
    pub received: u32,
}

impl Pcie {
    /// Bytes per second that copies reach: the lanes' rate less the protocol's fifth.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        // Per lane and generation: 2.5 GT/s with 8b/10b coding, then doubling.
        let lane = 250_000_000u64 << self.max_generation.clamp(1, 7).saturating_sub(1);
        (lane * u64::from(self.max_width.max(1)) * 4 / 5).max(1)
    }
}

/// Error counts since the last restart and since manufacture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EccCounts {
    /// Corrected since the driver was loaded.
    pub corrected: u64,
    /// Not correctable, since the driver was loaded.
    pub uncorrected: u64,
    /// Corrected since manufacture.
    pub lifetime_corrected: u64,
    /// Not correctable, since manufacture.
    pub lifetime_uncorrected: u64,
}

/// A process that is not under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherProcess {
    /// Process id.
    pub pid: u32,
    /// Bytes of its contexts on this card; `None` where the driver does not tell (they then count as none).
    pub bytes: Option<u64>,
    /// Whether it draws rather than computes.
    #[serde(default)]
    pub graphics: bool,
}

impl Card {
    /// A process of someone else that computes on this card and holds `bytes`.
    #[must_use]
    pub fn process(mut self, pid: u32, bytes: u64) -> Self {
        self.processes.push(OtherProcess { pid, bytes: Some(bytes), graphics: false });
        self
    }

    /// A process of someone else that draws on this card and holds `bytes`.
    #[must_use]
    pub fn graphics_process(mut self, pid: u32, bytes: u64) -> Self {
        self.processes.push(OtherProcess { pid, bytes: Some(bytes), graphics: true });
        self
    }

    /// Bytes in use by processes that the driver does not list.
    #[must_use]
    pub fn hidden(mut self, bytes: u64) -> Self {
        self.hidden_bytes = bytes;
        self
    }

    /// Whatever else a test wants to change.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// What CUDA calls the total, bytes.
    #[must_use]
    pub fn cuda_total(&self) -> u64 {
        self.nvml_total.saturating_sub(self.reserved)
    }

    /// Whether a PCI address names this card, with a domain of four or eight digits or none.
    #[must_use]
    pub fn is_at(&self, address: &str) -> bool {
        let own = self.pci_bus_id();
        [&own, &own[4..], &own[9..]].iter().any(|form| form.eq_ignore_ascii_case(address))
    }

    /// PCI address as NVML writes it: `00000000:3B:00.0`.
    #[must_use]
    pub fn pci_bus_id(&self) -> String {
        format!("00000000:{:02X}:00.0", self.pci_bus)
    }
}
