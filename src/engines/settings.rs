//! What a deployment asks of its engine: the shared vocabulary that flags, pasted commands and files all end in.

use std::collections::BTreeMap;

use crate::units::{Bytes, Fraction};

/// The settings of one deployment. `None` means "not set": each engine then applies its own default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Tensor-parallel degree.
    pub tensor_parallel: Option<u32>,
    /// Pipeline-parallel degree.
    pub pipeline_parallel: Option<u32>,
    /// Data-parallel degree.
    pub data_parallel: Option<u32>,
    /// Whether experts are spread whole over the ranks instead of sliced.
    pub expert_parallel: Option<bool>,
    /// Element type of weights and activations, as typed (`auto`, `bfloat16`, `half`).
    pub dtype: Option<String>,
    /// Quantisation method, as typed.
    pub quantization: Option<String>,
    /// Element type of the KV cache, as typed (`auto`, `fp8`).
    pub kv_cache_dtype: Option<String>,
    /// Longest sequence.
    pub max_model_len: ContextLength,
    /// Most sequences in one step.
    pub max_num_seqs: Option<u64>,
    /// Most tokens in one step.
    pub max_num_batched_tokens: Option<u64>,
    /// Share of a card that the engine allows itself.
    pub memory_fraction: Option<Fraction>,
    /// KV pool of a fixed size, which replaces the budget.
    pub kv_cache_memory: Option<Bytes>,
    /// Tokens of one KV block.
    pub block_size: Option<u64>,
    /// No CUDA graphs.
    pub enforce_eager: Option<bool>,
    /// Prefill in chunks.
    pub chunked_prefill: Option<bool>,
    /// Share blocks between requests with a common prefix.
    pub prefix_caching: Option<bool>,
    /// Weights kept in host memory, per card.
    pub cpu_offload: Option<Bytes>,
    /// Layers of each pipeline stage, where the user splits them by hand.
    pub layer_partition: Option<Vec<u32>>,
    /// `device_map`: a strategy name, a device, or a JSON object of module → device.
    pub device_map: Option<String>,
    /// `max_memory`: device → most bytes, `cpu` included.
    pub max_memory: Option<BTreeMap<String, Bytes>>,
    /// Sequences of the stated workload, for engines without a pool (Transformers' batch size).
    pub batch_size: Option<u64>,
    /// How the engine was started.
    pub entry_point: EntryPoint,
    /// Engine flags that change memory and have no shared name, by their long name without dashes, values as typed.
    pub engine_flags: BTreeMap<String, String>,
}

/// `--max-model-len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContextLength {
    /// Not set: the model's own length.
    #[default]
    Model,
    /// `auto` or `-1`: the longest that fits.
    Auto,
    /// So many tokens.
    Tokens(u64),
}

/// How an engine was started; some defaults differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EntryPoint {
    /// The API server (`vllm serve`).
    #[default]
    Server,
    /// The library (`LLM(…)`).
    Library,
}
