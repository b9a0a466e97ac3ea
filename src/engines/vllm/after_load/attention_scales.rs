//! Scales of queries, keys and values that attention layers make room for, in case the checkpoint brings some.

use super::{Built, Tally};
use crate::engines::vllm::Release;
use crate::model::{Instances, LayerCache, Model, Part};
use crate::sharding::{Generated, Layout};
use crate::units::DType;

const SUFFIX: &str = "loaded_scales";

/// Placeholders that attention layers have until loading is done: four numbers in the model's element type (`kv_cache.py`,
/// `BaseKVCacheMethod.create_weights`); in newer versions, for compressed-tensors, three scales in float32 and three zero points
/// (`compressed_tensors.py`, `CompressedTensorsKVCacheMethod.create_weights`), a head each where the checkpoint has them so.
#[must_use]
pub fn loaded_scales(model: &Model, layout: Layout, dtype: DType, release: Release) -> Vec<Generated> {
    let Some(quantization) = &model.quantization else { return Vec::new() };
    let own = quantization.method == "compressed-tensors" && release.compressed_cache_scales;
    let has = match quantization.method.as_str() {
        "fp8" | "compressed-tensors" | "modelopt" | "modelopt_fp4" => true,
        "modelopt_mixed" => quantization.cache.dtype.is_some(),
        _ => false,
    };
    let mut all = Vec::new();
    // Latent attention is a class of its own, which only ModelOpt's configs ask about (`modelopt.py`, `get_quant_method`).
    let latent = quantization.method.starts_with("modelopt") && quantization.method != "modelopt_mixed";
    let asked = |cache: &LayerCache| match cache {
        LayerCache::Full { .. }
        | LayerCache::Sliding { .. }
        | LayerCache::Chunked { .. }
        | LayerCache::Cross { .. } => has,
        LayerCache::Latent { .. } => has && latent,
        LayerCache::Indexer { .. } | LayerCache::State(_) => false,
    };
    for group in model.caches.iter().filter(|group| asked(&group.cache)) {
        let heads = kv_heads(&group.cache, layout).filter(|_| quantization.cache.per_head);
        let mut push = |dtype: DType, copies: u64| {
            all.push(Generated {
                name: format!("model.layers.{{}}.self_attn.attn.{SUFFIX}"),
                instances: Instances::Layers(group.layers.clone()),
                part: Part::Attention,
                dtype,
                shape: heads.filter(|_| own).into_iter().collect(),
                copies,
            });
        };
        if own {
            push(DType::F32, 3);
            push(dtype, 3);
        } else {
            push(dtype, 4);
        }
    }
    all
}

/// Key/value heads of a rank.
fn kv_heads(cache: &LayerCache, layout: Layout) -> Option<u64> {
    match cache {
        LayerCache::Full { kv_heads, .. }
        | LayerCache::Sliding { kv_heads, .. }
        | LayerCache::Chunked { kv_heads, .. }
        | LayerCache::Cross { kv_heads, .. } => Some((kv_heads / u64::from(layout.tp).max(1)).max(1)),
        LayerCache::Latent { .. } | LayerCache::Indexer { .. } | LayerCache::State(_) => None,
    }
}

/// The layers keep what they need of the placeholders elsewhere.
pub(super) fn drop_loaded(module: &Built<'_>, tally: &mut Tally) {
    for tensor in module.tensors.iter().filter(|t| t.name.ends_with(SUFFIX)) {
        tally.remove("scales read from the checkpoint", tensor);
    }
}
