//! `shardfit/plan/1`: what a plan prints as JSON, and what its renderers format.

mod answer;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engines::Cause;
use crate::report::HostReport;
use crate::units::{Basis, Bytes, Tokens};

/// Name and version of the program that wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `shardfit`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Tool {
    /// This program.
    #[must_use]
    pub fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReport {
    /// `shardfit/plan/1`.
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// The model.
    pub model: ModelReport,
    /// The engine.
    pub engine: EngineReport,
    /// The layout.
    pub layout: LayoutReport,
    /// The cards.
    pub fleet: FleetReport,
    /// The workload as the engine resolved it.
    pub workload: WorkloadReport,
    /// One entry a rank; under a device map one a card.
    pub ranks: Vec<RankReport>,
    /// Host memory.
    pub host: HostReport,
    /// The KV pool.
    pub capacity: CapacityReport,
    /// The answer.
    pub verdict: VerdictReport,
    /// Confirmed repairs, best first.
    pub advice: Vec<AdviceReport>,
    /// What was tried and does not help.
    pub rejected_advice: Vec<RejectedReport>,
    /// What the reader must know.
    pub warnings: Vec<String>,
    /// What was taken for granted for want of a statement.
    pub assumptions: Vec<String>,
    /// The estimated line whose bounds lie furthest apart.
    pub weakest_line: Option<WeakestLine>,
}

/// The model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelReport {
    /// Hub id or folder name.
    pub id: Option<String>,
    /// Architecture class.
    pub architecture: String,
    /// Parameters before quantisation, shared ones once.
    pub parameters: u64,
    /// Bytes of the checkpoint's tensors.
    pub checkpoint_bytes: Option<Bytes>,
    /// Why there is no figure.
    pub checkpoint_bytes_reason: Option<String>,
    /// `checkpoint`, `config`, `gguf`, `profile` or `hub`.
    pub source: String,
}

/// The engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineReport {
    /// Name.
    pub name: String,
    /// Version planned for.
    pub version: String,
    /// `flag`, `image_tag`, `installed` or `newest_known`.
    pub version_source: String,
}

/// The layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayoutReport {
    /// Tensor-parallel degree; `null` under a device map.
    pub tp: Option<u32>,
    /// Pipeline-parallel degree; `null` under a device map.
    pub pp: Option<u32>,
    /// Whether experts are spread whole.
    pub ep: bool,
    /// Data-parallel degree.
    pub dp: u32,
    /// Ranks planned.
    pub ranks: u32,
}

/// The cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetReport {
    /// In words: `4×A10`.
    pub cards: String,
    /// How many.
    pub count: u32,
    /// `given`, `live` or `recorded`.
    pub source: String,
}

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadReport {
    /// Longest sequence.
    pub max_model_len: Option<Tokens>,
    /// Most sequences in one step.
    pub max_num_seqs: Option<u64>,
    /// Most tokens in one step.
    pub max_num_batched_tokens: Option<u64>,
    /// Element type of weights and activations.
    pub dtype: String,
    /// Quantisation method of the checkpoint.
    pub quantization: Option<String>,
    /// Element type of the KV cache.
    pub kv_cache_dtype: String,
    /// The engine's own knobs.
    #[serde(flatten)]
    pub knobs: BTreeMap<String, serde_json::Value>,
}

/// One rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankReport {
    /// Global rank.
    pub rank: u32,
    /// Position in the tensor-parallel group.
    pub tp_rank: Option<u32>,
    /// Pipeline stage.
    pub pp_rank: Option<u32>,
    /// Decoder layers, `0-27`; empty when none.
    pub layers: String,
    /// Index of its card.
    pub card: u32,
    /// The card's label.
    pub gpu: String,
    /// Identity of a live card.
    pub device_uuid: Option<String>,
    /// CUDA total of the card.
    pub capacity_bytes: Bytes,
    /// What the engine allows itself.
    pub budget_bytes: Option<Bytes>,
    /// Tensors as constructed.
    pub constructed_bytes: Bytes,
    /// The part of them that files fill.
    pub file_bytes: Bytes,
    /// Tensors that stay resident.
    pub weights_bytes: Bytes,
    /// The same by part of the model.
    pub weights: BTreeMap<String, Bytes>,
    /// KV bytes of one token.
    pub kv_bytes_per_token: Option<Bytes>,
    /// Why there is no single figure.
    pub kv_bytes_per_token_reason: Option<String>,
    /// KV by kind of layer.
    pub kv_groups: Vec<KvGroupReport>,
    /// KV pool or cache.
    pub kv_cache_bytes: Bytes,
    /// Activation peak.
    pub activation_bytes: Bytes,
    /// CUDA graphs.
    pub cuda_graph_bytes: Bytes,
    /// Communicators and their buffers.
    pub communication_bytes: Bytes,
    /// CUDA context, kernels, handles.
    pub context_bytes: Bytes,
    /// Held by the allocator beyond what is in use.
    pub allocator_bytes: Bytes,
    /// Held by other processes.
    pub other_processes_bytes: Bytes,
    /// Transient top while loading.
    pub load_peak_bytes: Bytes,
    /// Steady sum at the best figures.
    pub total_bytes: Bytes,
    /// Capacity less the top at high demand; negative when it does not fit.
    pub headroom_bytes: i64,
    /// The ledger.
    pub lines: Vec<LineReport>,
}

