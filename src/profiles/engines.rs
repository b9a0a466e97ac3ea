//! Constants of vLLM's memory model, by era, each group with its source.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};

use crate::units::{Basis, Bytes, Estimate, Formula};

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

/// Relative bounds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

/// Constants of the activation peak.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationConstants {
    /// Bytes per element of sequences × vocabulary in the sampler pass.
    pub sampler_bytes: f64,
    /// The other sampler that the era has; `None` where there is none to choose.
    pub flashinfer: Option<FlashInferSampler>,
    /// Added to the sampler pass.
    #[serde(deserialize_with = "bytes")]
    pub sampler_constant: Bytes,
    /// Whether only the first rank of a group samples.
    #[serde(default)]
    pub sampler_on_first_rank_only: bool,
    /// Hidden-size buffers alive at the widest point of a forward pass.
    pub forward_hidden: u64,
    /// Bounds for plain text models.
    pub text: Spread,
    /// Bounds for models with routed experts.
    pub experts: Spread,
    /// Bounds for models that see images.
    pub images: Spread,
    /// Added for models that see images.
    #[serde(default, deserialize_with = "bytes")]
    pub image_constant: Bytes,
    /// Where they are from.
    pub source: String,
}

/// Sampling by FlashInfer's kernels, which sort nothing.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashInferSampler {
    /// Bytes per element of sequences × vocabulary.
    pub bytes: f64,
    /// Whether it is used unasked wherever the package is installed.
    pub by_default: bool,
}

/// How the buffers of routed experts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpertWorkspace {
    /// Three buffers of one chunk of tokens.
    Separate,
    /// Two buffers of one chunk of tokens.
    Chunked,
    /// Two buffers of all tokens, which stay.
    Kept,
}

/// Buffers of routed experts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertConstants {
    /// How they are kept.
    pub workspace: ExpertWorkspace,
    /// Tokens of a chunk.
    pub chunk: u64,
    /// Where they are from.
    pub source: String,
}

/// An amount with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The least.
    #[serde(deserialize_with = "bytes")]
    pub low: Bytes,
    /// The best figure.
    #[serde(deserialize_with = "bytes")]
    pub expected: Bytes,
    /// The most.
    #[serde(deserialize_with = "bytes")]
    pub high: Bytes,
}

impl Bounds {
    /// So many times the amount.
    #[must_use]
    pub fn times(&self, count: u32) -> Self {
        let times = |amount: Bytes| Bytes(amount.0.saturating_mul(u64::from(count)));
        Self { low: times(self.low), expected: times(self.expected), high: times(self.high) }
    }

    /// As an estimate of a ledger line.
    #[must_use]
    pub fn estimate(&self, rule: &'static str) -> Estimate {
        Estimate::between(self.low, self.expected, self.high, Basis::Profile, Formula::plain(rule))
    }
}

/// Memory outside the tensor allocator.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonTorchConstants {
    /// One rank, on a card whose multiprocessors are not known.
    pub single: Bounds,
    /// One rank, for each multiprocessor of its card: kernels and library handles reserve memory by them.
    pub per_multiprocessor: Option<Bounds>,
    /// Several ranks of one layer, over NVLink.
    pub parallel_nvlink: Bounds,
    /// Several ranks of one layer, over PCIe.
    pub parallel_pcie: Bounds,
    /// Pipeline stages of one rank each.
    pub pipeline: Bounds,
    /// Where they are from.
    pub source: String,
}

/// Communicators.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommunicationConstants {
    /// Two ranks over NVLink.
    pub nvlink_two: Bounds,
    /// More ranks over NVLink.
    pub nvlink_more: Bounds,
    /// Any number over PCIe.
    pub pcie: Bounds,
    /// Buffers of the engine's own all-reduce.
    #[serde(deserialize_with = "bytes")]
    pub custom_all_reduce: Bytes,
    /// Group sizes it supports.
    pub custom_all_reduce_sizes: Vec<u32>,
    /// Where they are from.
    pub source: String,
}

/// Buffers of fixed size.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferConstants {
    /// Symmetric memory for all-reduce; `None` before engines had it.
    pub symmetric_memory: Option<SymmetricMemory>,
    /// Attention workspace of FlashInfer.
    #[serde(default, deserialize_with = "bytes")]
    pub flashinfer_workspace: Bytes,
    /// Major compute capability from which FlashInfer's kernels are the default.
    #[serde(default)]
    pub flashinfer_from: u32,
    /// Whether the sampler keeps counts of the vocabulary for every sequence.
    #[serde(default)]
    pub penalty_state: bool,
    /// Where they are from.
    pub source: String,
}

/// Symmetric memory by ranks: 2, 4, 6 and 8.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymmetricMemory {
    /// Compute capability 9.
    pub hopper: [Size; 4],
    /// Compute capability 10.
    pub blackwell: [Size; 4],
}

/// A size in text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Size(#[serde(deserialize_with = "bytes")] pub Bytes);

/// CUDA graphs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphConstants {
    /// Whatever the model.
    #[serde(deserialize_with = "bytes")]
    pub constant: Bytes,
    /// Per layer when `at_sizes` batch sizes are captured.
    #[serde(deserialize_with = "bytes")]
    pub per_layer: Bytes,
    /// Batch sizes for which `per_layer` holds.
    pub at_sizes: u64,
    /// The largest batch size captured, per sequence of a step.
    pub per_sequence: u64,
    /// The largest batch size captured whatever the sequences.
    pub largest: u64,
    /// The same on cards of compute capability 10.
    pub largest_blackwell: Option<u64>,
    /// Batch size from which only multiples of 16 are captured.
    pub coarse_from: Option<u64>,
    /// Lower bound, relative.
    pub low: f64,
    /// Upper bound, relative.
    pub high: f64,
    /// Where they are from.
    pub source: String,
}

