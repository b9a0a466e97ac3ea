//! The KV pool: pages, groups, blocks, and the lengths that fit (`v1/core/kv_cache_utils.py`).

use std::ops::Range;

use super::Release;
use super::pages::{self, PageOptions};
use crate::engines::KvGroup;
use crate::model::{LayerCache, Model};
use crate::sharding::Layout;
use crate::units::{Bytes, ceil_div};

/// The KV layout of one rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvLayout {
    /// Layers by kind, as the model has them.
    pub groups: Vec<KvGroup>,
    /// Kinds of layer as the pool counts them.
    pool: Vec<PoolKind>,
    /// Layers that one group of the pool holds.
    group_size: u64,
    /// Bytes of one block.
    block: Bytes,
    /// Ranks that share the tokens of a sequence, each with a part of what full and latent attention keep.
    context_ranks: u64,
    /// `max_num_batched_tokens`: what a window needs beyond itself while a chunk is computed.
    batched_tokens: u64,
    release: Release,
}

/// Layers of one kind in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PoolKind {
    cache: LayerCache,
    block_size: u64,
    page: Bytes,
    /// Groups that they form.
    groups: u64,
}

impl KvLayout {
    /// The layout of one rank with `layers` of the model.
    #[must_use]
    pub fn new(
        model: &Model,
        layout: Layout,
        layers: &Range<u32>,
        options: PageOptions,
        batched_tokens: u64,
        release: Release,
    ) -> Self {
        let groups = pages::of_layers(model, layout, layers, options, release);
        let mut kinds: Vec<KvGroup> = Vec::with_capacity(groups.len());
        for group in &groups {
            // Chunks that are not kept apart count as full attention.
            let cache = match group.cache {
                LayerCache::Chunked { kv_heads, key_width, value_width, .. } if !release.chunked_apart => {
                    LayerCache::Full { kv_heads, key_width, value_width }
                }
                other => other,
            };
            match kinds.iter_mut().find(|kind| kind.cache == cache) {
                Some(kind) => kind.layers += group.layers,
                None => kinds.push(KvGroup { cache, ..group.clone() }),
            }
        }
        // Kinds that all keep every token form one group whatever their pages; a block is a page of each layer.
        let uniform = kinds.iter().all(|kind| keeps_all(&kind.cache));
        if uniform {
            let block = kinds.iter().map(|kind| kind.page_bytes * kind.layers).sum();
            let first = kinds.first().map(|kind| PoolKind {
                cache: kind.cache,
                block_size: kind.block_size,
                page: block,
                groups: 1,
            });
            return Self {
                groups,
                pool: first.into_iter().collect(),
                group_size: 1,
                block,
                context_ranks: 1,
                batched_tokens,
                release,
            };
        }
        let group_size = group_size(&kinds, release);
        let page = kinds.iter().map(|kind| kind.page_bytes).max().unwrap_or(Bytes::ZERO);
        let pool = kinds
            .iter()
            .map(|kind| {
                // A smaller page holds more tokens where it divides the largest, else it is padded.
                let times = page.0.checked_div(kind.page_bytes.0).unwrap_or(1).max(1);
                let even = kind.page_bytes * times == page && !matches!(kind.cache, LayerCache::State(_));
                let block_size = if even { kind.block_size.saturating_mul(times) } else { kind.block_size };
                PoolKind { cache: kind.cache, block_size, page, groups: ceil_div(kind.layers, group_size) }
            })
            .collect();
        Self { groups, pool, group_size, block: page * group_size, context_ranks: 1, batched_tokens, release }
    }

    /// The same pool where so many ranks share the tokens of a sequence (`--decode-context-parallel-size`).
    #[must_use]
    pub fn with_context_ranks(self, ranks: u64) -> Self {
        Self { context_ranks: ranks.max(1), ..self }
    }

    /// Bytes of one block over the layers of a group: what the pool is counted in. Zero when no layer keeps anything.
    #[must_use]
    pub const fn block_bytes(&self) -> Bytes {
        self.block
    }

    /// Blocks of a pool of so many bytes.
    #[must_use]
    pub fn blocks(&self, available: Bytes) -> u64 {
        match self.block {
            Bytes(0) => 0,
            Bytes(block) => available.0 / block,
        }
    }

    /// Groups of the pool and the layers of each at most.
    #[must_use]
    pub fn pool_groups(&self) -> u64 {
        self.pool.iter().map(|kind| kind.groups).sum()
    }

