//! Constants of the engines' memory models, by era, each group with its source.

use serde::{Deserialize, Deserializer};

use crate::units::{Basis, Bytes, Estimate, Formula};

/// Constants of one engine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VllmProfile {
    /// Version of the file's layout.
    pub schema: u32,
    /// Engine name.
    pub engine: String,
    /// The newest version these constants are for.
    pub newest: String,
    /// Eras, oldest first.
    #[serde(rename = "era")]
    pub eras: Vec<VllmEra>,
}

/// vLLM's constants from one version on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VllmEra {
    /// First version of the era.
    pub first: String,
    /// Versions checked byte for byte.
    pub exact: Vec<String>,
    /// Share of the card.
    pub budget: BudgetConstants,
    /// Defaults of the scheduler.
    pub scheduler: SchedulerConstants,
    /// Peak of the profiling run.
    pub activation: ActivationConstants,
    /// Memory outside the tensor allocator that appears while profiling.
    pub non_torch: NonTorchConstants,
    /// Communicators made before the baseline.
    pub communication: CommunicationConstants,
    /// CUDA graphs.
    pub graphs: GraphConstants,
}

/// Defaults of the budget.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConstants {
    /// `gpu_memory_utilization`.
    pub memory_fraction: f64,
    /// Where it is from.
    pub source: String,
}

/// A default that differs by card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByCard {
    /// On large cards.
    pub large: u64,
    /// On the others.
    pub small: u64,
}

/// Defaults of the scheduler.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerConstants {
    /// A card with at least this much memory is large.
    #[serde(deserialize_with = "bytes")]
    pub large_card: Bytes,
    /// Parts of names of cards that count as small all the same.
    pub large_card_exceptions: Vec<String>,
    /// `max_num_batched_tokens` of the API server.
    pub batched_tokens_server: ByCard,
    /// `max_num_batched_tokens` of the library.
    pub batched_tokens_library: ByCard,
    /// `max_num_seqs`.
    pub sequences: ByCard,
    /// Tokens of a KV block.
    pub block_size: u64,
    /// Where they are from.
    pub source: String,
}

/// Constants of the activation peak.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationConstants {
    /// Bytes per element of sequences × vocabulary in the sampler pass.
    pub sampler_bytes: f64,
    /// Added to the sampler pass.
    #[serde(deserialize_with = "bytes")]
    pub sampler_constant: Bytes,
    /// Hidden-size buffers alive at the widest point of a forward pass.
    pub forward_hidden: u64,
    /// Lower bound, relative.
    pub low: f64,
    /// Upper bound, relative.
    pub high: f64,
    /// Where they are from.
    pub source: String,
}

/// An amount with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The least.
    #[serde(deserialize_with = "bytes")]
    pub low: Bytes,
    /// The best figure.
    #[serde(deserialize_with = "bytes")]
    pub expected: Bytes,
    /// The most.
    #[serde(deserialize_with = "bytes")]
    pub high: Bytes,
}

impl Bounds {
    /// As an estimate of a ledger line.
    #[must_use]
    pub fn estimate(&self, rule: &'static str) -> Estimate {
        Estimate::between(self.low, self.expected, self.high, Basis::Profile, Formula::plain(rule))
    }
}

/// Memory outside the tensor allocator.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonTorchConstants {
    /// One rank.
    pub single: Bounds,
    /// Several, over NVLink.
    pub parallel_nvlink: Bounds,
    /// Several, over PCIe.
    pub parallel_pcie: Bounds,
    /// Where they are from.
    pub source: String,
}

/// Communicators.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommunicationConstants {
    /// Two ranks over NVLink.
    pub nvlink_two: Bounds,
    /// More ranks over NVLink.
    pub nvlink_more: Bounds,
    /// Any number over PCIe.
    pub pcie: Bounds,
    /// Buffers of the engine's own all-reduce.
    #[serde(deserialize_with = "bytes")]
    pub custom_all_reduce: Bytes,
    /// Group sizes it supports.
    pub custom_all_reduce_sizes: Vec<u32>,
    /// Where they are from.
    pub source: String,
}

/// CUDA graphs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphConstants {
    /// Whatever the model.
    #[serde(deserialize_with = "bytes")]
    pub constant: Bytes,
    /// Per layer when 67 batch sizes are captured.
    #[serde(deserialize_with = "bytes")]
    pub per_layer_at_67_sizes: Bytes,
    /// Lower bound, relative.
    pub low: f64,
    /// Upper bound, relative.
    pub high: f64,
    /// Largest batch size captured.
    pub largest_size: u64,
    /// Where they are from.
    pub source: String,
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// vLLM's constants.
///
/// # Errors
/// When the embedded file is malformed, which a test rules out.
pub fn vllm_profile() -> Result<VllmProfile, toml::de::Error> {
    toml::from_str(include_str!("../../profiles/engines/vllm.toml"))
}

#[cfg(test)]
mod tests {
    use super::vllm_profile;

    #[test]
    fn the_embedded_constants_parse() {
        let profile = vllm_profile().unwrap();
        assert_eq!((profile.schema, profile.engine.as_str()), (1, "vllm"));
        assert!(!profile.eras.is_empty());
    }
}
