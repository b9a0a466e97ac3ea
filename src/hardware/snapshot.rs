//! What the cards reported at one moment.

use serde::{Deserialize, Serialize};

use super::Reading;
use crate::units::Bytes;

/// All cards of a machine at one moment. Serialised as a recording, so that tests and replays read what a real machine said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Driver version, such as `570.124.06`.
    pub driver_version: Reading<String>,
    /// Newest CUDA version that the driver supports, such as `12.8`.
    pub cuda_version: Reading<String>,
    /// Cards in NVML order (by PCI address).
    pub cards: Vec<CardState>,
    /// Peer access between pairs of cards, each unordered pair once.
    pub peers: Vec<PeerLink>,
}

impl Snapshot {
    /// The card of an NVML index.
    #[must_use]
    pub fn card(&self, index: u32) -> Option<&CardState> {
        self.cards.iter().find(|card| card.index == index)
    }

    /// The driver's branch: 570 of `570.124.06`.
    #[must_use]
    pub fn driver_branch(&self) -> Option<u32> {
        self.driver_version.as_ref().known()?.split('.').next()?.parse().ok()
    }
}

/// One card at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardState {
    /// NVML index.
    pub index: u32,
    /// `GPU-…` identity, stable over reboots.
    pub uuid: Reading<String>,
    /// Product name as the driver gives it.
    pub name: Reading<String>,
    /// PCI address, `00000000:3B:00.0`.
    pub pci_bus_id: Reading<String>,
    /// CUDA compute capability, (major, minor).
    pub compute_capability: Reading<(u32, u32)>,
    /// Device memory.
    pub memory: Reading<MemoryState>,
    /// Who holds memory; other containers' processes may be missing from it.
    pub processes: Reading<Vec<ProcessState>>,
    /// MIG mode and instances.
    pub mig: Reading<MigMode>,
    /// Current PCIe link.
    pub pcie: Reading<PcieLink>,
    /// Degrees Celsius.
    pub temperature_celsius: Reading<u32>,
    /// Power draw in milliwatts.
    pub power_milliwatts: Reading<u32>,
    /// Share of the last sample period in which kernels ran, in percent.
    pub utilization_percent: Reading<u32>,
    /// What a monitor shows beside these; not in recordings of older versions.
    #[serde(default)]
    pub vitals: Vitals,
}

/// Readings of a card that tell how it works rather than what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// Clock of the multiprocessors in MHz.
    pub sm_clock_mhz: Reading<u32>,
    /// Clock of the memory in MHz.
    pub memory_clock_mhz: Reading<u32>,
    /// Power that the card may draw, in milliwatts.
    pub power_limit_milliwatts: Reading<u32>,
    /// Memory errors that could not be corrected since the driver was loaded.
    pub uncorrected_errors: Reading<u64>,
    /// Bytes a second from the card over PCIe, as the driver measured them for 20 ms.
    pub pcie_sent_per_second: Reading<Bytes>,
    /// Bytes a second to the card over PCIe.
    pub pcie_received_per_second: Reading<Bytes>,
    /// Payload bytes a second from the card over all its NVLink connections, since the sample before.
    #[serde(default)]
    pub nvlink_sent_per_second: Reading<Bytes>,
    /// Payload bytes a second to the card over all its NVLink connections.
    #[serde(default)]
    pub nvlink_received_per_second: Reading<Bytes>,
}

impl CardState {
    /// What `used` can exceed the listed processes by when there is nobody else: an idle data-centre card shows up to 15 MiB of its own
    /// under memory info v2, and a process's entry leaves out up to 30 MiB of what was set up for it (field observations).
    pub const OWN_USE: Bytes = Bytes::mib(45);

    /// The order of a card's processes: largest memory first, unknown last, then by number.
    #[must_use]
    pub fn process_order(process: &ProcessState) -> (std::cmp::Reverse<Option<Bytes>>, u32, Option<u32>) {
        (std::cmp::Reverse(process.used.known()), process.pid, process.gpu_instance)
    }