    /// Bytes that one sequence of `length` tokens must find in the pool for a start to pass.
    #[must_use]
    pub fn sequence_bytes(&self, length: u64) -> Bytes {
        if self.release.fit_by_groups {
            return self.block * self.request_blocks(length);
        }
        let of =
            |g: &KvGroup| g.page_bytes * g.layers.saturating_mul(self.sequence_blocks(&g.cache, g.block_size, length));
        self.groups.iter().map(of).sum()
    }

    /// Blocks of the pool that one request of `length` tokens takes.
    fn request_blocks(&self, length: u64) -> u64 {
        let of =
            |kind: &PoolKind| kind.groups.saturating_mul(self.sequence_blocks(&kind.cache, kind.block_size, length));
        self.pool.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Blocks that one sequence needs in one layer.
    fn sequence_blocks(&self, cache: &LayerCache, block_size: u64, length: u64) -> u64 {
        let within = |seen: u64| ceil_div(seen.saturating_add(self.batched_tokens).min(length), block_size);
        match *cache {
            LayerCache::Full { .. } | LayerCache::Latent { .. } | LayerCache::Indexer { .. } => {
                ceil_div(length, block_size.saturating_mul(self.context_ranks))
            }
            // The window, and the chunk being computed; one more block because the window need not start at a block's start.
            LayerCache::Sliding { window, .. } => within(window.saturating_sub(1)).saturating_add(1),
            LayerCache::Chunked { chunk, .. } => within(chunk),
            // The encoder's tokens of a step.
            LayerCache::Cross { .. } => ceil_div(self.batched_tokens, block_size),
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

    /// Tokens that vLLM prints as the pool's size for sequences of `length` tokens.
    #[must_use]
    pub fn printed_tokens(&self, blocks: u64, length: u64) -> u64 {
        if self.release.prints_by_concurrency {
            return self.concurrency(blocks, length).map_or(0, |concurrency| (concurrency * length as f64) as u64);
        }
        // A state's block is the whole sequence.
        let block_size = |kind: &PoolKind| match kind.cache {
            LayerCache::State(_) => length,
            _ => kind.block_size,
        };
        let smallest = self.pool.iter().map(block_size).min().unwrap_or(0);
        let tokens = blocks.checked_div(self.pool_groups()).unwrap_or(0).saturating_mul(smallest);
        tokens.saturating_mul(self.context_ranks)
    }

    /// Sequences of `length` tokens that fit at once; `None` when nothing is kept.
    #[must_use]
    pub fn concurrency(&self, blocks: u64, length: u64) -> Option<f64> {
        let needed = self.request_blocks(length);
        (needed > 0).then(|| blocks as f64 / needed as f64)
    }

    /// Tokens that the pool truly holds: every block's where all layers keep all tokens, else what sequences of `length` make of it.
    #[must_use]
    pub fn tokens(&self, blocks: u64, length: u64) -> Option<u64> {
        match self.pool.as_slice() {
            [only] if keeps_all(&only.cache) => {
                Some(blocks.saturating_mul(only.block_size).saturating_mul(self.context_ranks))
            }
            _ => self.concurrency(blocks, length).map(|c| (c * length as f64) as u64),
        }
    }

    /// Bytes of one token over all layers; `None` when layers differ in how they remember.
    #[must_use]
    pub fn bytes_per_token(&self) -> Option<Bytes> {
        match self.pool.as_slice() {
            [only] if only.block_size > 0 && !matches!(only.cache, LayerCache::State(_)) => {
                Some(Bytes(self.block.0 / only.block_size.saturating_mul(self.context_ranks)))
            }
            _ => None,
        }
    }
}

/// Whether a layer keeps something of each token.
const fn keeps_all(cache: &LayerCache) -> bool {
    matches!(cache, LayerCache::Full { .. } | LayerCache::Latent { .. } | LayerCache::Indexer { .. })
}

/// Layers of one group: as many as the rarest kind has, or the most frequent where they differ little.
fn group_size(kinds: &[KvGroup], release: Release) -> u64 {
    let least = kinds.iter().map(|kind| kind.layers).min().unwrap_or(0);
    let most = kinds.iter().map(|kind| kind.layers).max().unwrap_or(0);
    match release.padding_ratio {
        Some((times, per)) if most.saturating_mul(per) < least.saturating_mul(times) => most,
        _ => least,
    }
}
