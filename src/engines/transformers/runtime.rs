//! What running takes: the cache, and the higher of the first pass over the prompt and the last step of decoding.

use super::options::{Attention, Options};
use crate::engines::{KvGroup, Version};
use crate::model::{LayerCache, Model};
use crate::profiles::TransformersProfile;
use crate::units::{Bytes, DType};

/// Until here the cache went through tuples: each step built a new one while the old one was still held.
pub(super) const CACHE_OBJECT: Version = Version { major: 4, minor: 42, patch: 0 };
/// From here `generate` asks for the scores of the last position only, and the model no longer makes them float32 itself.
const LAST_LOGITS: Version = Version { major: 4, minor: 45, patch: 0 };
/// From here FlashAttention and, without a mask, torch's attention take fewer key/value heads than query heads as they are.
const GROUPED_HEADS: Version = Version { major: 4, minor: 48, patch: 0 };
/// From here layers with a sliding window forget what lies before it.
const WINDOWED: Version = Version { major: 4, minor: 56, patch: 0 };

/// What is known of the run.
pub(super) struct Runtime<'a> {
    pub model: &'a Model,
    pub options: &'a Options,
    pub version: Version,
    pub profile: &'a TransformersProfile,
}

/// What a card does besides holding layers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Duties {
    /// It holds the head.
    pub head: bool,
    /// Inputs arrive on it, and scores are brought back to it.
    pub input: bool,
}

/// Bytes above the cache of the whole text, at two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peaks {
    /// The pass over the prompt.
    pub prefill: Bytes,
    /// The last step.
    pub decode: Bytes,
    /// The last step where the old and the new cache of a layer never meet, as published peaks of 4.51 show.
    pub least: Bytes,
}

impl Peaks {
    pub(super) fn highest(self) -> Bytes {
        self.prefill.max(self.decode)
    }
}

