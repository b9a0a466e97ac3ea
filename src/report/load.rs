//! `shardfit/load/1`: what a load placed and measured, beside what the plan said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PlanReport, Tool};
use crate::planning::{Holder, Reconciled};
use crate::units::Bytes;

/// A load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadReport {
    /// `shardfit/load/1`.
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// Whether every byte is where the plan wants it and the driver agrees.
    pub confirmed: bool,
    /// One sentence.
    pub message: String,
    /// What went wrong, when something did; the rest is what had been done until then.
    pub failure: Option<FailureReport>,
    /// The plan that was carried out.
    pub plan: PlanReport,
    /// What was put on the cards: `weights`, `kv` (and the weights) or `all` (and the workspace of the activation peak).
    pub with: String,
    /// The backend: `cuda`, or `host`, which proves placement and bytes and no GPU.
    pub device: String,
    /// Why that backend.
    pub device_reason: String,
    /// Reading.
    pub read: ReadReport,
    /// Each rank.
    pub ranks: Vec<LoadedRank>,
    /// Each card that holds a rank.
    pub cards: Vec<LoadedCard>,
    /// What was compared with the files.
    pub verification: VerificationReport,
    /// Predicted against observed.
    pub reconciliation: Vec<ReconciliationLine>,
    /// What the cards' accounts say when they are laid side by side: who was there before, imbalance, what was not explained.
    pub findings: Vec<String>,
    /// What the reader must know.
    pub warnings: Vec<String>,
}

/// Why a load failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureReport {
    /// What went wrong, with rank, tensor, file and bytes placed.
    pub message: String,
    /// Global rank.
    pub rank: Option<u32>,
    /// Tensor.
    pub tensor: Option<String>,
    /// File.
    pub file: Option<String>,
    /// Bytes on cards when it failed.
    pub placed_bytes: Bytes,
}

/// Reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReadReport {
    /// `files`, or `generated` for a rehearsal without them.
    pub source: String,
    /// Bytes read from files, each once.
    pub file_bytes: Bytes,
    /// From the first read to the last byte on a card.
    pub seconds: Option<f64>,
    /// File bytes per second, in units of 10^9.
    pub gigabytes_per_second: Option<f64>,
    /// Staging memory.
    pub staging_bytes: Bytes,
    /// Largest single read.
    pub buffer_bytes: Bytes,
    /// Reading threads.
    pub workers: u32,
    /// Files read around the page cache (direct I/O).
    pub direct_files: u32,
    /// Files read through the page cache.
    pub buffered_files: u32,
}

/// One rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadedRank {
    /// Global rank.
    pub rank: u32,
    /// Its card: `cuda:0`.
    pub device: String,
    /// Tensors placed.
    pub tensors: u64,
    /// Bytes that the plan constructs.
    pub predicted_bytes: Bytes,
    /// Bytes of files that arrived, after conversion.
    pub placed_bytes: Bytes,
    /// Bytes of padding and of values that the engine computes, zeros here.
    pub zeroed_bytes: Bytes,
    /// The rank's single allocation: tensors and their alignment.
    pub arena_bytes: Bytes,
    /// KV pool allocated; 0 when it was not asked for.
    pub kv_cache_bytes: Bytes,
    /// Allocations of the KV pool.
    pub kv_cache_allocations: u64,
    /// Workspace allocated; 0 when it was not asked for.
    pub workspace_bytes: Bytes,
    /// From the start to the rank's last byte.
    pub seconds: Option<f64>,
    /// Bytes that arrived per second, in units of 10^9.
    pub gigabytes_per_second: Option<f64>,
    /// Bytes compared with the files.
    pub compared_bytes: Bytes,
    /// Whether what was compared was equal; `null` when nothing was.
    pub verified: Option<bool>,
}

/// One card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadedCard {
    /// `cuda:0`.
    pub device: String,
    /// Product name.
    pub name: String,
    /// Identity.
    pub uuid: Option<String>,
    /// CUDA total, or the stated capacity of a host card.
    pub capacity_bytes: Bytes,
    /// Who held memory before the load.
    pub baseline: BaselineReport,
    /// Memory at the end of each step.
    pub phases: Vec<PhaseReport>,
    /// The most in use at the end of any step, by NVML, or by the driver where NVML is silent.
    pub peak_used_bytes: Option<Bytes>,
}

