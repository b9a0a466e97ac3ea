//! What differs between releases of vLLM in how they divide weights and lay out the KV pool.

use crate::engines::Version;

/// What is cached of latent attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatentCache {
    /// Keys and values of all heads, padded to a width that the kernels of then knew (`models/deepseek_v2.py`, before 0.7.1).
    Heads {
        /// Elements of a head.
        width: u64,
    },
    /// The latent vector and the rotated key, padded to a multiple.
    Vector {
        /// Elements; 1 for no padding.
        multiple: u64,
    },
}

/// The facts of one release.
///
/// They are known byte for byte for 0.11.2 and 0.25.1. Where a change log names no release, versions between the two follow 0.11.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Quantisation methods that were there before and are not any more.
    pub methods_gone: &'static [&'static str],
    /// Classes without an implementation of their own any more run as Transformers has them (`models/transformers`).
    pub without_former_classes: bool,
    /// Such classes are refused instead (`models/registry.py`, `_PREVIOUSLY_SUPPORTED_MODELS`).
    pub refuses_former_classes: bool,
    /// Rotary tables of DeepSeek's YaRN are float32, as gpt-oss's always were (`layers/rotary_embedding/deepseek_scaling_rope.py`).
    pub latent_yarn_in_f32: bool,
    /// The indexer of sparse attention has a rotary table of its own where it rotates otherwise than attention.
    pub indexer_table_apart: bool,
    /// Rows of the buffer that holds the indexer's choices; `None` is one a token of a step.
    pub index_buffer_rows: Option<u64>,
    /// The indexer's weights have a bias that no checkpoint fills (`models/deepseek_v2.py`, `Indexer`).
    pub indexer_bias: bool,
    /// Nemotron-H's routers are float32 (`models/nemotron_h.py`).
    pub nemotron_router_in_f32: bool,
    /// AWQ runs through the same kernels as GPTQ, Hopper's included (`quantization/auto_awq.py`).
    pub awq_by_kernel: bool,
    /// Attention layers of compressed-tensors checkpoints have placeholders of their own (`CompressedTensorsKVCacheMethod.create_weights`).
    pub compressed_cache_scales: bool,
    /// Slices of experts that cut a group of compressed-tensors are refused (`compressed_tensors_moe_wna16_marlin.py`).
    pub refuses_cut_expert_groups: bool,
    /// What is cached of latent attention.
    pub latent: LatentCache,
    /// Scales of bitsandbytes' 4-bit weights stay quantised themselves.
    pub nested_scales: bool,
    /// Rows of the rotary table of a vision tower, where it is a table and not the frequencies alone (`layers/rotary_embedding/`).
    pub vision_table_rows: Option<u64>,
    /// Layers that attend within chunks are grouped apart from full attention; else all count as full (`v1/core/kv_cache_utils.py`).
    pub chunked_apart: bool,
    /// Tokens of a block in layers with a window, whatever `--block-size` says.
    pub window_block_size: Option<u64>,
    /// Kinds of layer whose numbers differ by less than this ratio, `(times, per)`, form groups as large as the larger kind.
    pub padding_ratio: Option<(u64, u64)>,
    /// A start is checked against whole blocks of the pool's groups; else against the layers as the model has them.
    pub fit_by_groups: bool,
    /// The printed tokens are concurrency × length; else blocks ÷ groups × tokens of a block.
    pub prints_by_concurrency: bool,
}

impl Release {
    /// The facts of a version.
    #[must_use]
    pub fn of(version: Version) -> Self {
        let from = |minor: u32| version >= Version { major: 0, minor, patch: 0 };
        let late = from(25);
        Self {
            methods_gone: match () {
                () if from(33) => &["hqq", "bitsandbytes"],
                () if late => &["hqq"],
                () => &[],
            },
            without_former_classes: from(11),
            refuses_former_classes: late,
            latent_yarn_in_f32: late,
            indexer_table_apart: late,
            index_buffer_rows: if late { None } else { Some(2048) },
            indexer_bias: !late,
            nemotron_router_in_f32: !late,
            awq_by_kernel: late,
            compressed_cache_scales: late,
            refuses_cut_expert_groups: late,
            // Published pools: 442,368 bytes a token of DeepSeek-V2-Lite in 0.5 to 0.7.0; 34,560, 27 layers of 640 × 2, in 0.7.3.
            latent: if version < Version::new(0, 7, 1) {
                LatentCache::Heads { width: 256 }
            } else {
                LatentCache::Vector { multiple: if from(8) { 1 } else { 128 } }
            },
            nested_scales: !from(8),
            vision_table_rows: late.then_some(8192),
            chunked_apart: late,
            window_block_size: late.then_some(16),
            padding_ratio: late.then_some((3, 2)),
            fit_by_groups: late,
            // Issue 43308: the same pool printed ten times the tokens from 0.21 on.
            prints_by_concurrency: from(21),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::Release;
    use crate::engines::vllm::{KvLayout, PageOptions};
    use crate::model::Model;
    use crate::profiles::models::built_in_model;
    use crate::sharding::Layout;
    use crate::units::{Bytes, DType};

    #[test]
    fn latent_attention_is_cached_as_each_release_did() {
        let profile = built_in_model("deepseek-ai/DeepSeek-V2-Lite").unwrap();
        let config: Value = serde_json::from_str(profile.config).unwrap();
        let model = Model::from_config(&config, None).unwrap();
        let token = |version: &str| {
            let release = Release::of(version.parse().unwrap());
            let options =
                PageOptions { dtype: DType::BF16, model_dtype: DType::BF16, block_size: 16, capability: Some((9, 0)) };
            let layout = Layout { tp: 1, pp: 1, dp: 1, ep: false };
            KvLayout::new(&model, layout, &(0..model.layers), options, 8192, release).bytes_per_token()
        };
        assert_eq!(token("0.6.3"), Some(Bytes(442_368)));
        assert_eq!(token("0.7.3"), Some(Bytes(34_560)));
        assert_eq!(token("0.11.2"), Some(Bytes(27 * 576 * 2)));
    }
}
