//! Weights that fill a card: while they are placed, by arithmetic, or beside cards that stay empty.

use super::super::engine_words::PEAKS;
use super::super::{Confidence, Context, Judgement};
use super::{engine_chooses, has_room, is_too_large_for_any, leaves_room, untouched};
use crate::engines::Cause;
use crate::oom::fingerprint::{MatchKind, fingerprint};
use crate::profiles::oom::{Signal, Stage};
use crate::units::Bytes;

/// Weights are being created, loaded or moved.
pub(super) fn loading(context: &Context<'_>) -> Option<Judgement> {
    if !context.is_at(&[Stage::Weights]) {
        return None;
    }
    let numbers = &context.allocation;
    let cached = numbers.unallocated.zip(numbers.requested).is_some_and(|(u, r)| u.0 > r.0 / 2);
    let in_loader = context.stage_event.is_some_and(|e| e.pattern == "frame.weights-loaded");
    if in_loader && cached && numbers.fits_in_pieces() == Some(true) {
        return Some(
            Judgement::new(
                Cause::ConversionOrLoadTransient,
                Confidence::Medium,
                "the loader keeps pieces that it no longer uses: free memory and cache together would hold the tensor",
            )
            .on(context.stage_event)
            .not(Cause::WeightsDoNotFit, "what is missing is in the cache of the same process"),
        );
    }
    if let Some(moved) = context.before(Signal::MovedWhileDispatched) {
        let held = context.facts.model.weights.map(|w| format!(" all {w} of")).unwrap_or_default();
        return Some(
            not_float32(
                context,
                Judgement::new(
                    Cause::SingleGpuPlacementWhileOthersIdle,
                    Confidence::High,
                    format!("a model already spread over the cards is moved as a whole, which gathers{held} its weights on one card"),
                ),
            )
            .on([moved])
            .on(context.stage_event),
        );
    }
    let judgement = too_large(context).map(|judgement| not_float32(context, judgement)).unwrap_or_else(|| {
        if context.facts.pipeline_parallel.is_some_and(|pp| pp > 1) {
            return Judgement::new(
                Cause::UnevenSplitOrRankExtra,
                Confidence::Low,
                "weights of one stage fill its card while they are created",
            );
        }
        if context.facts.has_idle_cards() && context.facts.ranks() == 1 {
            return Judgement::new(
                Cause::SingleGpuPlacementWhileOthersIdle,
                Confidence::Medium,
                "one card is full while weights are created, and nothing puts any on the others",
            );
        }
        Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Medium,
            "the card is full while weights are still being created",
        )
    });
    Some(judgement.on(context.stage_event))
}

/// Names float32 as a rival that loses, where the block is a matrix in 16 bits.
fn not_float32(context: &Context<'_>, judgement: Judgement) -> Judgement {
    let matches = fingerprint(&context.allocation, context.facts);
    let half = matches.iter().find(|m| m.kind == MatchKind::Weight && m.dtype.bits() == 16 && m.ranks == 1);
    let single = matches.iter().any(|m| m.kind == MatchKind::Weight && m.dtype == crate::units::DType::F32);
    match half.zip(context.allocation.requested).filter(|_| !single && judgement.cause != Cause::WrongDtypeFp32) {
        Some((_, requested)) => judgement.not(
            Cause::WrongDtypeFp32,
            format!("the block is a matrix in 16 bits; in float32 it would be {}", requested * 2),
        ),
        None => judgement,
    }
}

/// The model is larger than the card by arithmetic.
pub(super) fn too_large(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let total = numbers.total?;
    if has_room(numbers) || context.is_at(&[Stage::Serving, Stage::Forward, Stage::Profiling]) {
        return None;
    }
    // The card must be full of this process's tensors, as far as the message says.
    let least = if is_too_large_for_any(context, total) { 50 } else { 75 };
    if numbers.allocated.is_some_and(|a| a.0 < total.0 / 100 * least) || numbers.free.is_some_and(|f| f.0 > total.0 / 2)
    {
        return None;
    }
    if let Some(judgement) = float32(context, total) {
        return Some(judgement);
    }
    let facts = context.facts;
    let weights = facts.weights_per_card().filter(|w| w.0 > total.0 / 100 * 93)?;
    // A device map leaves on the host what does not fit, so that a model larger than the card proves nothing. Quantised layers may not go
    // there.
    let may_offload = facts.ranks() == 1 && !engine_chooses(context) && !facts.model.is_quantised();
    let cached = numbers.unallocated.zip(numbers.requested).is_some_and(|(u, r)| u.0 > r.0 / 2);
    let places_by_free_memory = may_offload && cached && numbers.fits_in_pieces() == Some(true);
    if places_by_free_memory {
        return None;
    }
    let basis = if facts.model.is_guessed { ", by the size in its name" } else { "" };
    if facts.ranks() == 1 && facts.has_idle_cards() {
        return Some(
            Judgement::new(
                Cause::SingleGpuPlacementWhileOthersIdle,
                if context.is_at(&[Stage::Weights]) { Confidence::High } else { Confidence::Medium },
                format!("weights of {weights}{basis} go to one card of {total} while others stay empty"),
            )
            .not(Cause::Fragmentation, "no arrangement of the cache would make room for all weights"),
        );
    }
    Some(
        Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Medium,
            format!("each card gets {weights} of weights{basis} and has {total}"),
        )
        .not(Cause::Fragmentation, "no arrangement of the cache would make room for all weights"),
    )
}