/// A card before the load touched it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineReport {
    /// In use.
    pub used_bytes: Option<Bytes>,
    /// Why there is no figure.
    pub used_reason: Option<String>,
    /// In use, and listed for no process.
    pub unlisted_bytes: Option<Bytes>,
    /// Processes that held memory.
    pub processes: Vec<HolderReport>,
    /// NVML's total less what is reserved; to be compared with the driver's `capacity_bytes`.
    pub nvml_cuda_total_bytes: Option<Bytes>,
    /// Profile of a MIG slice, as the driver names it.
    pub mig_slice: Option<String>,
    /// NVML index of the card that the slice is cut from.
    pub mig_card: Option<u32>,
}

/// A process on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HolderReport {
    /// Process id, in NVML's namespace.
    pub pid: u32,
    /// Short name, where visible.
    pub name: Option<String>,
    /// Bytes on the card, where NVML tells.
    pub used_bytes: Option<Bytes>,
    /// An engine's worker whose engine is gone.
    pub orphan: bool,
}

impl From<&Holder> for HolderReport {
    fn from(holder: &Holder) -> Self {
        Self { pid: holder.pid, name: holder.name.clone(), used_bytes: holder.bytes, orphan: holder.orphan }
    }
}

/// A card's memory at the end of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseReport {
    /// `before`, `context`, `arena`, `loaded`, `verified`, `kv`, `peak`, `freed`, `released`.
    pub phase: String,
    /// Total by the driver's own account (`cuMemGetInfo`).
    pub driver_total_bytes: Option<Bytes>,
    /// Free by the same.
    pub driver_free_bytes: Option<Bytes>,
    /// In use by the driver's own account (`cuMemGetInfo`).
    pub driver_used_bytes: Option<Bytes>,
    /// Why there is none.
    pub driver_used_reason: Option<String>,
    /// In use by NVML.
    pub nvml_used_bytes: Option<Bytes>,
    /// Why there is none.
    pub nvml_used_reason: Option<String>,
    /// Total by NVML, the reserved part included.
    pub nvml_total_bytes: Option<Bytes>,
    /// Held by driver and firmware, by NVML.
    pub nvml_reserved_bytes: Option<Bytes>,
    /// Held by this process, by NVML's list.
    pub own_bytes: Option<Bytes>,
    /// Why there is none.
    pub own_reason: Option<String>,
}

/// What was compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationReport {
    /// `none`, `sample`, `checksum` or `full`.
    pub mode: String,
    /// Whether all that was compared was equal; `null` when nothing was.
    pub verified: Option<bool>,
    /// Bytes compared.
    pub compared_bytes: Bytes,
    /// How long it took.
    pub seconds: Option<f64>,
}

/// Predicted against observed, one line a card and component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReconciliationLine {
    /// `cuda:0`.
    pub device: String,
    /// What is compared.
    pub line: String,
    /// By the plan.
    pub predicted_bytes: Bytes,
    /// By the driver; `null` for lines that only the engine would create.
    pub observed_bytes: Option<Bytes>,
    /// Observed − predicted.
    pub difference_bytes: Option<i64>,
    /// Largest difference that counts as agreement.
    pub tolerance_bytes: Bytes,
    /// `agrees`, `disagrees`, `not_exercised` or `not_observable`.
    pub status: String,
}

impl From<Reconciled> for ReconciliationLine {
    fn from(line: Reconciled) -> Self {
        Self {
            status: line.status().to_owned(),
            difference_bytes: line.difference().map(|d| d.as_i64()),
            device: line.device,
            line: line.what.to_owned(),
            predicted_bytes: line.predicted,
            tolerance_bytes: line.tolerance,
            observed_bytes: line.observed,
        }
    }
}

impl LoadReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "shardfit/load/1";
}
