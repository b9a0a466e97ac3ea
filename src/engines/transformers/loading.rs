//! The transient top while weights arrive.

use super::options::Options;
use crate::engines::{ShardTotals, Version};
use crate::hardware::Card;
use crate::model::{Model, Part};
use crate::sharding::{RankTensor, Where};
use crate::units::{Basis, Bytes, Estimate, Formula};

/// From here the allocator's pool is filled by one request of the size of the weights before any is read: tensors are cut from it, and what
/// arrives adds nothing. It is capped below the card's size, so it fails only where the weights would.
const WARM_UP: Version = Version { major: 4, minor: 50, patch: 0 };
/// Threads that read and place tensors from version 5 on: so many are in flight.
const IN_FLIGHT: usize = 4;

/// Top of a card while its share is loaded.
pub(super) fn peak(model: &Model, totals: &ShardTotals, card: &Card, options: &Options, version: Version) -> Estimate {
    let mut sizes: Vec<Bytes> = totals.tensors.iter().map(RankTensor::bytes_each).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let largest = sizes.first().copied().unwrap_or(Bytes::ZERO);
    let v5 = version.major >= 5;
    // Matrices that are quantised or joined on the card exist whole beside their result.
    let sure = if options.on_the_fly.is_some() { largest } else { Bytes::ZERO };
    let fused = if v5 { fused_experts(&totals.tensors) } else { Bytes::ZERO };
    let transient = if options.on_the_fly.is_some() {
        largest
    } else if fused > Bytes::ZERO {
        fused + fused
    } else if v5 {
        sizes.iter().take(IN_FLIGHT).copied().sum()
    } else if version >= WARM_UP {
        Bytes::ZERO
    } else {
        largest
    };
    let untied = if version < WARM_UP { untied_head(model, totals) } else { Bytes::ZERO };
    let base = totals.resident + card.other_processes + untied;
    Estimate::between(
        base + card.context.low + sure,
        base + card.context.expected + sure.max(fused),
        base + card.context.high + transient,
        Basis::Derived,
        Formula::with(
            "weights + context + others + tensors in flight",
            &[("weights", totals.resident.0), ("in flight", transient.0)],
        ),
    )
}

/// AWQ checkpoints may hold the head of a tied model too: it is placed on its own before it is tied. Published peaks with short prompts lie
/// above the weights by 0.9 of it in three runs of four (0.5 and 3 billion parameters; not 1.5), those of other formats and on 4.51 do not.
fn untied_head(model: &Model, totals: &ShardTotals) -> Bytes {
    let awq = model.quantization.as_ref().is_some_and(|q| q.method == "awq");
    if !(awq && model.tied_embeddings) {
        return Bytes::ZERO;
    }
    totals.tensors.iter().filter(|t| t.part == Part::Embedding).map(RankTensor::bytes_each).max().unwrap_or(Bytes::ZERO)
}

/// The largest tensor that version 5 makes of a layer's experts: all of one matrix in one.
fn fused_experts(tensors: &[RankTensor]) -> Bytes {
    let per_layer = |t: &RankTensor| match &t.place {
        Where::Layers(layers) | Where::Experts { layers, .. } => Bytes(t.bytes().0 / layers.len().max(1)),
        Where::Once => t.bytes(),
    };
    tensors.iter().filter(|t| t.part == Part::Experts).map(per_layer).max().unwrap_or(Bytes::ZERO)
}
