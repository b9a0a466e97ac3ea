//! Memory of the host: offloaded weights, swap space, an offloaded KV cache.

use crate::engines::vllm::options;
use crate::engines::{Change, EngineError, Settings};
use crate::model::Part;
use crate::profiles::VllmEra;
use crate::sharding::{RankTensor, Where};
use crate::units::{ByteDelta, Bytes};

/// Swap space of each card where the engine swaps and nothing is set (`config.py`, `CacheConfig.swap_space`).
const DEFAULT_SWAP: Bytes = Bytes::gib(4);

/// Weights that `--cpu-offload-gb` keeps in host memory, as changes to what is resident: whole tensors of the layers, in the order of
/// construction, until the amount is reached (`model_executor/models/utils.py`, `maybe_offload_to_cpu`).
#[must_use]
pub fn changes(settings: &Settings, tensors: &[RankTensor]) -> Vec<Change> {
    let Some(limit) = settings.cpu_offload.filter(|limit| *limit > Bytes::ZERO) else { return Vec::new() };
    let mut left = limit;
    let mut by_part: Vec<(Part, Bytes)> = Vec::new();
    for tensor in tensors.iter().filter(|t| !matches!(t.place, Where::Once)) {
        let bytes = tensor.bytes().min(left);
        left = left.saturating_sub(bytes);
        match by_part.iter_mut().find(|(part, _)| *part == tensor.part) {
            Some((_, sum)) => *sum += bytes,
            None => by_part.push((tensor.part, bytes)),
        }
    }
    let kept = |(part, bytes): (Part, Bytes)| Change {
        what: "kept in host memory",
        part,
        bytes: ByteDelta(-i128::from(bytes.0)),
    };
    by_part.into_iter().filter(|(_, bytes)| *bytes > Bytes::ZERO).map(kept).collect()
}

/// Bytes that a rank's changes moved to the host.
#[must_use]
pub fn moved(changes: &[Change]) -> Bytes {
    let moved: i128 = changes.iter().filter(|c| c.what == "kept in host memory").map(|c| -c.bytes.0).sum();
    Bytes(u64::try_from(moved).unwrap_or(0))
}

/// Swap space of one rank.
///
/// # Errors
/// When it is no number.
pub fn swap(settings: &Settings, era: &VllmEra) -> Result<Bytes, EngineError> {
    let asked = options::gibibytes(settings, "swap-space")?;
    Ok(if era.scheduler.whole_prompts { asked.unwrap_or(DEFAULT_SWAP) } else { Bytes::ZERO })
}

/// KV cache in host memory, over all ranks of the deployment.
///
/// # Errors
/// When it is no number.
pub fn cache(settings: &Settings) -> Result<Bytes, EngineError> {
    Ok(options::gibibytes(settings, "kv-offloading-size")?.unwrap_or(Bytes::ZERO))
}
