//! Constants of Transformers' memory model.

use serde::Deserialize;

use super::Bounds;
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
    /// Workspaces on each card.
    pub workspace: Workspace,
    /// Allocator growth under a cache that is concatenated, as a share of the cache.
    pub cache_growth: ShareRange,
    /// Allocator rounding, as a share of the weights.
    pub allocator: ShareRange,
    /// Temporaries of sampling.
    pub sampling: Sampling,
}

/// Bytes per token of a prefill, for elements of two bytes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefillConstants {
    /// Per hidden feature.
    pub hidden_bytes: u64,
    /// Per feed-forward feature.
    pub feed_forward_bytes: u64,
    /// Upper bound of the whole, relative.
    pub high: f64,
    /// Where they are from.
    pub source: String,
}

/// Workspaces on each card.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// How much.
    pub size: Bounds,
    /// Where it is from.
    pub source: String,
}

/// A share of something, with its bounds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareRange {
    /// The least.
    pub low: f64,
    /// The best figure.
    pub expected: f64,
    /// The most.
    pub high: f64,
    /// Where they are from.
    pub source: String,
}

/// Temporaries of sampling.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Bytes of each score.
    pub bytes: u64,
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
