//! What the block itself and the cache say: pieces, contradictions, one large tensor, the cache of a layer.

use super::super::engine_words::PEAKS;
use super::super::{Confidence, Context, Judgement};
use super::{LARGE, engine_chooses, leaves_room};
use crate::engines::Cause;
use crate::oom::fingerprint::{MatchKind, fingerprint};
use crate::profiles::oom::{Signal, Stage};
use crate::units::Bytes;

/// Blocks up to this size are cut from segments that they share.
const SEGMENT: Bytes = Bytes::mib(20);
/// The smallest piece that the allocator takes from the driver.
const SMALLEST: Bytes = Bytes::mib(2);

/// Memory is there, in pieces.
pub(super) fn pieces(context: &Context<'_>) -> Option<Judgement> {
    in_pieces(context).filter(|_| !has_usual_slack(context))
}

/// The same where the pieces are no more than any allocator holds, and nothing else explains the failure.
pub(super) fn crumbs(context: &Context<'_>) -> Option<Judgement> {
    in_pieces(context).map(|judgement| Judgement { confidence: Confidence::Low, ..judgement })
}

/// Whether the card is full and the cache as small as on any such card.
fn has_usual_slack(context: &Context<'_>) -> bool {
    let numbers = &context.allocation;
    numbers.is_short() == Some(true)
        && numbers.unallocated.zip(numbers.total).is_some_and(|(cached, total)| cached.0 < total.0 / 50)
}

fn in_pieces(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (unallocated, requested) = (numbers.unallocated?, numbers.requested?);
    let at_peak = context.is_at(PEAKS) && requested >= LARGE;
    let whole_in_cache = unallocated >= requested;
    if at_peak || !(whole_in_cache || numbers.fits_in_pieces() == Some(true)) {
        return None;
    }
    let free = numbers.free.unwrap_or_default();
    // Segments of the smallest size are never cut from larger ones: the driver refused one although the card has room.
    if requested <= SMALLEST && free > LARGE {
        return None;
    }
    // A larger block is a segment of its own, for which the driver has room.
    if requested > SEGMENT && free > requested * 2 {
        return None;
    }
    Some(
        Judgement::new(
            Cause::Fragmentation,
            if numbers.is_short() == Some(false) { Confidence::Low } else { Confidence::Medium },
            format!("{unallocated} is cached in pieces and {free} is free; together they would hold the block of {requested}"),
        )
        .not(Cause::ActivationOrLogitsPeak, "in one piece the memory would suffice"),
    )
}

/// More is free than asked for.
pub(super) fn contradiction(context: &Context<'_>) -> Option<Judgement> {
    let requested = context.allocation.requested?;
    let Some(free) = context.allocation.free else {
        let total = context.allocation.total?;
        let held = context.allocation.reserved()?;
        return ((held + requested).0 < total.0 / 2).then(|| {
            Judgement::new(
                Cause::Unknown,
                Confidence::Low,
                format!("{held} is held, {requested} asked for, and the card has {total}: others may hold it, or the device allows no buffer of that size"),
            )
        });
    };
    // What is printed is rounded, and the last pages of a card are not always usable.
    let roomy = free.0 > requested.0.saturating_add(requested.0 / 4) + Bytes::mib(16).0
        || (requested >= LARGE && free >= requested);
    roomy.then(|| {
        Judgement::new(
            Cause::Unknown,
            Confidence::Medium,
            format!("{free} is free and {requested} was asked for: the numbers do not show that the card ran out. Something else released memory meanwhile, or the system refused (page file, commit limit)"),
        )
        .not(Cause::WeightsDoNotFit, "the card has room for the block")
    })
}

