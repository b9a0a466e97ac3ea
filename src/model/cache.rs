//! How layers remember tokens.

use super::IndexSet;

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
}

/// Layers that share one kind of cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheGroup {
    /// The layers.
    pub layers: IndexSet,
    /// What each of them keeps.
    pub cache: LayerCache,
}