impl Runtime<'_> {
    /// Cache of all sequences at a length, in the layers of `groups`.
    pub(super) fn cache(&self, groups: &[KvGroup], length: u64) -> Bytes {
        let tokens = |group: &KvGroup| match group.cache {
            LayerCache::State(_) => 1,
            LayerCache::Sliding { window, .. } if self.version >= WINDOWED => length.min(window.saturating_sub(1)),
            _ => length,
        };
        groups
            .iter()
            .map(|g| g.page_bytes * g.layers.saturating_mul(tokens(g)).saturating_mul(self.options.sequences))
            .sum()
    }

    /// Cache right after the prompt: layers with a window still hold all of it, as a view of the whole.
    fn cache_after_prompt(&self, groups: &[KvGroup], prompt: u64) -> Bytes {
        let rows = |group: &KvGroup| match group.cache {
            LayerCache::State(_) => self.options.sequences,
            _ => self.rows(prompt),
        };
        groups.iter().map(|g| g.page_bytes * g.layers.saturating_mul(rows(g))).sum()
    }

    /// Bytes above the cache of `length` tokens on a card with these layers and duties.
    pub(super) fn peaks(&self, groups: &[KvGroup], length: u64, duties: Duties) -> Peaks {
        let prompt = self.options.prompt(length);
        let layers =
            if groups.is_empty() { Bytes::ZERO } else { self.layer(self.rows(prompt)).max(self.attention(prompt)) };
        let first = self.cache_after_prompt(groups, prompt) + layers.max(self.scores(self.rows(prompt), duties));
        let step = self.growth(groups, length, duties) + self.expanded(groups, length);
        Peaks {
            prefill: first.saturating_sub(self.cache(groups, length)),
            decode: step.max(self.scores(self.options.sequences, duties)),
            least: self.expanded(groups, length).max(self.scores(self.options.sequences, duties)),
        }
    }

    fn rows(&self, tokens: u64) -> u64 {
        self.options.sequences.saturating_mul(tokens)
    }

    /// Elements of two bytes; other types in proportion.
    fn wide(&self, bytes_of_half: u64) -> u64 {
        bytes_of_half.saturating_mul(self.options.dtype.bits()) / 16
    }

    /// A layer's hidden states and feed-forward rows.
    fn layer(&self, rows: u64) -> Bytes {
        let constants = &self.profile.prefill;
        let hidden = self.model.hidden_size.saturating_mul(constants.hidden_bytes);
        let feed_forward = self.model.intermediate_size.saturating_mul(constants.feed_forward_bytes);
        Bytes(rows.saturating_mul(self.wide(hidden.saturating_add(feed_forward))))
    }

    /// What one layer's attention writes out for a prompt: all scores (once in float32) and the mask, or expanded keys and values.
    fn attention(&self, prompt: u64) -> Bytes {
        let rows = self.rows(prompt);
        let heads = self.model.attention_heads;
        let queries = heads.saturating_mul(self.model.head_width).saturating_mul(rows);
        let residual = self.model.hidden_size.saturating_mul(rows);
        // Residual, queries, output; keys and values at full width.
        let moved = self.wide(2).saturating_mul(residual.saturating_add(queries.saturating_mul(4)));
        match self.options.attention {
            Attention::Eager => {
                let pairs = rows.saturating_mul(prompt);
                let scores = pairs.saturating_mul(heads).saturating_mul(self.wide(4).saturating_add(4));
                Bytes(scores.saturating_add(pairs.saturating_mul(self.wide(2))).saturating_add(moved))
            }
            Attention::Sdpa if self.version < GROUPED_HEADS || self.options.sequences > 1 => Bytes(moved),
            Attention::Sdpa | Attention::Flash => Bytes::ZERO,
        }
    }

    /// The cache that a step builds beside the one it replaces.
    fn growth(&self, groups: &[KvGroup], length: u64, duties: Duties) -> Bytes {
        if self.version < CACHE_OBJECT {
            // The first step also still holds the scores of the whole prompt; the last one has the longest cache.
            let prompt = self.options.prompt(length);
            let scores = if duties.input { self.model.vocab_size.saturating_mul(4) } else { 0 };
            let held = Bytes(self.rows(prompt).saturating_mul(scores));
            let first = self.cache_after_prompt(groups, prompt) * 2 + held;
            return first.saturating_sub(self.cache(groups, length)).max(self.cache(groups, length));
        }
        // Keys, then values, of one layer at a time.
        let growing = groups.iter().filter(|g| !matches!(g.cache, LayerCache::State(_)));
        growing.map(|g| Bytes(g.page_bytes.0 / 2) * self.rows(length)).max().unwrap_or(Bytes::ZERO)
    }

    /// Keys and values of one layer repeated for every query head.
    fn expanded(&self, groups: &[KvGroup], length: u64) -> Bytes {
        let grouped = self.version >= GROUPED_HEADS && self.options.attention != Attention::Eager;
        if grouped || groups.is_empty() || self.model.kv_heads >= self.model.attention_heads {
            return Bytes::ZERO;
        }
        let each = self.model.attention_heads.saturating_mul(self.model.head_width).saturating_mul(self.wide(4));
        Bytes(each.saturating_mul(self.rows(length)))
    }

    /// Scores over the vocabulary, where they are computed and where they are sampled from.
    fn scores(&self, prompt_rows: u64, duties: Duties) -> Bytes {
        let all = self.options.all_logits || self.version < LAST_LOGITS;
        let rows = if all { prompt_rows } else { self.options.sequences };
        let vocabulary = self.model.vocab_size;
        let in_float = if self.version < LAST_LOGITS { 4 } else { 0 };
        let made = if duties.head { self.wide(2).saturating_add(in_float) } else { 0 };
        // On another card than the head's a copy arrives.
        let brought = if duties.input && !duties.head { self.wide(2).max(in_float) } else { 0 };
        let hidden = if duties.head { self.model.hidden_size.saturating_mul(self.wide(2)) } else { 0 };
        let sampled = if duties.input { self.profile.sampling.bytes.saturating_mul(self.options.sequences) } else { 0 };
        let each = vocabulary.saturating_mul(made.saturating_add(brought)).saturating_add(hidden);
        Bytes(rows.saturating_mul(each).saturating_add(sampled.saturating_mul(vocabulary)))
    }
}

/// Bytes of one token in one layer; for a state, of one sequence.
pub(super) fn token_bytes(cache: &LayerCache, dtype: DType) -> Bytes {
    let elements = match *cache {
        // Transformers unfolds the latent vector and keeps the keys and values of all heads.
        LayerCache::Latent { heads, key_width, value_width, .. } => {
            heads.saturating_mul(key_width.saturating_add(value_width))
        }
        // A state does not grow: it is a sequence's, whatever its length.
        LayerCache::State(state) => state.convolution_elements(1).saturating_add(state.recurrent_elements(1)),
        other => other.token_elements().unwrap_or(0),
    };
    dtype.size(elements)
}