/// Layers that share one kind of cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KvGroupReport {
    /// `full` or `sliding`.
    pub kind: String,
    /// Layers of the rank.
    pub layers: u64,
    /// Tokens of one block.
    pub block_size: u64,
    /// Bytes of one block in one layer.
    pub page_bytes: Bytes,
    /// Tokens that stay in sight, where it is a window.
    pub window: Option<u64>,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineReport {
    /// What it is counted under.
    pub component: String,
    /// What it is.
    pub what: String,
    /// What it is charged to: `baseline` (there before the engine counts), `budget`, or `margin` (what the budget leaves of the card).
    pub account: String,
    /// Lower bound.
    pub low: Bytes,
    /// Best figure.
    pub expected: Bytes,
    /// Upper bound.
    pub high: Bytes,
    /// Where it comes from.
    pub basis: Basis,
    /// How it was computed.
    pub formula: String,
}

/// The KV pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityReport {
    /// Tokens that the pool truly holds.
    pub kv_cache_tokens: Option<Tokens>,
    /// Tokens that the engine prints.
    pub printed_kv_cache_tokens: Option<Tokens>,
    /// Blocks.
    pub kv_blocks: Option<u64>,
    /// Sequences of the longest length that fit at once.
    pub max_concurrency: Option<f64>,
    /// The longest sequence that fits, at most what the model supports.
    pub longest_context_that_fits: Option<Tokens>,
    /// The smallest number of cards of the limiting kind on which all of it fits.
    pub fewest_cards_that_fit: Option<u32>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictReport {
    /// Fits at high demand; `null` when it cannot be told.
    pub fits: Option<bool>,
    /// `fits`, `tight`, `does_not_fit` or `cannot_tell`.
    pub state: String,
    /// The rank that decides.
    pub limiting_rank: Option<u32>,
    /// Why it does not fit.
    pub cause: Option<Cause>,
    /// Bytes needed by the check that failed.
    pub need_bytes: Option<Bytes>,
    /// Bytes it had.
    pub have_bytes: Option<Bytes>,
    /// Bytes short.
    pub shortfall_bytes: Option<Bytes>,
    /// One sentence.
    pub message: String,
    /// The engine's own words for the failure.
    pub engine_message: Option<String>,
}

/// A confirmed repair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdviceReport {
    /// What changes.
    pub change: String,
    /// Flags to add or replace.
    pub flags: Vec<String>,
    /// Whether re-planning showed that it fits.
    pub confirmed: bool,
    /// Bytes by which the deciding check moves.
    pub gain_bytes: Option<Bytes>,
    /// What it costs.
    pub price: String,
    /// The plan with the change.
    pub predicted: PredictedReport,
    /// Why it is not confirmed.
    pub reason: Option<String>,
    /// The pasted command with the change.
    pub command: Option<String>,
}

/// A plan with a change, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredictedReport {
    /// `fits` or `tight`.
    pub state: String,
    /// Least headroom of any card.
    pub headroom_bytes: Bytes,
    /// Tokens of the KV pool.
    pub kv_cache_tokens: Option<Tokens>,
    /// Sequences of the longest length at once.
    pub max_concurrency: Option<f64>,
    /// Longest sequence.
    pub max_model_len: Option<Tokens>,
}

/// A change that does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedReport {
    /// What was tried.
    pub change: String,
    /// Why it does not help.
    pub why: String,
}

/// The least certain line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeakestLine {
    /// What it is counted under.
    pub component: String,
    /// What it is.
    pub what: String,
    /// Distance of its bounds.
    pub width_bytes: Bytes,
    /// Where it comes from.
    pub basis: Basis,
}
