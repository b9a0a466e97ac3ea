//! `shardfit/probe/1`: the cards of a machine at one moment, who holds their memory, and what a CUDA process would see of them.

mod cuda;
mod peers;

use schemars::JsonSchema;
use serde::Serialize;

pub use cuda::{CudaDevice, CudaEnvironment, CudaView, DeviceName};
pub use peers::{PeerGroup, PeerReport};

use crate::hardware::{Absence, CardState, MemoryState, MigInstance, MigMode, ProcessState, Reading, Snapshot};
use crate::units::Bytes;

/// The `schema` of this report.
pub const SCHEMA: &str = "shardfit/probe/1";

/// The JSON Schema of [`ProbeReport`].
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(ProbeReport)
}

/// Who told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeSource {
    /// The driver of this machine.
    Live,
    /// A recording.
    Recording,
}

/// The program that wrote a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ToolReport {
    /// `shardfit`
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// What `probe` prints. A value that cannot be had is `null`, and a sibling field ending in `_reason` says why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProbeReport {
    /// `shardfit/probe/1`
    pub schema: &'static str,
    /// Who wrote it.
    pub tool: ToolReport,
    /// Whether the cards are those of this machine.
    pub source: ProbeSource,
    /// Driver version, such as `570.124.06`.
    pub driver_version: Option<String>,
    /// Why `driver_version` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_version_reason: Option<Absence>,
    /// Newest CUDA version the driver supports.
    pub cuda_version: Option<String>,
    /// Why `cuda_version` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda_version_reason: Option<Absence>,
    /// The cards in the order of `nvidia-smi`.
    pub cards: Vec<CardReport>,
    /// How each pair of cards is joined, each unordered pair once.
    pub peers: Vec<PeerReport>,
    /// What a CUDA process would see.
    pub cuda: CudaView,
    /// What asks for a person's attention.
    pub warnings: Vec<String>,
}

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

/// What memory is that is in use and listed for no process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// No more than a card uses for itself.
    OwnUse,
    /// Processes that cannot be seen from here: those of other containers.
    UnseenProcesses,
    /// The driver's reserved part, which this driver does not tell apart, and perhaps unseen processes.
    ReservedOrUnseen,
}

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

/// A process that holds memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProcessReport {
    /// Process id.
    pub pid: u32,
    /// Memory on this card, the CUDA context included.
    pub used_bytes: Option<Bytes>,
    /// Why `used_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes_reason: Option<Absence>,
    /// Short name.
    pub name: Option<String>,
    /// Why `name` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_reason: Option<&'static str>,
    /// Command line.
    pub command: Option<String>,
    /// Why `command` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_reason: Option<&'static str>,
    /// Owner.
    pub user: Option<String>,
    /// Why `user` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_reason: Option<&'static str>,
    /// Whether it is an engine's worker whose engine is gone.
    pub orphan: bool,
    /// GPU instance it runs on, on a partitioned card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_instance: Option<u32>,
}

impl ProbeReport {
    /// The report of a snapshot, with what a process under `environment` would see.
    #[must_use]
    pub fn new(snapshot: &Snapshot, source: ProbeSource, environment: &CudaEnvironment) -> Self {
        let (driver_version, driver_version_reason) = split(snapshot.driver_version.clone());
        let (cuda_version, cuda_version_reason) = split(snapshot.cuda_version.clone());
        Self {
            schema: SCHEMA,
            tool: ToolReport { name: "shardfit", version: env!("CARGO_PKG_VERSION") },
            source,
            driver_version,
            driver_version_reason,
            cuda_version,
            cuda_version_reason,
            cards: snapshot
                .cards
                .iter()
                .map(|card| CardReport::new(card, reserved_counts_as_used(snapshot, card)))
                .collect(),
            peers: snapshot.peers.iter().map(PeerReport::new).collect(),
            cuda: CudaView::new(snapshot, environment),
            warnings: warnings(snapshot),
        }
    }

    /// Indices of the cards that have dropped off the bus.
    #[must_use]
    pub fn lost_cards(&self) -> Vec<u32> {
        self.cards.iter().filter(|card| card.lost).map(|card| card.index).collect()
    }

    /// Pairs of cards that are joined alike, in the order of their first pair.
    #[must_use]
    pub fn peer_groups(&self) -> Vec<PeerGroup<'_>> {
        peers::groups(&self.peers)
    }
}

/// A reading as a value and, beside it, why there is none.
fn split<T>(reading: Reading<T>) -> (Option<T>, Option<Absence>) {
    match reading.told() {
        Ok(value) => (Some(value), None),
        Err(absence) => (None, Some(absence)),
    }
}

