//! `shardfit/load/1`: what a load did on the cards, what they said of it, and how that compares with the plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PlanReport, Tool};
use crate::units::Bytes;

/// The `schema` of this report.
pub const SCHEMA: &str = "shardfit/load/1";

/// The JSON Schema of [`LoadReport`].
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(LoadReport)
}

/// A load. A value that cannot be had is `null`, and a sibling field ending in `_reason` says why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadReport {
    /// `shardfit/load/1`.
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// How it ended.
    pub state: LoadState,
    /// On which kind of cards.
    pub device: DeviceKind,
    /// Why it failed.
    pub failure: Option<FailureReport>,
    /// The plan that was carried out; `null` when a load is reported by itself.
    pub plan: Option<Box<PlanReport>>,
    /// How bytes went from files to cards.
    pub transfer: TransferReport,
    /// Each rank.
    pub ranks: Vec<RankLoadReport>,
    /// Each card that got a shard.
    pub cards: Vec<CardLoadReport>,
    /// What was read back and compared.
    pub verification: VerificationReport,
    /// The plan against the cards; empty until somebody reconciles.
    pub reconciliation: Vec<ReconciliationLine>,
    /// What the reader must know.
    pub warnings: Vec<String>,
}

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadState {
    /// All shards were on their cards, and nothing that was compared differed.
    Loaded,
    /// Something refused or failed; see `failure`.
    Failed,
    /// It was told to stop.
    Cancelled,
}

/// On which kind of cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// CUDA devices.
    Cuda,
    /// Host memory: placement and bytes are proven, not that a GPU holds them.
    Host,
}

/// Why and where a load failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureReport {
    /// What went wrong, in words.
    pub message: String,
    /// Global rank.
    pub rank: Option<u32>,
    /// Tensor.
    pub tensor: Option<String>,
    /// File.
    pub file: Option<String>,
    /// Bytes that were on the cards by then.
    pub placed_bytes: Bytes,
}

/// How bytes went from files to cards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TransferReport {
    /// Bytes read from files, each once.
    pub read_bytes: Bytes,
    /// Bytes that arrived on cards, all ranks together.
    pub placed_bytes: Bytes,
    /// From the first read to the last byte on a card.
    pub seconds: Option<f64>,
    /// Bytes read per second, in units of 10^9.
    pub gigabytes_per_second: Option<f64>,
    /// All staging memory.
    pub staging_bytes: Bytes,
    /// One staging buffer, and so the largest read.
    pub buffer_bytes: Bytes,
    /// Reading threads.
    pub workers: usize,
}

/// One rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankLoadReport {
    /// Global rank.
    pub rank: u32,
    /// Index into `cards`; `null` when the card was not reached.
    pub card: Option<usize>,
    /// Number of tensors.
    pub tensors: usize,
    /// Its single allocation, tensors aligned.
    pub arena_bytes: Bytes,
    /// Bytes of files it needs, as stored.
    pub file_bytes: Bytes,
    /// Bytes from files that arrived, converted where the engine converts.
    pub placed_bytes: Bytes,
    /// Bytes that should arrive.
    pub expected_bytes: Bytes,
    /// Padding, and values that the engine computes: zeros here.
    pub zeroed_bytes: Bytes,
    /// Bytes compared with the files.
    pub compared_bytes: Bytes,
    /// From the start of the load to the rank's last byte.
    pub seconds: Option<f64>,
    /// Bytes placed per second, in units of 10^9.
    pub gigabytes_per_second: Option<f64>,
    /// Whether what was compared was right; `null` when nothing was.
    pub verified: Option<bool>,
}

/// One card, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CardLoadReport {
    /// CUDA ordinal, or number of the host card.
    pub ordinal: u32,
    /// Product name.
    pub name: String,
    /// Identity without prefix, as the CUDA driver gives it; a host card has none.
    pub uuid: Option<String>,
    /// CUDA total, or the stated capacity of a host card.
    pub total_bytes: Bytes,
    /// Memory at the end of each step.
    pub steps: Vec<StepReport>,
}

/// Memory of one card at the end of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// `before`, `context`, `arena`, `loaded`, `verified`, `freed`, `released`.
    pub step: String,
    /// What everyone holds, by the device's own driver (`cuMemGetInfo`).
    pub driver_used_bytes: Option<Bytes>,
    /// Why there is no driver value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_reason: Option<String>,
    /// What everyone holds, by NVML.
    pub nvml_used_bytes: Option<Bytes>,
    /// Why there is no NVML value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvml_reason: Option<String>,
}

/// What was read back and compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationReport {
    /// `none`, `sample` or `full`.
    pub mode: String,
    /// Bytes compared, padding included; `null` when it did not come to that.
    pub compared_bytes: Option<Bytes>,
    /// Bytes read a second time from files for it.
    pub read_again_bytes: Option<Bytes>,
    /// How long it took.
    pub seconds: Option<f64>,
}

/// One line of the plan against what was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReconciliationLine {
    /// Global rank; `null` for a line of the whole load.
    pub rank: Option<u32>,
    /// What the line counts: `weights`, `context`, …
    pub component: String,
    /// What the plan says.
    pub predicted_bytes: Option<Bytes>,
    /// What was seen.
    pub observed_bytes: Option<Bytes>,
    /// Observed − predicted; `null` unless both are known.
    pub difference_bytes: Option<i64>,
    /// How to read it.
    pub status: ReconciliationStatus,
}

/// How a line came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReconciliationStatus {
    /// Equal within tolerance.
    Agrees,
    /// Beyond tolerance.
    Disagrees,
    /// Seen, and in no line of the plan.
    Unexplained,
    /// Only the engine itself would create it.
    NotExercised,
    /// One side could not be read.
    Unknown,
}