/// In 16 bits the model fits, in 32 it does not, and the card is full.
fn float32(context: &Context<'_>, total: Bytes) -> Option<Judgement> {
    let facts = context.facts;
    let half = facts.model.in_16_bits().filter(|_| !facts.model.is_quantised())?;
    let full = half * 2;
    if engine_chooses(context) || facts.ranks() > 1 || half.0 > total.0 / 100 * 85 || full.0 < total.0 / 100 * 95 {
        return None;
    }
    let matches = fingerprint(&context.allocation, facts);
    let as_float32 = matches.iter().find(|m| m.kind == MatchKind::Weight && m.dtype == crate::units::DType::F32);
    let as_half = matches.iter().any(|m| m.kind == MatchKind::Weight && m.dtype.bits() == 16);
    if as_half && as_float32.is_none() {
        return None;
    }
    let mut why = format!("in 16 bits the weights take {half} and fit the card ({total}); in float32 they take {full}");
    if let Some(found) = as_float32 {
        why = format!("{why}; the block is {}", found.text);
    }
    let confidence =
        if as_float32.is_some() || context.is_at(&[Stage::Weights]) { Confidence::Medium } else { Confidence::Low };
    Some(
        Judgement::new(Cause::WrongDtypeFp32, confidence, why)
            .not(Cause::WeightsDoNotFit, "in 16 bits they fit")
            .not(Cause::SingleGpuPlacementWhileOthersIdle, "one card suffices once the element type is right"),
    )
}

/// The allocator never took anything back: nothing but weights was allocated so far.
pub(super) fn nothing_cached(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allocated, unallocated, total) = (numbers.allocated?, numbers.unallocated?, numbers.total?);
    let has_pool = engine_chooses(context) || numbers.private_pools.is_some();
    // An embedding is larger than most weights; where the cache is empty it may be one.
    let largest = if unallocated.0 <= total.0 / 500 { 0.1 } else { 0.05 };
    let is_one_of_many = numbers.share_requested().is_some_and(|share| share < largest);
    let is_loading = is_one_of_many
        && unallocated <= untouched(total)
        && allocated.0 > total.0 / 100 * 75
        && numbers.free.is_some()
        && !has_room(numbers);
    if !is_loading
        || has_pool
        || leaves_room(context, total)
        || context.stage.is_some_and(|s| s != Stage::Weights && s != Stage::Startup)
    {
        return None;
    }
    let why = format!(
        "{allocated} of {total} is in tensors and only {unallocated} in the cache: no temporary was given back yet, as while weights are placed"
    );
    let cause = if context.facts.ranks() == 1 && context.facts.has_idle_cards() {
        Cause::SingleGpuPlacementWhileOthersIdle
    } else {
        Cause::WeightsDoNotFit
    };
    Some(
        Judgement::new(cause, Confidence::Low, why)
            .not(Cause::ActivationOrLogitsPeak, "a forward pass leaves pieces in the cache"),
    )
}

/// A card full of one process's tensors beside empty ones, when a further one of ordinary size comes.
pub(super) fn one_card(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allocated, total) = (numbers.allocated?, numbers.total?);
    let is_further_tensor = numbers.share_requested().is_some_and(|share| share < 0.1) && !context.is_at(PEAKS);
    // Beyond what an engine's budget gives weights and pool together.
    let is_full = allocated.0 > total.0 / 100 * 93;
    (is_further_tensor && is_full && unused_cards(context) > 0).then(|| unused(context))
}

/// Cards that hold no part of the one copy of the model.
fn unused_cards(context: &Context<'_>) -> u32 {
    let facts = context.facts;
    if facts.ranks() == 1 && facts.has_idle_cards() { facts.cards.unwrap_or(1) - 1 } else { 0 }
}

fn unused(context: &Context<'_>) -> Judgement {
    Judgement::new(
        Cause::SingleGpuPlacementWhileOthersIdle,
        Confidence::Low,
        format!("one card is full and {} more stay unused", unused_cards(context)),
    )
}

/// A full card beside empty ones.
pub(super) fn idle_cards(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let full = match (numbers.allocated, numbers.total) {
        (Some(allocated), Some(total)) => allocated.0 > total.0 / 100 * 85,
        _ => numbers.is_short() == Some(true),
    };
    let has_pool = context.facts.runs(&["vllm", "sglang", "tgi"]);
    (full && !has_pool && unused_cards(context) > 0).then(|| unused(context))
}

/// Tensors of this process alone fill the card, and one more of ordinary size comes: more than any budget gives a pool, and in smaller
/// pieces than a peak asks for.
pub(super) fn full_of_tensors(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allocated, total) = (numbers.allocated?, numbers.total?);
    let is_further_tensor = numbers.share_requested().is_some_and(|share| share < 0.02);
    (context.stage.is_none() && is_further_tensor && !leaves_room(context, total) && allocated.0 > total.0 / 100 * 95).then(|| {
        Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Low,
            format!("tensors of this process take {allocated} of {total} and one more of ordinary size fails, as while weights are created"),
        )
        .not(Cause::OtherProcessOnGpu, "the tensors are this process's own")
        .not(Cause::ActivationOrLogitsPeak, "a peak asks for large blocks")
    })
}