impl CardReport {
    fn new(card: &CardState, reserved_counts_as_used: bool) -> Self {
        let (name, name_reason) = split(card.name.clone());
        let (uuid, uuid_reason) = split(card.uuid.clone());
        let (pci_bus_id, pci_bus_id_reason) = split(card.pci_bus_id.clone());
        let (compute_capability, compute_capability_reason) =
            split(card.compute_capability.map(|(major, minor)| format!("{major}.{minor}")));
        let (memory, memory_reason) = split(card.memory.map(MemoryReport::new));
        let (utilization_percent, utilization_percent_reason) = split(card.utilization_percent);
        let (temperature_celsius, temperature_celsius_reason) = split(card.temperature_celsius);
        let (power_milliwatts, power_milliwatts_reason) = split(card.power_milliwatts);
        let (pcie, pcie_reason) = split(card.pcie.map(|link| PcieReport {
            generation: link.generation,
            width: link.width,
            max_generation: link.max_generation,
            max_width: link.max_width,
        }));
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

impl Unlisted {
    fn of(bytes: Bytes, reserved_counts_as_used: bool) -> Self {
        match (bytes <= CardState::OWN_USE, reserved_counts_as_used) {
            (true, _) => Self::OwnUse,
            (false, false) => Self::UnseenProcesses,
            (false, true) => Self::ReservedOrUnseen,
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::OwnUse => "nobody: the card's own use",
            Self::UnseenProcesses => "unseen: processes of other containers",
            Self::ReservedOrUnseen => "the driver's reserved part, not told apart here, or unseen processes",
        }
    }
}

impl MemoryReport {
    fn new(memory: MemoryState) -> Self {
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

impl MigReport {
    fn new(mode: &MigMode) -> Self {
        match mode {
            MigMode::Disabled => Self { enabled: false, instances: Vec::new() },
            MigMode::Enabled(instances) => {
                Self { enabled: true, instances: instances.iter().map(MigInstanceReport::new).collect() }
            }
        }
    }
}

impl MigInstanceReport {
    fn new(instance: &MigInstance) -> Self {
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

impl ProcessReport {
    fn new(process: &ProcessState) -> Self {
        let unseen = |absent: bool| absent.then_some("not visible from here");
        let (used_bytes, used_bytes_reason) = split(process.used);
        Self {
            pid: process.pid,
            used_bytes,
            used_bytes_reason,
            name: process.name.clone(),
            name_reason: unseen(process.name.is_none()),
            command: process.command.clone(),
            command_reason: unseen(process.command.is_none()),
            user: process.user.clone(),
            user_reason: unseen(process.user.is_none()),
            orphan: process.orphan,
            gpu_instance: process.gpu_instance,
        }
    }
}

/// First driver branch whose NVML total includes the reserved part, and which tells that part by memory info v2.
const RESERVED_IN_TOTAL: u32 = 510;

fn reserved_is_untold(card: &CardState) -> bool {
    card.memory.known().is_some_and(|memory| memory.reserved.known().is_none())
}

/// Whether `used` holds the reserved part: a recent driver that answers only the v1 call, as under WSL.
fn reserved_counts_as_used(snapshot: &Snapshot, card: &CardState) -> bool {
    reserved_is_untold(card) && snapshot.driver_branch().is_none_or(|branch| branch >= RESERVED_IN_TOTAL)
}

fn warnings(snapshot: &Snapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    for card in &snapshot.cards {
        let index = card.index;
        if card.is_lost() {
            warnings.push(format!(
                "card {index} is lost: it no longer answers on the bus; see `dmesg`, then reset it or reboot"
            ));
        }
        if reserved_counts_as_used(snapshot, card) {
            warnings.push(format!(
                "card {index}: the driver does not tell its reserved memory apart, so `used` includes it and the CUDA total is unknown"
            ));
        } else if reserved_is_untold(card) {
            warnings.push(format!(
                "card {index}: this old driver leaves its reserved memory out of the total, so the CUDA total is within a few MiB of it"
            ));
        }
        for process in card.processes.as_ref().known().into_iter().flatten().filter(|process| process.orphan) {
            let held = process.used.known().map_or_else(|| "memory".to_owned(), |bytes| bytes.to_string());
            let pid = process.pid;
            warnings.push(format!(
                "card {index}: process {pid} holds {held} for an engine that is gone; `kill {pid}` frees it"
            ));
        }
    }
    warnings
}