/// One tensor of a good part of the card.
pub(super) fn large_block(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    if numbers.requested.is_none() && context.is_at(PEAKS) {
        let why = "the failure comes in a forward pass; the message holds no numbers";
        return Some(Judgement::new(Cause::ActivationOrLogitsPeak, Confidence::Low, why).on(context.stage_event));
    }
    let requested = numbers.requested?;
    let share = numbers.share_requested();
    let at_peak = context.is_at(PEAKS);
    let vllm_after_graphs = context.facts.runs(&["vllm"]) && numbers.private_pools.is_some() && requested >= LARGE;
    if vllm_after_graphs && !at_peak && share.is_none_or(|s| s < 0.2) {
        return Some(
            Judgement::new(
                Cause::SamplerWarmup,
                Confidence::Low,
                format!("graphs are captured and the pool is full when {requested} is asked for in one block, as the sampler's warm-up does"),
            )
            .not(Cause::CudaGraphCapture, "the graphs hold their memory already"),
        );
    }
    if !(at_peak
        || share.is_some_and(|s| s >= 0.2)
        || requested >= LARGE
        || context.failure.signal == Signal::MappingFailed)
    {
        return None;
    }
    let mut why = format!("the block of {requested}");
    if let Some(share) = share {
        why = format!("{why} is {:.0} % of the card", share * 100.0);
    }
    let confidence = match (at_peak, share) {
        (_, Some(share)) if share >= 0.5 => Confidence::High,
        (true, _) => Confidence::Medium,
        _ => Confidence::Low,
    };
    let why = if context.failure.signal == Signal::MappingFailed {
        "the card is full to the last pages at run time, with segments that already grow in place".to_owned()
    } else {
        format!("{why}: one tensor of activations, attention or logits")
    };
    Some(
        Judgement::new(Cause::ActivationOrLogitsPeak, confidence, why)
            .on(context.stage_event)
            .not(Cause::Fragmentation, "free memory and cache together do not hold the block"),
    )
}

fn cache(what: &str) -> Judgement {
    Judgement::new(Cause::KvCacheTooSmallForMaxLen, Confidence::Medium, format!("the block is {what}"))
}

/// The cache grows, or the block is one layer's cache.
pub(super) fn cache_block(context: &Context<'_>) -> Option<Judgement> {
    if context.is_at(&[Stage::KvGrowth]) {
        return Some(cache("part of the cache, which grows with the length").on(context.stage_event));
    }
    // Engines with a pool allocate it whole; ranks hold a part of the heads.
    if engine_chooses(context) || context.facts.ranks() > 1 {
        return None;
    }
    let found = fingerprint(&context.allocation, context.facts).into_iter().find(|m| m.kind == MatchKind::Cache)?;
    Some(cache(&found.text))
}

/// The smallest piece fails in an engine with a pool: many small tensors took what the budget leaves, as captures do.
pub(super) fn smallest_piece(context: &Context<'_>) -> Option<Judgement> {
    let small =
        context.allocation.requested.is_some_and(|r| r <= SMALLEST) && context.allocation.is_short() == Some(true);
    let fits = context.facts.weights_per_card().zip(context.total()).is_none_or(|(w, t)| w.0 < t.0 / 100 * 85);
    let has_pool =
        context.facts.runs(&["vllm", "sglang"]) || (context.facts.engine.is_none() && context.facts.ranks() > 1);
    (small && fits && has_pool).then(|| {
        Judgement::new(
            Cause::CudaGraphCapture,
            Confidence::Low,
            "the card is full to the last 2 MiB although the budget leaves a part of it: small tensors outside the budget, as graph capture makes them",
        )
        .not(Cause::ActivationOrLogitsPeak, "a peak asks for large blocks")
    })
}

/// Weights that leave room are on a card that is full of this process's tensors: a pool took the rest, and one more tensor comes.
pub(super) fn beside_the_pool(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allocated, total) = (numbers.allocated?, numbers.total?);
    let is_full = allocated.0 > total.0 / 100 * 90 && numbers.is_short() == Some(true);
    (context.stage.is_none() && leaves_room(context, total) && is_full).then(|| {
        Judgement::new(
            Cause::ActivationOrLogitsPeak,
            Confidence::Low,
            format!("tensors of this process take {allocated} of {total}, far more than its weights: beside its pool no room is left for a tensor of a pass"),
        )
        .not(Cause::WeightsDoNotFit, "the weights leave room on the card")
    })
}
