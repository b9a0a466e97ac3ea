//! The starts that vLLM refuses, in the words of its era.

use super::words::{Value, fill};
use crate::engines::{Cause, EngineError, Refusal};
use crate::model::Model;
use crate::profiles::Words;
use crate::sharding::ShardError;
use crate::units::Bytes;

/// A size that does not divide, as vLLM says it.
#[must_use]
pub fn does_not_divide(error: &ShardError, model: &Model) -> EngineError {
    let message = match error {
        ShardError::QueryHeads { heads, tp } => {
            format!("Total number of attention heads ({heads}) must be divisible by tensor parallel size ({tp}).")
        }
        ShardError::KeyValueHeads { heads, tp } => {
            let (a, b) = if tp > heads { (tp, heads) } else { (heads, tp) };
            format!("{a} is not divisible by {b} (key/value heads and tensor parallel size)")
        }
        ShardError::StateHeads { heads, tp } => format!("{heads} is not divisible by {tp} (state heads)"),
        ShardError::StateGroups { .. } => {
            "If tensor parallel world size does not divide num_groups, then num_groups must equal 1.".to_owned()
        }
        ShardError::Features { features, tp, module } => format!("{features} is not divisible by {tp} (`{module}`)"),
        ShardError::Vocabulary { rows, tp } => format!("{rows} is not divisible by {tp} (padded vocabulary)"),
        ShardError::Quantization { module, input, features, unit } => {
            misaligned(model, module, *input, *features, *unit)
        }
        ShardError::MixedPrecision { module } => format!(
            "Detected some but not all shards of {module} are quantized. All shards of fused layers to have the same \
             precision."
        ),
        ShardError::QuantizationState { .. } => {
            "Prequant BitsAndBytes models with tensor parallelism is not supported. \
                                                 Please try with pipeline parallelism."
                .to_owned()
        }
        ShardError::UnknownMethod { method } => format!("Unknown quantization method: {method}."),
        ShardError::Bits { method, bits } => {
            format!("Currently, only 4-bit weight quantization is supported for {method}, but got {bits} bits.")
        }
        ShardError::NoPlan { class, .. } => format!(
            "<class '{class}'> does not support tensor parallel. See \
             https://docs.vllm.ai/en/latest/models/supported_models.html#writing-custom-models for instructions on how to add \
             support yourself."
        ),
        ShardError::FormerClass { class, until } => format!(
            "Model architecture {class} was supported in vLLM until v{until}, and is not supported anymore. Please use an older \
             version of vLLM if you want to use this model architecture."
        ),
        ShardError::Stages { layers, stages } => {
            format!("{layers} layers do not form {stages} pipeline stages as partitioned")
        }
    };
    let hint = match error {
        ShardError::UnknownMethod { .. } => Some(
            "an older vLLM runs it, or a checkpoint quantised by another method (`--engine vllm@0.11.2`)".to_owned(),
        ),
        ShardError::Bits { .. } => Some("a checkpoint of 4 bits, or one quantised by GPTQ".to_owned()),
        ShardError::NoPlan { until, .. } => Some(format!("vLLM {until} is the last version that divides it")),
        ShardError::FormerClass { until, .. } => Some(format!("vLLM {until} is the last version that runs it")),
        ShardError::Stages { layers, .. } => Some(format!("`--pipeline-parallel-size` can be 1 to {layers}")),
        _ => {
            let sizes: Vec<String> = divisors(model).iter().map(u64::to_string).collect();
            (!sizes.is_empty()).then(|| format!("`--tensor-parallel-size` can be {} for this model", sizes.join(", ")))
        }
    };
    EngineError::Refused { message, hint }
}

/// A slice that ends inside a block, group or word (`utils/fp8_utils.py` `validate_fp8_block_shape`, `fp8.py`, `awq.py`, `gptq.py`,
/// `modelopt.py`).
fn misaligned(model: &Model, module: &str, input: bool, features: u64, unit: u64) -> String {
    let method = model.quantization.as_ref().map_or("", |q| q.method.as_str());
    let experts = module.contains(".experts");
    match (method, input, experts) {
        ("fp8" | "compressed-tensors", false, true) => format!(
            "The output_size of gate's and up's weight = {features} is not divisible by weight quantization block_n = \
             {unit}."
        ),
        ("fp8" | "compressed-tensors", true, true) => format!(
            "The input_size of down's weight = {features} is not divisible by weight quantization block_k = {unit}."
        ),
        ("fp8", false, false) => {
            format!(
                "Weight output_partition_size = {features} is not divisible by weight quantization block_n = {unit}."
            )
        }
        ("fp8", true, false) => format!(
            "Weight input_size_per_partition = {features} is not divisible by weight quantization block_k = {unit}."
        ),
        ("modelopt_fp4" | "modelopt_mixed", true, _) => {
            "Unsupported model when in features size is not multiple of 16".to_owned()
        }
        (_, true, _) => {
            "The input size is not aligned with the quantized weight shape. This can be caused by too large \
                         tensor parallel size."
                .to_owned()
        }
        (_, false, _) => {
            "The output size is not aligned with the quantized weight shape. This can be caused by too large \
                          tensor parallel size."
                .to_owned()
        }
    }
}

