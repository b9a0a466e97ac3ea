//! `shardfit/probe/1`: the cards of a machine at one moment, who holds their memory, and what a CUDA process would see of them.

mod card;
mod cuda;
mod holders;
mod memory;
mod mig;
mod peers;

use schemars::JsonSchema;
use serde::Serialize;

pub use card::{CardReport, PcieReport};
pub use cuda::{CudaDevice, CudaEnvironment, CudaView, DeviceName};
pub use holders::{ProcessReport, Unlisted};
pub use memory::MemoryReport;
pub use mig::{MigInstanceReport, MigReport};
pub use peers::{PeerGroup, PeerReport};

use crate::hardware::{Absence, CardState, Reading, Snapshot};

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
