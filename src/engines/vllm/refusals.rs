//! The starts that vLLM refuses, in its words (`v1/worker/gpu_worker.py`, `v1/core/kv_cache_utils.py` of 0.11).

use crate::engines::{Cause, Refusal};
use crate::model::Model;
use crate::sharding::ShardError;
use crate::units::Bytes;

use crate::engines::EngineError;

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
        ShardError::StateGroups { .. } => {
            "If tensor parallel world size does not divide num_groups, then num_groups must equal 1.".to_owned()
        }
        ShardError::Features { features, tp, module } => format!("{features} is not divisible by {tp} (`{module}`)"),
        ShardError::Vocabulary { rows, tp } => format!("{rows} is not divisible by {tp} (padded vocabulary)"),
        ShardError::Quantization { .. } => {
            "The input size is not aligned with the quantized weight shape. This can be \
                                            caused by too large tensor parallel size."
                .to_owned()
        }
        ShardError::Stages { layers, stages } => {
            format!("{layers} layers do not form {stages} pipeline stages as partitioned")
        }
    };
    let hint = match error {
        ShardError::Stages { layers, .. } => Some(format!("`--pipeline-parallel-size` can be 1 to {layers}")),
        _ => {
            let sizes: Vec<String> = divisors(model).iter().map(u64::to_string).collect();
            (!sizes.is_empty()).then(|| format!("`--tensor-parallel-size` can be {} for this model", sizes.join(", ")))
        }
    };
    EngineError::Refused { message, hint }
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

/// Less memory is free at start than the budget asks for.
#[must_use]
pub fn free_at_start(rank: usize, free: Bytes, total: Bytes, fraction: f64, wanted: Bytes, others: Bytes) -> Refusal {
    Refusal {
        cause: if others > Bytes::ZERO { Cause::OtherProcessOnGpu } else { Cause::NcclOrLibraryWorkspace },
        rank: Some(rank),
        need: Some(wanted),
        have: Some(free),
        message: format!(
            "Free memory on device ({:.2}/{:.2} GiB) on startup is less than desired GPU memory utilization ({fraction}, \
             {:.2} GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
            free.as_gib(),
            total.as_gib(),
            wanted.as_gib()
        ),
    }
}

/// The card is full before the weights are all there, or before the profiling run has its peak.
#[must_use]
pub fn out_of_memory(cause: Cause, rank: usize, need: Bytes, have: Bytes) -> Refusal {
    Refusal { cause, rank: Some(rank), need: Some(need), have: Some(have), message: "CUDA out of memory.".to_owned() }
}

/// Weights and peaks use the budget up.
#[must_use]
pub fn no_blocks(rank: usize, need: Bytes, budget: Bytes) -> Refusal {
    Refusal {
        cause: Cause::NoMemoryLeftForKv,
        rank: Some(rank),
        need: Some(need),
        have: Some(budget),
        message: "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing \
                  the engine."
            .to_owned(),
    }
}

/// One sequence of the stated length is larger than the pool.
#[must_use]
pub fn sequence_too_long(rank: usize, length: u64, need: Bytes, available: Bytes, longest: u64) -> Refusal {
    let estimate = if longest > 0 {
        format!(" Based on the available memory, the estimated maximum model length is {longest}.")
    } else {
        String::new()
    };
    Refusal {
        cause: Cause::KvCacheTooSmallForMaxLen,
        rank: Some(rank),
        need: Some(need),
        have: Some(available),
        message: format!(
            "To serve at least one request with the models's max seq len ({length}), ({:.2} GiB KV cache is needed, which \
             is larger than the available KV cache memory ({:.2} GiB).{estimate} Try increasing `gpu_memory_utilization` \
             or decreasing `max_model_len` when initializing the engine.",
            need.as_gib(),
            available.as_gib()
        ),
    }
}
