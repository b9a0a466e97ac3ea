//! Pages: what one block of tokens takes in one layer (`v1/kv_cache_interface.py`), and the block size that layers of a state force
//! (`model_executor/models/config.py`, `HybridAttentionMambaModelConfig`).

use std::ops::Range;

use super::Release;
use super::release::LatentCache;
use crate::engines::KvGroup;
use crate::model::{CacheGroup, LayerCache, Model, StateCache};
use crate::sharding::Layout;
use crate::units::{Bytes, DType, ceil_div, round_up};

/// Bytes of one token in the layout of sparse latent attention: 512 8-bit elements, four float32 scales, 64 16-bit rotated ones
/// (`fp8_ds_mla`).
const SPARSE_LATENT_TOKEN: u64 = 656;

/// Bytes of one token's key in the indexer: 8-bit elements and one float32 scale a 128 of them.
const fn indexer_token(width: u64) -> u64 {
    width.saturating_add(width.div_ceil(128).saturating_mul(4))
}

/// Attention kernels take blocks of so many tokens, so a block size that a state forces is rounded to them.
const KERNEL_MULTIPLE: u64 = 16;

/// What pages depend on besides the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOptions {
    /// Element type of keys and values.
    pub dtype: DType,
    /// Element type of the model, which states of a layer take unless the config asks for another.
    pub model_dtype: DType,
    /// Tokens of a block, as set or by default.
    pub block_size: u64,
    /// Compute capability of the cards, which decides the kernel of latent attention.
    pub capability: Option<(u32, u32)>,
}

/// Layers of the rank by kind, with their pages.
pub(super) fn of_layers(
    model: &Model,
    layout: Layout,
    layers: &Range<u32>,
    options: PageOptions,
    release: Release,
) -> Vec<KvGroup> {
    let tp = u64::from(layout.tp.max(1));
    let caches: Vec<CacheGroup> = model.caches.iter().map(|group| as_cached(group, release)).collect();
    let latent = caches.iter().any(|group| matches!(group.cache, LayerCache::Latent { .. }));
    let base = if latent { latent_block_size(options) } else { options.block_size };
    // The largest state of the model decides for all ranks.
    let state = caches
        .iter()
        .filter_map(|group| match group.cache {
            LayerCache::State(state) => Some(state_bytes(&state, tp, options.model_dtype)),
            _ => None,
        })
        .max();
    let token = caches.iter().filter_map(|group| token_bytes(&group.cache, tp, options.dtype)).max();
    let aligned = match (state, token) {
        (Some(state), Some(token)) if token > 0 => {
            Some(ceil_div(state, KERNEL_MULTIPLE.saturating_mul(token)).saturating_mul(KERNEL_MULTIPLE))
        }
        _ => None,
    };
    let block_size = aligned.map_or(base, |aligned| aligned.max(base));
    // The state's page is padded to that of attention.
    let padded = token.map_or(0, |token| token.saturating_mul(block_size));
    caches
        .iter()
        .map(|group| {
            let (page, block_size) = match group.cache {
                LayerCache::State(state) => {
                    (state_bytes(&state, tp, options.model_dtype).max(if aligned.is_some() { padded } else { 0 }), 1)
                }
                LayerCache::Sliding { .. } => {
                    let block_size = release.window_block_size.filter(|_| aligned.is_none()).unwrap_or(block_size);
                    (page(&group.cache, tp, options.dtype, block_size), block_size)
                }
                _ => (page(&group.cache, tp, options.dtype, block_size), block_size),
            };
            KvGroup {
                layers: group.layers.count_within(layers),
                cache: group.cache,
                page_bytes: Bytes(page),
                block_size,
            }
        })
        .filter(|group| group.layers > 0)
        .collect()
}

/// A kind of layer as the release caches it.
fn as_cached(group: &CacheGroup, release: Release) -> CacheGroup {
    let cache = match (group.cache, release.latent) {
        (LayerCache::Latent { heads, .. }, LatentCache::Heads { width }) => {
            LayerCache::Full { kv_heads: heads, key_width: width, value_width: width }
        }
        (
            LayerCache::Latent { rank, rope, heads, key_width, value_width, sparse },
            LatentCache::Vector { multiple },
        ) => {
            let rank = round_up(rank.saturating_add(rope), multiple).saturating_sub(rope);
            LayerCache::Latent { rank, rope, heads, key_width, value_width, sparse }
        }
        (other, _) => other,
    };
    CacheGroup { layers: group.layers.clone(), cache }
}

/// Block size of latent attention: FlashMLA on Hopper takes 64 tokens, CUTLASS-MLA on Blackwell 128 (`platforms/cuda.py`).
fn latent_block_size(options: PageOptions) -> u64 {
    let multiple = match options.capability {
        Some((9, _)) | None => 64,
        Some((10, _)) => 128,
        Some(_) => 1,
    };
    if options.block_size.is_multiple_of(multiple) { options.block_size } else { multiple }
}

fn page(cache: &LayerCache, tp: u64, dtype: DType, block_size: u64) -> u64 {
    token_bytes(cache, tp, dtype).unwrap_or(0).saturating_mul(block_size)
}

/// Bytes of one token in one layer; `None` for a state. Key/value heads are repeated, not divided, once ranks outnumber them, and what all
/// heads share is on every rank.
fn token_bytes(cache: &LayerCache, tp: u64, dtype: DType) -> Option<u64> {
    match *cache {
        LayerCache::Full { kv_heads, key_width, value_width }
        | LayerCache::Sliding { kv_heads, key_width, value_width, .. }
        | LayerCache::Chunked { kv_heads, key_width, value_width, .. }
        | LayerCache::Cross { kv_heads, key_width, value_width } => {
            let heads = (kv_heads / tp).max(1);
            let elements = dtype.size(heads.saturating_mul(key_width.saturating_add(value_width))).0;
            // 8-bit integers come with a float32 scale a token and head, for keys and for values.
            let scales = if dtype == DType::I8 { heads.saturating_mul(8) } else { 0 };
            Some(elements.saturating_add(scales))
        }
        LayerCache::Latent { sparse: true, .. } if dtype.bits() == 8 => Some(SPARSE_LATENT_TOKEN),
        LayerCache::Latent { rank, rope, .. } => Some(dtype.size(rank.saturating_add(rope)).0),
        LayerCache::Indexer { width, .. } => Some(indexer_token(width)),
        LayerCache::State(_) => None,
    }
}

/// Bytes of a layer's state on one rank: the convolution's inputs and the recurrent state.
fn state_bytes(state: &StateCache, tp: u64, dtype: DType) -> u64 {
    let convolution = dtype.size(state.convolution_elements(tp));
    let recurrent = state.dtype.unwrap_or(dtype).size(state.recurrent_elements(tp));
    (convolution + recurrent).0
}
