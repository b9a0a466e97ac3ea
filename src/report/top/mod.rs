//! `shardfit/top/1`: the cards at one moment and who holds their memory.

mod text;

use schemars::JsonSchema;
use serde::Serialize;

use crate::units::Bytes;

/// One plain snapshot, as `top --once` prints it. A value that the driver did not tell is `null` with a `…_reason` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopReport {
    /// `shardfit/top/1`.
    pub schema: &'static str,
    /// Who wrote it.
    pub tool: Tool,
    /// Driver version.
    pub driver_version: Option<String>,
    /// Newest CUDA version that the driver supports.
    pub cuda_version: Option<String>,
    /// Cards in the driver's order, each followed by its MIG instances.
    pub cards: Vec<TopCard>,
    /// Processes of all cards, largest memory first.
    pub processes: Vec<TopProcess>,
}

/// The program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tool {
    /// `shardfit`.
    pub name: &'static str,
    /// Version of the package.
    pub version: &'static str,
}

/// One card or MIG instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopCard {
    /// NVML index, `0`, or of a MIG instance `0:2`.
    pub card: String,
    /// Driver's UUID.
    pub uuid: Option<String>,
    /// Product name.
    pub name: Option<String>,
    /// NVML total, the driver's own part included.
    pub total_bytes: Option<Bytes>,
    /// What processes can share: total − reserved.
    pub capacity_bytes: Option<Bytes>,
    /// Held by driver and firmware; when unknown, `used_bytes` includes it.
    pub reserved_bytes: Option<Bytes>,
    /// Allocated.
    pub used_bytes: Option<Bytes>,
    /// Held by this tool's own processes.
    pub own_bytes: Option<Bytes>,
    /// Held by all other processes.
    pub other_processes_bytes: Option<Bytes>,
    /// The part of it that no listed process accounts for.
    pub unseen_bytes: Option<Bytes>,
    /// Neither allocated nor reserved.
    pub free_bytes: Option<Bytes>,
    /// Why total, capacity, used and free are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reason: Option<&'static str>,
    /// Why reserved is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_reason: Option<&'static str>,
    /// Why memory is not divided between own and other processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_reason: Option<&'static str>,
    /// Why it is not known how much is unseen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen_reason: Option<&'static str>,
    /// Share of time in which kernels ran, in percent.
    pub utilization_percent: Option<u32>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_reason: Option<&'static str>,
    /// Degrees Celsius.
    pub temperature_celsius: Option<u32>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_reason: Option<&'static str>,
    /// Power draw in milliwatts.
    pub power_milliwatts: Option<u32>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_reason: Option<&'static str>,
    /// Why the processes are not known; none are listed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes_reason: Option<&'static str>,
}

/// One process on one card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopProcess {
    /// The card, as [`TopCard::card`] names it.
    pub card: String,
    /// Process id in the host's namespace.
    pub pid: u32,
    /// Owner.
    pub user: Option<String>,
    /// Short name; `null` when the process is not visible from here.
    pub name: Option<String>,
    /// Command line.
    pub command: Option<String>,
    /// Memory it holds on the card.
    pub used_bytes: Option<Bytes>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_reason: Option<&'static str>,
    /// An engine's worker whose parent is gone.
    pub orphan: bool,
}

impl TopReport {
    /// Name and version of this schema.
    pub const SCHEMA: &'static str = "shardfit/top/1";
}

impl Default for Tool {
    fn default() -> Self {
        Self { name: "shardfit", version: env!("CARGO_PKG_VERSION") }
    }
}