/// Lines that the engine prints. `{name:2}` is a number with so many decimals, in GiB where it is an amount; `{name,}` one with separators.
/// Empty where an era does not print the line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// After the weights are loaded.
    pub loading: String,
    /// What the budget is.
    #[serde(default)]
    pub budget: String,
    /// What profiling found.
    #[serde(default)]
    pub profile: String,
    /// What is left for the pool.
    #[serde(default)]
    pub available: String,
    /// Blocks of the pool.
    #[serde(default)]
    pub blocks: String,
    /// Tokens of the pool.
    #[serde(default)]
    pub tokens: String,
    /// Sequences at once.
    #[serde(default)]
    pub concurrency: String,
    /// The last line on memory.
    #[serde(default)]
    pub closing: String,
    /// Refusal: one sequence is larger than the pool.
    pub too_long: String,
    /// What that refusal says about the longest sequence.
    #[serde(default)]
    pub estimate: String,
    /// Refusal: no length at all fits.
    #[serde(default)]
    pub nothing_fits: String,
    /// Refusal: less is free at start than the budget asks for.
    pub free_at_start: String,
    /// Refusal: nothing is left for the pool.
    pub no_blocks: String,
    /// Where they are from.
    pub source: String,
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// The file as written: eras with only what changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    engine: String,
    newest: String,
    #[serde(rename = "image", default)]
    images: Vec<ImageItem>,
    #[serde(rename = "era")]
    eras: Vec<Changes>,
}

/// What an era changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    first: String,
    exact: Vec<String>,
    v0_below: Option<u32>,
    #[serde(default)]
    lora_extra_vocabulary: u64,
    budget: Option<BudgetConstants>,
    scheduler: Option<SchedulerConstants>,
    activation: Option<ActivationConstants>,
    experts: Option<ExpertConstants>,
    non_torch: Option<NonTorchConstants>,
    communication: Option<CommunicationConstants>,
    buffers: Option<BufferConstants>,
    graphs: Option<GraphConstants>,
    words: Option<Words>,
}

impl Changes {
    /// The whole era; `None` when a group is neither here nor in the era before.
    fn over(self, before: Option<&VllmEra>) -> Option<VllmEra> {
        Some(VllmEra {
            first: self.first,
            exact: self.exact,
            v0_below: self.v0_below,
            lora_extra_vocabulary: self.lora_extra_vocabulary,
            budget: self.budget.or_else(|| before.map(|b| b.budget.clone()))?,
            scheduler: self.scheduler.or_else(|| before.map(|b| b.scheduler.clone()))?,
            activation: self.activation.or_else(|| before.map(|b| b.activation.clone()))?,
            experts: self.experts.or_else(|| before.map(|b| b.experts.clone()))?,
            non_torch: self.non_torch.or_else(|| before.map(|b| b.non_torch.clone()))?,
            communication: self.communication.or_else(|| before.map(|b| b.communication.clone()))?,
            buffers: self.buffers.or_else(|| before.map(|b| b.buffers.clone())).unwrap_or_default(),
            graphs: self.graphs.or_else(|| before.map(|b| b.graphs.clone()))?,
            words: self.words.or_else(|| before.map(|b| b.words.clone()))?,
        })
    }
}

fn read(text: &str) -> Result<VllmProfile, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    if (file.schema, file.engine.as_str()) != (1, "vllm") {
        return Err(format!("schema {} of `{}` is not schema 1 of `vllm`", file.schema, file.engine));
    }
    let mut eras: Vec<VllmEra> = Vec::new();
    for changes in file.eras {
        let first = changes.first.clone();
        let era =
            changes.over(eras.last()).ok_or_else(|| format!("era {first} lacks a group and has no era before"))?;
        eras.push(era);
    }
    Ok(VllmProfile { newest: file.newest, images: file.images, eras })
}

static VLLM: LazyLock<Result<VllmProfile, String>> =
    LazyLock::new(|| read(include_str!("../../profiles/engines/vllm.toml")));

/// vLLM's constants, parsed once.
///
/// # Errors
/// When the embedded file is malformed, which a test rules out.
pub fn vllm_profile() -> Result<&'static VllmProfile, &'static str> {
    VLLM.as_ref().map_err(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::{Charge, read, vllm_profile};

    #[test]
    fn the_embedded_constants_parse() {
        let profile = vllm_profile().unwrap();
        assert!(profile.eras.len() >= 9);
        // A group that is left out is that of the era before.
        let era = |first: &str| profile.eras.iter().find(|e| e.first == first).unwrap();
        assert_eq!(era("0.17.0").budget, era("0.11.0").budget);
        assert_ne!(era("0.17.0").activation, era("0.11.0").activation);
        assert_eq!(era("0.21.0").budget.graphs, Charge::Budget);
    }

    #[test]
    fn a_first_era_must_be_whole() {
        let error = read("schema = 1\nengine = \"vllm\"\nnewest = \"1.0.0\"\n[[era]]\nfirst = \"1.0.0\"\nexact = []\n");
        assert!(error.unwrap_err().contains("era 1.0.0 lacks a group"));
    }
}
