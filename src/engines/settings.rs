//! What a deployment asks of its engine: the shared vocabulary that flags, pasted commands and files all end in.

use std::collections::BTreeMap;

use crate::model::Model;
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
    /// The draft model that the flags name, where its facts were read beforehand; built-in models need not be.
    pub draft_model: Option<Box<Model>>,
}

impl Settings {
    /// Puts `over` on top: what it sets wins, what it leaves open stays. Engine flags are merged one by one.
    ///
    /// `entry_point` and `max_model_len` have no "not set" beside their defaults, so only another value than the default wins.
    pub fn overlay(&mut self, over: Self) {
        fn put<T>(place: &mut Option<T>, over: Option<T>) {
            if over.is_some() {
                *place = over;
            }
        }
        // Taken apart by name, so that a new field cannot be forgotten here.
        let Self {
            tensor_parallel,
            pipeline_parallel,
            data_parallel,
            expert_parallel,
            dtype,
            quantization,
            kv_cache_dtype,
            max_model_len,
            max_num_seqs,
            max_num_batched_tokens,
            memory_fraction,
            kv_cache_memory,
            block_size,
            enforce_eager,
            chunked_prefill,
            prefix_caching,
            cpu_offload,
            layer_partition,
            device_map,
            max_memory,
            batch_size,
            entry_point,
            engine_flags,
            draft_model,
        } = over;
        put(&mut self.tensor_parallel, tensor_parallel);
        put(&mut self.pipeline_parallel, pipeline_parallel);
        put(&mut self.data_parallel, data_parallel);
        put(&mut self.expert_parallel, expert_parallel);
        put(&mut self.dtype, dtype);
        put(&mut self.quantization, quantization);
        put(&mut self.kv_cache_dtype, kv_cache_dtype);
        put(&mut self.max_num_seqs, max_num_seqs);
        put(&mut self.max_num_batched_tokens, max_num_batched_tokens);
        put(&mut self.memory_fraction, memory_fraction);
        put(&mut self.kv_cache_memory, kv_cache_memory);
        put(&mut self.block_size, block_size);
        put(&mut self.enforce_eager, enforce_eager);
        put(&mut self.chunked_prefill, chunked_prefill);
        put(&mut self.prefix_caching, prefix_caching);
        put(&mut self.cpu_offload, cpu_offload);
        put(&mut self.layer_partition, layer_partition);
        put(&mut self.device_map, device_map);
        put(&mut self.max_memory, max_memory);
        put(&mut self.batch_size, batch_size);
        put(&mut self.draft_model, draft_model);
        if max_model_len != ContextLength::default() {
            self.max_model_len = max_model_len;
        }
        if entry_point != EntryPoint::default() {
            self.entry_point = entry_point;
        }
        self.engine_flags.extend(engine_flags);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_top_wins() {
        let mut below = Settings {
            tensor_parallel: Some(2),
            dtype: Some("half".to_owned()),
            max_model_len: ContextLength::Tokens(4096),
            entry_point: EntryPoint::Library,
            engine_flags: BTreeMap::from([
                ("swap-space".to_owned(), "4".to_owned()),
                ("revision".to_owned(), "a".to_owned()),
            ]),
            ..Settings::default()
        };
        below.overlay(Settings {
            tensor_parallel: Some(4),
            enforce_eager: Some(false),
            engine_flags: BTreeMap::from([("revision".to_owned(), "b".to_owned())]),
            ..Settings::default()
        });
        assert_eq!(below.tensor_parallel, Some(4));
        assert_eq!(below.dtype.as_deref(), Some("half"));
        assert_eq!(below.enforce_eager, Some(false));
        assert_eq!(below.max_model_len, ContextLength::Tokens(4096));
        assert_eq!(below.entry_point, EntryPoint::Library);
        assert_eq!(
            below.engine_flags.into_iter().map(|(k, v)| k + "=" + &v).collect::<Vec<_>>(),
            ["revision=b", "swap-space=4"]
        );

        let mut empty = Settings::default();
        let full =
            Settings { max_model_len: ContextLength::Auto, entry_point: EntryPoint::Library, ..Settings::default() };
        empty.overlay(full.clone());
        assert_eq!(empty, full);
    }
}
