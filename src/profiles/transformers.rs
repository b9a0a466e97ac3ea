//! Constants of Transformers' memory model.

use serde::Deserialize;

/// Constants of Transformers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformersProfile {
    /// Version of the file's layout.
    pub schema: u32,
    /// Engine name.
    pub engine: String,
    /// The newest version these constants are for.
    pub newest: String,
    /// Length planned for when none is stated.
    pub assumed_length: u64,
    /// Activations of a prefill.
    pub prefill: PrefillConstants,
    /// Allocator growth under a cache that is concatenated.
    pub cache_growth: CacheGrowth,
}

/// Bytes per token of a prefill.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefillConstants {
    /// Per hidden feature.
    pub hidden_bytes: u64,
    /// Per feed-forward feature.
    pub feed_forward_bytes: u64,
    /// Per hidden feature while a norm runs in float32.
    pub norm_bytes: u64,
    /// Where they are from.
    pub source: String,
}

/// Shares of the cache that the allocator holds beyond it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheGrowth {
    /// The least.
    pub low: f64,
    /// The best figure.
    pub expected: f64,
    /// The most.
    pub high: f64,
    /// Where they are from.
    pub source: String,
}

/// Transformers' constants.
///
/// # Errors
/// When the embedded file is malformed, which a test rules out.
pub fn transformers_profile() -> Result<TransformersProfile, toml::de::Error> {
    toml::from_str(include_str!("../../profiles/engines/transformers.toml"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_embedded_constants_parse() {
        assert_eq!(super::transformers_profile().unwrap().engine, "transformers");
    }
}
