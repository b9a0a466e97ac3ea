//! What vLLM's class of DeepSeek V4 builds beside the weights (0.25.1 `models/deepseek_v4/`). Its attention layers own no scales.

use super::rotary;
use crate::model::{CacheGroup, Instances, Kind, LayerCache, Model, Module, Part, Role};
use crate::sharding::Generated;
use crate::units::DType;

/// Query heads that FlashMLA works on at least: sinks are padded to them (`nvidia/flashmla.py`, `get_padded_num_q_heads`).
const PADDED_HEADS: u64 = 64;

/// Whether a model is of this class.
pub fn is(model: &Model) -> bool {
    model.architecture == "DeepseekV4ForCausalLM"
}

/// What the plan does not know of such a model.
pub fn caveat(model: &Model) -> Option<String> {
    is(model).then(|| {
        "the KV pool is counted by what tokens leave behind on average; vLLM's pages for compressed layers round it up".to_owned()
    })
}

/// What the sinks are padded to.
pub fn row_multiples(model: &Model) -> Vec<(Role, u64)> {
    if is(model) { vec![(Role::Sinks, PADDED_HEADS)] } else { Vec::new() }
}

/// A rotary table for each base, in float32.
pub fn of_class(model: &Model) -> Vec<Generated> {
    let tables = model.ropes.iter().map(|rope| Generated {
        name: "model.rotary_emb.cos_sin_cache".to_owned(),
        instances: Instances::First,
        part: Part::Rotary,
        dtype: DType::F32,
        shape: rotary::shape(rope),
        copies: 1,
    });
    tables.collect()
}

/// What the indexers choose of a step's tokens, and the streams that a draft layer would start from.
pub fn of_batch(model: &Model, batched_tokens: u64, dtype: DType) -> Vec<Generated> {
    let buffer = |name: &str, instances: Instances, dtype: DType, width: u64| Generated {
        name: format!("model.{name}"),
        instances,
        part: Part::Other,
        dtype,
        shape: vec![batched_tokens, width],
        copies: 1,
    };
    let chosen = model.caches.iter().find_map(|CacheGroup { cache, .. }| match cache {
        LayerCache::Indexer { chosen, .. } => Some(*chosen),
        _ => None,
    });
    let streams = |module: &Module| match &module.kind {
        Kind::Tensors(tensors) if module.role == Role::StreamMix => tensors.first()?.1.get(1).copied(),
        _ => None,
    };
    let width = model.modules.iter().find_map(streams);
    let chosen = chosen.map(|chosen| buffer("topk_indices_buffer", Instances::First, DType::I32, chosen));
    let streams = width.map(|width| buffer("mtp_hidden_buffer", Instances::Last, dtype, width));
    chosen.into_iter().chain(streams).collect()
}
