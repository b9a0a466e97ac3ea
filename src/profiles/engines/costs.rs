//! Constants of what an engine holds: activations, experts' buffers, communicators, graphs.

use serde::Deserialize;

use super::bytes;
use crate::units::{Basis, Bytes, Estimate, Formula};

/// Relative bounds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

/// Constants of the activation peak.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationConstants {
    /// Bytes per element of sequences × vocabulary in the sampler pass.
    pub sampler_bytes: f64,
    /// The other sampler that the era has; `None` where there is none to choose.
    pub flashinfer: Option<FlashInferSampler>,
    /// Added to the sampler pass.
    #[serde(deserialize_with = "bytes")]
    pub sampler_constant: Bytes,
    /// Whether only the first rank of a group samples.
    #[serde(default)]
    pub sampler_on_first_rank_only: bool,
    /// Hidden-size buffers alive at the widest point of a forward pass.
    pub forward_hidden: u64,
    /// Bounds for plain text models.
    pub text: Spread,
    /// Bounds for models with routed experts.
    pub experts: Spread,
    /// Bounds for models that see images.
    pub images: Spread,
    /// Added for models that see images.
    #[serde(default, deserialize_with = "bytes")]
    pub image_constant: Bytes,
    /// Where they are from.
    pub source: String,
}

/// Sampling by FlashInfer's kernels, which sort nothing.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashInferSampler {
    /// Bytes per element of sequences × vocabulary.
    pub bytes: f64,
    /// Whether it is used unasked wherever the package is installed.
    pub by_default: bool,
}

/// How the buffers of routed experts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpertWorkspace {
    /// Three buffers of one chunk of tokens.
    Separate,
    /// Two buffers of one chunk of tokens.
    Chunked,
    /// Two buffers of all tokens, which stay.
    Kept,
}

/// Buffers of routed experts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertConstants {
    /// How they are kept.
    pub workspace: ExpertWorkspace,
    /// Tokens of a chunk.
    pub chunk: u64,
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
    /// So many times the amount.
    #[must_use]
    pub fn times(&self, count: u32) -> Self {
        let times = |amount: Bytes| Bytes(amount.0.saturating_mul(u64::from(count)));
        Self { low: times(self.low), expected: times(self.expected), high: times(self.high) }
    }

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
    /// One rank, on a card whose multiprocessors are not known.
    pub single: Bounds,
    /// One rank, for each multiprocessor of its card: kernels and library handles reserve memory by them.
    pub per_multiprocessor: Option<Bounds>,
    /// Several ranks of one layer, over NVLink.
    pub parallel_nvlink: Bounds,
    /// Several ranks of one layer, over PCIe.
    pub parallel_pcie: Bounds,
    /// Pipeline stages of one rank each.
    pub pipeline: Bounds,
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

/// Buffers of fixed size.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferConstants {
    /// Symmetric memory for all-reduce; `None` before engines had it.
    pub symmetric_memory: Option<SymmetricMemory>,
    /// Attention workspace of FlashInfer.
    #[serde(default, deserialize_with = "bytes")]
    pub flashinfer_workspace: Bytes,
    /// Major compute capability from which FlashInfer's kernels are the default.
    #[serde(default)]
    pub flashinfer_from: u32,
    /// Whether the sampler keeps counts of the vocabulary for every sequence.
    #[serde(default)]
    pub penalty_state: bool,
    /// Where they are from.
    pub source: String,
}

/// Symmetric memory by ranks: 2, 4, 6 and 8.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymmetricMemory {
    /// Compute capability 9.
    pub hopper: [Size; 4],
    /// Compute capability 10.
    pub blackwell: [Size; 4],
}

/// A size in text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Size(#[serde(deserialize_with = "bytes")] pub Bytes);

/// CUDA graphs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphConstants {
    /// Whatever the model.
    #[serde(deserialize_with = "bytes")]
    pub constant: Bytes,
    /// Per layer when `at_sizes` batch sizes are captured.
    #[serde(deserialize_with = "bytes")]
    pub per_layer: Bytes,
    /// Batch sizes for which `per_layer` holds.
    pub at_sizes: u64,
    /// The largest batch size captured, per sequence of a step.
    pub per_sequence: u64,
    /// The largest batch size captured whatever the sequences.
    pub largest: u64,
    /// The same on cards of compute capability 10.
    pub largest_blackwell: Option<u64>,
    /// Batch size from which only multiples of 16 are captured.
    pub coarse_from: Option<u64>,
    /// Lower bound, relative.
    pub low: f64,
    /// Upper bound, relative.
    pub high: f64,
    /// Where they are from.
    pub source: String,
}
