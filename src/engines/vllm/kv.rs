//! The KV pool: pages, groups, blocks, and the lengths that fit (`v1/core/kv_cache_utils.py` of 0.11).

use crate::engines::KvGroup;
use crate::model::{LayerCache, Model};
use crate::sharding::Layout;
use crate::units::{Bytes, DType, ceil_div};

/// The KV layout of one rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvLayout {
    /// Layers by kind, as the model has them.
    pub groups: Vec<KvGroup>,
    /// Layers that one group of the pool holds.
    group_size: u64,
    /// Groups of the pool: kinds of layer, cut to `group_size`.
    pool_groups: Vec<(usize, u64)>,
    /// `max_num_batched_tokens`: what a window needs beyond itself while a chunk is computed.
    batched_tokens: u64,
}

impl KvLayout {
    /// The layout of one rank with `layers` of the model.
    #[must_use]
    pub fn new(
        model: &Model,
        layout: Layout,
        layers: &std::ops::Range<u32>,
        dtype: DType,
        block_size: u64,
        batched_tokens: u64,
    ) -> Self {
        let groups: Vec<KvGroup> = model
            .caches
            .iter()
            .map(|group| KvGroup {
                layers: group.layers.count_within(layers),
                cache: group.cache,
                page_bytes: page(&group.cache, layout, dtype, block_size),
                block_size,
            })
            .filter(|group| group.layers > 0)
            .collect();
        let group_size = groups.iter().map(|g| g.layers).min().unwrap_or(0);
        let pool_groups = groups.iter().enumerate().map(|(i, g)| (i, ceil_div(g.layers, group_size))).collect();
        Self { groups, group_size, pool_groups, batched_tokens }
    }

    /// Bytes of one block over the layers of a group: what the pool is counted in. Zero when no layer keeps anything.
    #[must_use]
    pub fn block_bytes(&self) -> Bytes {
        self.groups.iter().map(|g| g.page_bytes).max().unwrap_or(Bytes::ZERO) * self.group_size
    }

    /// Blocks of a pool of so many bytes.
    #[must_use]
    pub fn blocks(&self, available: Bytes) -> u64 {
        match self.block_bytes() {
            Bytes(0) => 0,
            Bytes(block) => available.0 / block,
        }
    }

    /// Bytes that one sequence of `length` tokens needs: every layer as the model has it.
    #[must_use]
    pub fn sequence_bytes(&self, length: u64) -> Bytes {
        self.groups.iter().map(|g| g.page_bytes * g.layers.saturating_mul(self.sequence_blocks(g, length))).sum()
    }

    /// Blocks that one sequence needs in one layer.
    fn sequence_blocks(&self, group: &KvGroup, length: u64) -> u64 {
        match group.cache {
            LayerCache::Full { .. }
            | LayerCache::Chunked { .. }
            | LayerCache::Latent { .. }
            | LayerCache::Indexer { .. }
            | LayerCache::Cross { .. } => ceil_div(length, group.block_size),
            // The window, and the chunk being computed; one more block because the window need not start at a block's start.
            LayerCache::Sliding { window, .. } => {
                let kept = (window.saturating_sub(1)).saturating_add(self.batched_tokens).min(length);
                ceil_div(kept, group.block_size) + 1
            }
            LayerCache::State(_) => 1,
        }
    }

    /// The longest sequence that `available` holds, at most `limit`; 0 when not even one token fits.
    #[must_use]
    pub fn longest(&self, available: Bytes, limit: u64) -> u64 {
        let fits = |length: u64| self.sequence_bytes(length) <= available;
        if fits(limit) {
            return limit;
        }
        let (mut low, mut high) = (0, limit);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        low
    }

    /// Tokens that vLLM prints as the pool's size.
    #[must_use]
    pub fn printed_tokens(&self, blocks: u64) -> u64 {
        let pool_groups: u64 = self.pool_groups.iter().map(|(_, count)| count).sum();
        match pool_groups {
            0 => 0,
            n => (blocks / n).saturating_mul(self.block_size()),
        }
    }

    /// Sequences of `length` tokens that fit at once; `None` when nothing is kept.
    #[must_use]
    pub fn concurrency(&self, blocks: u64, length: u64) -> Option<f64> {
        let page = self.groups.iter().map(|g| g.page_bytes).max()?;
        let per_request: Bytes = self
            .pool_groups
            .iter()
            .map(|(i, count)| self.groups[*i].page_bytes * self.sequence_blocks(&self.groups[*i], length) * *count)
            .sum();
        let block = page * self.group_size;
        let needed = ceil_div((per_request * self.group_size).0, block.0);
        (needed > 0).then(|| blocks as f64 / needed as f64)
    }

    /// Tokens that the pool truly holds: every block's for uniform layers, else what sequences of `length` make of it.
    #[must_use]
    pub fn tokens(&self, blocks: u64, length: u64) -> Option<u64> {
        match self.groups.as_slice() {
            [only] if matches!(only.cache, LayerCache::Full { .. }) => Some(blocks.saturating_mul(only.block_size)),
            _ => self.concurrency(blocks, length).map(|c| (c * length as f64) as u64),
        }
    }

    /// Bytes of one token over all layers; `None` when layers differ in how they remember.
    #[must_use]
    pub fn bytes_per_token(&self) -> Option<Bytes> {
        match self.groups.as_slice() {
            [only] if only.block_size > 0 => Some(Bytes(only.page_bytes.0 / only.block_size) * only.layers),
            _ => None,
        }
    }

    fn block_size(&self) -> u64 {
        self.groups.iter().map(|g| g.block_size).min().unwrap_or(0)
    }
}

/// Bytes of one block in one layer. Key/value heads are repeated, not divided, once ranks outnumber them.
fn page(cache: &LayerCache, layout: Layout, dtype: DType, block_size: u64) -> Bytes {
    match *cache {
        LayerCache::Full { kv_heads, key_width, value_width }
        | LayerCache::Chunked { kv_heads, key_width, value_width, .. }
        | LayerCache::Cross { kv_heads, key_width, value_width }
        | LayerCache::Sliding { kv_heads, key_width, value_width, .. } => {
            let heads = (kv_heads / u64::from(layout.tp.max(1))).max(1);
            let width = heads.saturating_mul(key_width.saturating_add(value_width));
            dtype.size(width.saturating_mul(block_size))
        }
        LayerCache::State(state) => {
            let ways = u64::from(layout.tp.max(1));
            dtype.size(state.convolution_elements(ways).saturating_add(state.recurrent_elements(ways)))
        }
        LayerCache::Latent { .. } | LayerCache::Indexer { .. } => {
            dtype.size(cache.token_elements().unwrap_or(0).saturating_mul(block_size))
        }
    }
}
