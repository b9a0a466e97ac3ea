//! Constants of vLLM's memory model, by era, each group with its source.

mod costs;
mod file;
mod words;

pub use costs::*;
pub use file::vllm_profile;
use serde::{Deserialize, Deserializer};
pub use words::Words;

use crate::units::Bytes;

/// Constants of one engine.
#[derive(Debug, Clone, PartialEq)]
pub struct VllmProfile {
    /// The newest version these constants are for.
    pub newest: String,
    /// Largest images, by model.
    pub images: Vec<ImageItem>,
    /// Eras, oldest first.
    pub eras: Vec<VllmEra>,
}

/// The largest image that models of some classes take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageItem {
    /// Classes, as in `architectures`.
    pub architectures: Vec<String>,
    /// Patches that the tower sees.
    pub patches: u64,
    /// Rows that the text model takes over.
    pub tokens: u64,
    /// Numbers of one patch's pixels.
    pub inputs: u64,
    /// Hidden rows of inner layers that the tower keeps for its output.
    #[serde(default)]
    pub kept: u64,
    /// Whether the tower rotates queries and keys, which it does in float32.
    pub rotated: bool,
    /// Whether videos of that size are another kind of input.
    pub videos: bool,
    /// Where it is from.
    pub source: String,
}

/// vLLM's constants from one version on.
#[derive(Debug, Clone, PartialEq)]
pub struct VllmEra {
    /// First version of the era.
    pub first: String,
    /// Versions checked byte for byte.
    pub exact: Vec<String>,
    /// Cards below this major compute capability run the last era that has no such bound: the engine's old core.
    pub v0_below: Option<u32>,
    /// Rows that `--enable-lora` adds to the vocabulary by default; 0 where it adds none.
    pub lora_extra_vocabulary: u64,
    /// Share of the card, and what it pays for.
    pub budget: BudgetConstants,
    /// Defaults of the scheduler.
    pub scheduler: SchedulerConstants,
    /// Peak of the profiling run.
    pub activation: ActivationConstants,
    /// Buffers of routed experts.
    pub experts: ExpertConstants,
    /// Memory outside the tensor allocator that appears while profiling.
    pub non_torch: NonTorchConstants,
    /// Communicators made at start.
    pub communication: CommunicationConstants,
    /// Buffers of fixed size.
    pub buffers: BufferConstants,
    /// CUDA graphs.
    pub graphs: GraphConstants,
    /// What the engine prints.
    pub words: Words,
}

/// What a cost is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// There before the engine starts to count.
    Baseline,
    /// The engine's budget.
    Budget,
    /// What the budget leaves of the card.
    Margin,
}

/// The budget.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConstants {
    /// `gpu_memory_utilization`.
    pub memory_fraction: f64,
    /// What the CUDA context is charged to.
    pub context: Charge,
    /// What communicators are charged to.
    pub communicators: Charge,
    /// What processes that were there before are charged to.
    pub other_processes: Charge,
    /// What CUDA graphs are charged to.
    pub graphs: Charge,
    /// Whether a start is refused when less than the budget is free.
    pub start_check: bool,
    /// Whether whole segments of the tensor allocator are charged, not only the blocks in use.
    pub segments: bool,
    /// By what share of the weights the allocator's replay may differ from what is printed.
    pub weights_doubt: f64,
    /// Where it is from.
    pub source: String,
}

/// Defaults of a kind of card.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardDefaults {
    /// Least CUDA total.
    #[serde(deserialize_with = "bytes")]
    pub from: Bytes,
    /// Parts of names of cards that are not of this kind all the same.
    pub except: Vec<String>,
    /// `max_num_batched_tokens` of the API server.
    pub server: u64,
    /// `max_num_batched_tokens` of the library.
    pub library: u64,
    /// `max_num_seqs`.
    pub sequences: u64,
}

/// Defaults of the scheduler.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerConstants {
    /// By card, largest first.
    pub cards: Vec<CardDefaults>,
    /// Whether a step holds whole prompts unless prefill is chunked.
    #[serde(default)]
    pub whole_prompts: bool,
    /// `max_num_batched_tokens` with chunked prefill, where prompts are whole otherwise.
    #[serde(default)]
    pub chunked_tokens: u64,
    /// Length above which such an engine chunks unasked.
    #[serde(default)]
    pub chunked_above: u64,
    /// Least tokens of a step for models that see images, where prompts are whole; 0 for no such bound.
    #[serde(default)]
    pub image_tokens: u64,
    /// Whether a step is never larger than all sequences at full length.
    #[serde(default)]
    pub at_most_all_sequences: bool,
    /// Tokens of a KV block.
    pub block_size: u64,
    /// Where they are from.
    pub source: String,
}

/// A size in text form, `1.5GiB`.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