/// What vLLM checks before it builds a layer (`ModelConfig.verify_with_parallel_config` in `config/model.py`), so that this is the
/// refusal a user sees, whatever else does not divide.
pub fn heads_divide(model: &Model, tp: u32) -> Result<(), EngineError> {
    let (heads, tp) = (model.attention_heads, u64::from(tp));
    if heads.is_multiple_of(tp) { Ok(()) } else { Err(does_not_divide(&ShardError::QueryHeads { heads, tp }, model)) }
}

/// Tensor-parallel sizes up to 16 over which heads and feed-forward width divide.
fn divisors(model: &Model) -> Vec<u64> {
    (1..=16u64)
        .filter(|tp| {
            model.attention_heads.is_multiple_of(*tp)
                && (model.kv_heads.is_multiple_of(*tp) || tp.is_multiple_of(model.kv_heads.max(1)))
                && model.intermediate_size.is_multiple_of(*tp)
        })
        .collect()
}

/// A start with too little free memory.
#[derive(Debug, Clone, Copy)]
pub struct AtStart {
    /// The rank.
    pub rank: usize,
    /// Free at start.
    pub free: Bytes,
    /// CUDA total.
    pub total: Bytes,
    /// Share of it that is wanted.
    pub fraction: f64,
    /// The share in bytes.
    pub wanted: Bytes,
    /// Held by others.
    pub others: Bytes,
}

/// Less memory is free at start than the budget asks for.
#[must_use]
pub fn free_at_start(words: &Words, start: &AtStart) -> Refusal {
    let AtStart { rank, free, total, fraction, wanted, others } = *start;
    let message = fill(
        &words.free_at_start,
        &[
            ("device", Value::Count(rank as u64)),
            ("free", Value::Amount(free)),
            ("total", Value::Amount(total)),
            ("fraction", Value::Ratio(fraction)),
            ("budget", Value::Amount(wanted)),
        ],
    );
    let cause = if others > Bytes::ZERO { Cause::OtherProcessOnGpu } else { Cause::NcclOrLibraryWorkspace };
    Refusal { cause, rank: Some(rank), need: Some(wanted), have: Some(free), message }
}

/// The card is full before the weights are all there, or before the profiling run has its peak.
#[must_use]
pub fn out_of_memory(cause: Cause, rank: usize, need: Bytes, have: Bytes) -> Refusal {
    Refusal { cause, rank: Some(rank), need: Some(need), have: Some(have), message: "CUDA out of memory.".to_owned() }
}

/// Weights and peaks use the budget up.
#[must_use]
pub fn no_blocks(words: &Words, rank: usize, need: Bytes, budget: Bytes) -> Refusal {
    let message = words.no_blocks.clone();
    Refusal { cause: Cause::NoMemoryLeftForKv, rank: Some(rank), need: Some(need), have: Some(budget), message }
}

/// A sequence that is larger than the pool.
#[derive(Debug, Clone, Copy)]
pub struct TooLong {
    /// The rank.
    pub rank: usize,
    /// Its length.
    pub length: u64,
    /// Bytes it needs.
    pub need: Bytes,
    /// Bytes there.
    pub available: Bytes,
    /// The longest that would fit.
    pub longest: u64,
    /// Tokens that the pool holds.
    pub capacity: u64,
}

/// One sequence of the stated length is larger than the pool.
#[must_use]
pub fn sequence_too_long(words: &Words, sequence: &TooLong) -> Refusal {
    let TooLong { rank, length, need, available, longest, capacity } = *sequence;
    let values = [
        ("length", Value::Count(length)),
        ("need", Value::Amount(need)),
        ("available", Value::Amount(available)),
        ("longest", Value::Count(longest)),
        ("capacity", Value::Count(capacity)),
    ];
    let estimate = if longest > 0 { fill(&words.estimate, &values) } else { String::new() };
    let message = fill(&words.too_long.replace("{estimate}", &estimate), &values);
    Refusal {
        cause: Cause::KvCacheTooSmallForMaxLen,
        rank: Some(rank),
        need: Some(need),
        have: Some(available),
        message,
    }
}

/// Not even one token fits, and the length was left to the engine.
#[must_use]
pub fn nothing_fits(words: &Words, sequence: &TooLong) -> Refusal {
    let refusal = sequence_too_long(words, sequence);
    let message = if words.nothing_fits.is_empty() { refusal.message } else { words.nothing_fits.clone() };
    Refusal { message, ..refusal }
}
