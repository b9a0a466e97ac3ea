//! `shardfit/top/1`: the cards at one moment, their memory divided by holder.

use schemars::JsonSchema;
use serde::Serialize;

use super::probe::ToolReport;
use crate::hardware::Absence;
use crate::units::Bytes;

/// The `schema` of this report.
pub const SCHEMA: &str = "shardfit/top/1";

/// The JSON Schema of [`TopReport`].
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(TopReport)
}

/// One plain snapshot, as `top --once` prints it. A value that cannot be had is `null`, and a sibling field ending in `_reason` says why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopReport {
    /// `shardfit/top/1`
    pub schema: &'static str,
    /// Who wrote it.
    pub tool: ToolReport,
    /// Driver version.
    pub driver_version: Option<String>,
    /// Why `driver_version` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_version_reason: Option<Absence>,
    /// Newest CUDA version that the driver supports.
    pub cuda_version: Option<String>,
    /// Why `cuda_version` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda_version_reason: Option<Absence>,
    /// Cards in the driver's order, each followed by its MIG instances.
    pub cards: Vec<TopCard>,
    /// Processes of all cards, largest memory first.
    pub processes: Vec<TopProcess>,
}

/// One card or MIG instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopCard {
    /// NVML index, `0`, or of a MIG instance `0/2`.
    pub card: String,
    /// Whether it has dropped off the bus.
    pub lost: bool,
    /// Product name.
    pub name: Option<String>,
    /// Why `name` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_reason: Option<Absence>,
    /// `GPU-…` or `MIG-…` identity.
    pub uuid: Option<String>,
    /// Why `uuid` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid_reason: Option<Absence>,
    /// Device memory.
    pub memory: Option<TopMemory>,
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
    /// Clock of the multiprocessors in MHz.
    pub sm_clock_mhz: Option<u32>,
    /// Why `sm_clock_mhz` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sm_clock_mhz_reason: Option<Absence>,
    /// Clock of the memory in MHz.
    pub memory_clock_mhz: Option<u32>,
    /// Why `memory_clock_mhz` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_clock_mhz_reason: Option<Absence>,
    /// Power that the card may draw, in milliwatts.
    pub power_limit_milliwatts: Option<u32>,
    /// Why `power_limit_milliwatts` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_limit_milliwatts_reason: Option<Absence>,
    /// Memory errors that could not be corrected since the driver was loaded.
    pub uncorrected_errors: Option<u64>,
    /// Why `uncorrected_errors` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncorrected_errors_reason: Option<Absence>,
    /// Bytes a second from the card over PCIe (`--traffic`).
    pub pcie_sent_bytes_per_second: Option<Bytes>,
    /// Why `pcie_sent_bytes_per_second` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcie_sent_bytes_per_second_reason: Option<Absence>,
    /// Bytes a second to the card over PCIe (`--traffic`).
    pub pcie_received_bytes_per_second: Option<Bytes>,
    /// Why `pcie_received_bytes_per_second` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcie_received_bytes_per_second_reason: Option<Absence>,
    /// Payload bytes a second from the card over all its NVLink connections (`--traffic`).
    pub nvlink_sent_bytes_per_second: Option<Bytes>,
    /// Why `nvlink_sent_bytes_per_second` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvlink_sent_bytes_per_second_reason: Option<Absence>,
    /// Payload bytes a second to the card over all its NVLink connections (`--traffic`).
    pub nvlink_received_bytes_per_second: Option<Bytes>,
    /// Why `nvlink_received_bytes_per_second` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvlink_received_bytes_per_second_reason: Option<Absence>,
    /// Why none of its processes are in the list; absent when they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes_reason: Option<Absence>,
}

/// Device memory by holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopMemory {
    /// NVML total, as `nvidia-smi` shows it.
    pub total_bytes: Bytes,
    /// Kept by driver and firmware.
    pub reserved_bytes: Option<Bytes>,
    /// Why `reserved_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_bytes_reason: Option<Absence>,
    /// In use.
    pub used_bytes: Bytes,
    /// Held by this tool's own processes.
    pub own_bytes: Option<Bytes>,
    /// Why `own_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_bytes_reason: Option<Absence>,
    /// Held by all others: used − own.
    pub other_processes_bytes: Option<Bytes>,
    /// Why `other_processes_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_processes_bytes_reason: Option<Absence>,
    /// The part of it that no listed process accounts for.
    pub unlisted_bytes: Option<Bytes>,
    /// Why `unlisted_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted_bytes_reason: Option<Absence>,
    /// Free.
    pub free_bytes: Bytes,
}

/// One process on one card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopProcess {
    /// The card, as [`TopCard::card`] names it.
    pub card: String,
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
}
