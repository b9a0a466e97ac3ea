//! How layers remember tokens.

use super::IndexSet;
use crate::units::DType;

/// What one layer keeps for the tokens it has seen. Sizes are of the whole model, before any split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerCache {
    /// A key and a value for every token.
    Full {
        /// Key/value heads.
        kv_heads: u64,
        /// Width of a key.
        key_width: u64,
        /// Width of a value.
        value_width: u64,
    },
    /// A key and a value for the last `window` tokens.
    Sliding {
        /// Key/value heads.
        kv_heads: u64,
        /// Width of a key.
        key_width: u64,
        /// Width of a value.
        value_width: u64,
        /// Tokens seen.
        window: u64,
    },
    /// A key and a value for each token of the current chunk; the next chunk starts afresh.
    Chunked {
        /// Key/value heads.
        kv_heads: u64,
        /// Width of a key.
        key_width: u64,
        /// Width of a value.
        value_width: u64,
        /// Tokens of a chunk.
        chunk: u64,
    },
    /// One latent vector and one rotated key for every token, shared by all heads (MLA): not divisible by head.
    Latent {
        /// Width of the latent vector.
        rank: u64,
        /// Width of the rotated key.
        rope: u64,
        /// Whether attention reads a selection of tokens only (DeepSeek V3.2), for which engines store the vector in their own layout.
        sparse: bool,
        /// Query heads, and so keys and values once unfolded: engines that do not attend in the latent space keep those instead.
        heads: u64,
        /// Width of an unfolded key, its rotated part included.
        key_width: u64,
        /// Width of an unfolded value.
        value_width: u64,
    },
    /// A key for every token by which the sparse attention of the same layer selects what it reads; shared by all heads.
    Indexer {
        /// Width of the key.
        width: u64,
        /// Tokens that it selects.
        chosen: u64,
    },
    /// A key and a value for every token of the encoder's output, none for the decoder's.
    Cross {
        /// Key/value heads.
        kv_heads: u64,
        /// Width of a key.
        key_width: u64,
        /// Width of a value.
        value_width: u64,
    },
    /// A state of fixed size, whatever the number of tokens.
    State(StateCache),
}

impl LayerCache {
    /// Name as in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Sliding { .. } => "sliding",
            Self::Chunked { .. } => "chunked",
            Self::Latent { .. } => "latent",
            Self::Indexer { .. } => "indexer",
            Self::Cross { .. } => "cross",
            Self::State(_) => "state",
        }
    }

    /// Tokens that stay in sight, where not all do.
    #[must_use]
    pub const fn window(&self) -> Option<u64> {
        match *self {
            Self::Sliding { window, .. } => Some(window),
            Self::Chunked { chunk, .. } => Some(chunk),
            Self::Full { .. } | Self::Latent { .. } | Self::Indexer { .. } | Self::Cross { .. } | Self::State(_) => {
                None
            }
        }
    }

    /// Elements that one token adds in one layer, as the model has it; `None` for a state, which does not grow.
    #[must_use]
    pub const fn token_elements(&self) -> Option<u64> {
        match *self {
            Self::Full { kv_heads, key_width, value_width }
            | Self::Sliding { kv_heads, key_width, value_width, .. }
            | Self::Chunked { kv_heads, key_width, value_width, .. }
            | Self::Cross { kv_heads, key_width, value_width } => {
                Some(kv_heads.saturating_mul(key_width.saturating_add(value_width)))
            }
            Self::Latent { rank, rope, .. } => Some(rank.saturating_add(rope)),
            Self::Indexer { width, .. } => Some(width),
            Self::State(_) => None,
        }
    }
}

/// The state of a layer that folds all tokens into one (Mamba, gated delta rule).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateCache {
    /// The recurrence.
    pub kind: StateKind,
    /// Past inputs that the convolution keeps: its width less one.
    pub taps: u64,
    /// Convolved channels that follow the heads.
    pub channels: u64,
    /// Convolved channels that come in groups shared by several heads.
    pub grouped_channels: u64,
    /// Number of those groups.
    pub groups: u64,
    /// Heads of the recurrent state (for Mamba 1: channels).
    pub heads: u64,
    /// Elements of the state of one head.
    pub head_elements: u64,
    /// Element type that the config asks of the recurrent state; `None` is the model's.
    pub dtype: Option<DType>,
}

impl StateCache {
    /// Elements that the convolution keeps on one of `ways` ranks. A group is never cut, so ranks that outnumber the groups share them.
    #[must_use]
    pub const fn convolution_elements(&self, ways: u64) -> u64 {
        let Some(groups) = self.groups.checked_div(ways) else { return 0 };
        let own_groups = if groups == 0 && self.groups > 0 { 1 } else { groups };
        let Some(group) = self.grouped_channels.checked_div(if self.groups == 0 { 1 } else { self.groups }) else {
            return 0;
        };
        self.taps.saturating_mul((self.channels / ways).saturating_add(group.saturating_mul(own_groups)))
    }

    /// Elements of the recurrent state on one of `ways` ranks.
    #[must_use]
    pub const fn recurrent_elements(&self, ways: u64) -> u64 {
        match self.heads.checked_div(ways) {
            Some(heads) => heads.saturating_mul(self.head_elements),
            None => 0,
        }
    }
}

/// Which recurrence a state layer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKind {
    /// Selective state space, one state a channel.
    Mamba1,
    /// State-space duality, one state a head.
    Mamba2,
    /// Gated delta rule: a matrix a head.
    GatedDelta,
    /// Gated delta rule with a gate for each channel of a key (Kimi): a matrix a head.
    KimiDelta,
    /// Linear attention that fades at a rate of each head: a matrix a head.
    Lightning,
    /// A short convolution alone.
    ShortConvolution,
}

/// Layers that share one kind of cache. A layer that keeps two things (latent vectors and an indexer's keys) is in two groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheGroup {
    /// The layers.
    pub layers: IndexSet,
    /// What each of them keeps.
    pub cache: LayerCache,
}