    /// A card of which nothing but its index can be read, each reading absent for the reason of `absent`.
    #[must_use]
    pub fn unreadable(index: u32, absent: Reading<()>) -> Self {
        fn same<T>(absent: Reading<()>) -> Reading<T> {
            absent.and_then(|()| Reading::Failed)
        }
        Self {
            index,
            uuid: same(absent),
            name: same(absent),
            pci_bus_id: same(absent),
            compute_capability: same(absent),
            memory: same(absent),
            processes: same(absent),
            mig: same(absent),
            pcie: same(absent),
            temperature_celsius: same(absent),
            power_milliwatts: same(absent),
            utilization_percent: same(absent),
            vitals: Vitals {
                sm_clock_mhz: same(absent),
                memory_clock_mhz: same(absent),
                power_limit_milliwatts: same(absent),
                uncorrected_errors: same(absent),
                pcie_sent_per_second: same(absent),
                pcie_received_per_second: same(absent),
                nvlink_sent_per_second: same(absent),
                nvlink_received_per_second: same(absent),
            },
        }
    }

    /// Memory in use that no listed process accounts for: used − the sum of the listed processes. Other containers' processes are in it,
    /// and the card's [own use](Self::OWN_USE); under a v1 reading also the driver's reserved part. Unknown when any of its parts is.
    pub fn unlisted(&self) -> Reading<Bytes> {
        self.memory.and_then(|memory| {
            self.processes.as_ref().and_then(|processes| {
                let listed = processes.iter().map(|p| p.used).try_fold(Bytes::ZERO, |sum, used| match used {
                    Reading::Known(bytes) => Ok(sum + bytes),
                    absent => Err(absent),
                });
                match listed {
                    Ok(listed) => Reading::Known(memory.used.saturating_sub(listed)),
                    Err(absent) => absent,
                }
            })
        })
    }

    /// Whether the card has dropped off the bus.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self.memory, Reading::Lost) || matches!(self.name, Reading::Lost)
    }
}

/// Device memory as NVML tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryState {
    /// NVML total, the driver's own part included.
    pub total: Bytes,
    /// Held by the driver and firmware; unsupported where only the v1 call answers, whose `used` then includes it.
    pub reserved: Reading<Bytes>,
    /// Allocated.
    pub used: Bytes,
    /// Neither allocated nor reserved.
    pub free: Bytes,
}

impl MemoryState {
    /// What the CUDA driver calls the total: NVML total − reserved. Unknown where reserved is.
    #[must_use]
    pub fn cuda_total(&self) -> Option<Bytes> {
        self.reserved.known().map(|reserved| self.total.saturating_sub(reserved))
    }
}

/// One process that holds memory on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessState {
    /// Process id in the namespace NVML reports (the host's).
    pub pid: u32,
    /// Memory of its contexts on this card, the context itself included.
    pub used: Reading<Bytes>,
    /// Short name; `None` when the process is not visible from here (another container, or gone).
    pub name: Option<String>,
    /// Command line, arguments joined by spaces.
    pub command: Option<String>,
    /// Owner.
    pub user: Option<String>,
    /// An engine's worker whose parent is gone: memory held for nobody.
    pub orphan: bool,
    /// The MIG instance it runs on.
    pub gpu_instance: Option<u32>,
}

/// Whether a card is partitioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigMode {
    /// Whole card.
    Disabled,
    /// Partitioned; the instances at hand.
    Enabled(Vec<MigInstance>),
}

impl CardState {
    /// The MIG devices of a partitioned card; `None` for a whole one, and where the mode is unknown.
    #[must_use]
    pub fn mig_instances(&self) -> Option<&[MigInstance]> {
        match &self.mig {
            Reading::Known(MigMode::Enabled(instances)) => Some(instances),
            _ => None,
        }
    }
}

/// One MIG device: to CUDA, a card of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigInstance {
    /// Index among the card's MIG devices.
    pub index: u32,
    /// `MIG-…` identity.
    pub uuid: Reading<String>,
    /// Name with its profile, `NVIDIA A100-SXM4-80GB MIG 1g.10gb`.
    pub name: Reading<String>,
    /// GPU instance id, as process lists name it.
    pub gpu_instance: Reading<u32>,
    /// Memory of the slice.
    pub memory: Reading<MemoryState>,
}

/// Current PCIe link of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcieLink {
    /// Generation now (links drop when idle).
    pub generation: u32,
    /// Lanes now.
    pub width: u32,
    /// Highest generation card and slot allow.
    pub max_generation: u32,
    /// Most lanes card and slot allow.
    pub max_width: u32,
}

/// How two cards reach each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLink {
    /// NVML index of the first card.
    pub a: u32,
    /// NVML index of the second card.
    pub b: u32,
    /// Active NVLink connections between the two, when the driver tells.
    pub nvlinks: Reading<u32>,
    /// Whether one can read the other's memory.
    pub peer_access: Reading<bool>,
    /// What lies between them, `single switch`, `host bridge`, `node`, `system`.
    pub common_ancestor: Reading<String>,
}
