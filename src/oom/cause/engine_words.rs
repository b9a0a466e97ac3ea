//! Failures that the engine explains itself.

use super::{Confidence, Context, Judgement};
use crate::engines::Cause;
use crate::profiles::oom::{Signal, Stage};
use crate::units::Bytes;

/// Less than this missing at start, with no process seen, is a context that grew.
const CONTEXT_SIZED: Bytes = Bytes::mib(512);
/// What contexts and libraries of one process hold at most.
const CONTEXTS: Bytes = Bytes::gib(3);

pub(super) fn judge(context: &Context<'_>) -> Option<Judgement> {
    let high = |cause, why: &str| Some(Judgement::new(cause, Confidence::High, why));
    let failure = context.failure;
    match context.signal() {
        Signal::NotDivisible => {
            let ranks = failure.number("tensor_parallel_size").unwrap_or_default();
            let heads = failure.number("attention_heads").or_else(|| failure.number("size")).unwrap_or_default();
            let why = if ranks < 1.0 || heads < 1.0 {
                "a size of the model does not divide over the ranks".to_owned()
            } else {
                format!("{heads} does not divide by {ranks} ranks")
            };
            Some(
                Judgement::new(Cause::TpNotDivisible, Confidence::High, why)
                    .not(Cause::WeightsDoNotFit, "the engine stops before it allocates anything"),
            )
        }
        Signal::KvBelowLength => Some(below_length(context)),
        Signal::NoMemoryForKv => Some(nothing_for_kv(context)),
        Signal::StaticShareTooSmall => Some(
            Judgement::new(
                Cause::NoMemoryLeftForKv,
                Confidence::High,
                "the weights alone are larger than the static share, so the pool would be empty",
            )
            .not(Cause::ActivationOrLogitsPeak, "the message comes while the pool is sized, before any request"),
        ),
        Signal::FreeBelowRequest => Some(free_at_start(context)),
        Signal::ProfilingGainedMemory => Some(profile_gained(context)),
        Signal::SleepModeRemap => Some(Judgement::new(
            Cause::OtherProcessOnGpu,
            Confidence::Medium,
            "the pool is mapped again after sleep, and something else took its place on the card",
        )),
        Signal::SamplerWarmup => high(
            Cause::SamplerWarmup,
            "the warm-up sorts one row of logits in float32 for every sequence allowed at once, beside the full KV pool",
        ),
        Signal::CaptureFailed => Some(capture(context)),
        Signal::AllReduceRegistration => Some(all_reduce(context)),
        Signal::KvTokensRefused => Some(tokens_refused(context)),
        Signal::RequestSlotsExhausted => Some(
            Judgement::new(
                Cause::KvPoolExhaustedAtRuntime,
                Confidence::High,
                "every row that a running sequence needs beside its tokens is taken",
            )
            .not(Cause::ActivationOrLogitsPeak, "what is short are rows for sequences, not bytes of the card"),
        ),
        Signal::StateBlocksTooFew => Some(state_blocks(context)),
        Signal::PoolLeak => Some(
            Judgement::new(
                Cause::MemoryLeakGrowth,
                Confidence::High,
                "with nothing running, tokens of the pool are still marked as taken: the scheduler lost them",
            )
            .not(Cause::KvPoolExhaustedAtRuntime, "no request holds them"),
        ),
        Signal::CardsUnbalanced => Some(unbalanced(context)),
        Signal::KvBlocksExhausted => high(Cause::KvPoolExhaustedAtRuntime, "every block of the KV pool is taken by running requests"),
        Signal::TotalTokensTooMany => high(Cause::NoMemoryLeftForKv, "the cache for all tokens allowed at once does not fit beside the weights"),
        Signal::PrefillTokensTooMany => {
            high(Cause::ActivationOrLogitsPeak, "the warm-up prefill of the largest allowed batch does not fit beside the weights")
        }
        Signal::DeviceMapExceedsCards => Some(outside_the_cards(context)),
        Signal::MovedWhileOffloaded => Some(
            Judgement::new(
                Cause::WeightsDoNotFit,
                Confidence::Medium,
                "part of the model was offloaded because it exceeds the cards, and then the whole was moved to one of them",
            )
            .on(context.before(Signal::Offloaded)),
        ),
        Signal::SplitExhausted => Some(split(context)),
        Signal::CacheBesideWeights => Some(Judgement::new(
            Cause::KvCacheTooSmallForMaxLen,
            Confidence::Medium,
            "weights and a cache of the full length are allocated together, and the length is the part that is chosen",
        )),
        _ => None,
    }
}

/// A device map that leaves the cards although they hold the weights this many times has a fault of its own.
const AMPLE: u64 = 2;

fn outside_the_cards(context: &Context<'_>) -> Judgement {
    let facts = context.facts;
    let cards = facts.cards.filter(|cards| *cards > 1).zip(context.total());
    let ample = cards.zip(facts.model.weights).filter(|((n, card), weights)| *card * u64::from(*n) > *weights * AMPLE);
    if let Some(((cards, card), weights)) = ample {
        return Judgement::new(
            Cause::UnevenSplitOrRankExtra,
            Confidence::Medium,
            format!("{cards} cards of {card} hold weights of {weights} with ease: the map skipped cards that a large module did not fit"),
        )
        .not(Cause::WeightsDoNotFit, "the cards hold them together");
    }
    Judgement::new(
        Cause::WeightsDoNotFit,
        Confidence::High,
        "the device map had to put modules outside the cards, which quantised layers do not allow; no allocation was tried",
    )
}

fn below_length(context: &Context<'_>) -> Judgement {
    let number = |name: &str| context.failure.number(name).or_else(|| context.events.number(name));
    let why = match (number("max_seq_len").or_else(|| number("session_len")), number("kv_capacity_tokens")) {
        (Some(length), Some(tokens)) => {
            format!("one sequence of {length} tokens is asked for and the pool holds {tokens}")
        }
        _ => match (number("kv_needed_gib"), number("kv_available_gib")) {
            (Some(need), Some(have)) => format!("one sequence needs {need} GiB of cache and {have} GiB is left"),
            _ => "the pool is smaller than one sequence of the stated length".to_owned(),
        },
    };
    Judgement::new(Cause::KvCacheTooSmallForMaxLen, Confidence::High, why)
        .not(Cause::NoMemoryLeftForKv, "some of the pool is there")
}

fn nothing_for_kv(context: &Context<'_>) -> Judgement {
    let facts = context.facts;
    let capacity = context.total();
    // Weights that no single card holds were divided all the same, and not over the heads: by stages, each with an embedding or a head.
    let divided_by_stages = facts.tensor_parallel.unwrap_or(1) == 1
        && facts.cards.is_some_and(|cards| cards > 1)
        && facts.model.weights.zip(capacity).is_some_and(|(weights, card)| weights > card);
    if facts.pipeline_parallel.is_some_and(|pp| pp > 1) || divided_by_stages {
        return Judgement::new(
            Cause::UnevenSplitOrRankExtra,
            Confidence::Medium,
            "the model is divided by layers, so that single stages carry the embedding or the head beside their layers",
        )
        .not(Cause::NoMemoryLeftForKv, "the sum of the cards suffices; one stage is larger than the others");
    }
    let tiny = facts.model.weights.zip(capacity).is_some_and(|(weights, card)| weights.0 < card.0 / 16);
    if tiny
        && facts.memory_share.is_none()
        && facts.ranks() == 1
        && context.events.of(Signal::GraphEstimate).next().is_none()
    {
        return Judgement::new(
            Cause::OtherProcessOnGpu,
            Confidence::Low,
            "the weights are less than a sixteenth of the card: what fills the budget is not this model, as when a neighbour loads while the engine measures",
        )
        .not(Cause::NoMemoryLeftForKv, "with the usual share the pool would be large; a very small share would explain it too");
    }
    let mut why = "weights and profiled peak reach the budget, nothing is left for the pool".to_owned();
    let estimate = context.events.of(Signal::GraphEstimate).last();
    let gib = estimate.and_then(|e| e.bytes("graph_estimate_gib"));
    if let Some(gib) = gib.filter(|g| capacity.is_none_or(|c| g.0 > c.0 / 5)) {
        why = format!("{gib} is set aside for CUDA graphs, which leaves nothing for the pool");
    } else if let Some(left) = context.events.number("kv_available_gib") {
        why = format!("{left} GiB is left for the pool");
    }
    Judgement::new(Cause::NoMemoryLeftForKv, Confidence::High, why)
        .on(estimate)
        .on(context.events.of(Signal::Budget))
        .on(context.events.of(Signal::KvAvailable).last())
        .not(Cause::KvCacheTooSmallForMaxLen, "not even one block is left, whatever the length")
}

fn free_at_start(context: &Context<'_>) -> Judgement {
    let bytes = |name: &str| context.failure.bytes(name);
    let (free, total, wanted) = (bytes("free_gib"), bytes("total_gib"), bytes("desired_gib"));
    let short = wanted.zip(free).map(|(w, f)| w.saturating_sub(f)).unwrap_or_default();
    let used = total.zip(free).map(|(t, f)| t.saturating_sub(f)).unwrap_or_default();
    if short < CONTEXT_SIZED && used < CONTEXTS {
        return Judgement::new(
            Cause::NcclOrLibraryWorkspace,
            Confidence::Medium,
            format!("only {short} is missing and {used} is in use at start: contexts and libraries, not another job"),
        )
        .not(Cause::OtherProcessOnGpu, "a second engine would hold far more");
    }
    Judgement::new(
        Cause::OtherProcessOnGpu,
        Confidence::High,
        format!("{used} of the card is in use before the engine starts, {short} more than its share leaves"),
    )
    .not(Cause::WeightsDoNotFit, "nothing was loaded yet")
}

fn state_blocks(context: &Context<'_>) -> Judgement {
    let number = |name: &str| context.failure.number(name).unwrap_or_default();
    Judgement::new(
        Cause::NoMemoryLeftForKv,
        Confidence::High,
        format!(
            "each sequence needs a block of recurrent state: {} sequences are allowed at once, and what is left of the budget makes {} blocks",
            number("max_num_seqs"),
            number("state_blocks")
        ),
    )
    .not(Cause::CudaGraphCapture, "the check comes before the graphs take anything")
}

fn unbalanced(context: &Context<'_>) -> Judgement {
    let number = |name: &str| context.failure.number(name);
    let why = match (number("least_free_gb"), number("local_free_gb")) {
        (Some(least), Some(local)) => {
            format!("one card of the group has {least:.1} GiB free at start and another {local:.1} GiB")
        }
        _ => "one card of the group has much less free at start than another".to_owned(),
    };
    Judgement::new(Cause::OtherProcessOnGpu, Confidence::Medium, why)
        .not(Cause::WeightsDoNotFit, "nothing was loaded yet; cards of unlike size read like this too")
}

fn profile_gained(context: &Context<'_>) -> Judgement {
    let number = |name: &str| context.failure.number(name);
    let free = |unit: &str| number(&format!("initial_free_{unit}")).zip(number(&format!("current_free_{unit}")));
    if free("gib").or_else(|| free("bytes")).is_some_and(|(before, after)| after <= before) {
        return Judgement::new(
            Cause::Unknown,
            Confidence::High,
            "as much is free after the profile as before it: the engine's check refuses an equality, and nothing ran out",
        )
        .not(Cause::OtherProcessOnGpu, "no memory became free meanwhile");
    }
    Judgement::new(
        Cause::OtherProcessOnGpu,
        Confidence::High,
        "more is free after the profile than before it: another process let go of memory meanwhile; nothing ran out",
    )
}

fn capture(context: &Context<'_>) -> Judgement {
    let inner = context.wrapper.unwrap_or(context.failure).text("inner_error").unwrap_or_default().to_ascii_lowercase();
    let is_memory = inner.contains("out of memory") || context.wrapper.is_some();
    if !is_memory {
        return Judgement::new(
            Cause::Unknown,
            Confidence::Medium,
            "the inner error of the capture is not one of memory; the remedies below it are printed whatever failed",
        )
        .not(Cause::CudaGraphCapture, "the inner error does not speak of memory");
    }
    Judgement::new(
        Cause::CudaGraphCapture,
        Confidence::High,
        "capturing the graphs needs memory outside what pool and weights were given",
    )
    .on(context.events.of(Signal::KvSize).last())
}

fn all_reduce(context: &Context<'_>) -> Judgement {
    let addresses = context.events.of(Signal::GraphAddresses).next();
    match addresses {
        Some(event) => Judgement::new(
            Cause::CudaGraphCapture,
            Confidence::Medium,
            "registering the buffers of captured graphs failed; errors of NCCL and other ranks come after it",
        )
        .on([event]),
        None => Judgement::new(
            Cause::Unknown,
            Confidence::Low,
            "a buffer could not be registered with the peers; no graphs are spoken of",
        ),
    }
}

fn tokens_refused(context: &Context<'_>) -> Judgement {
    let (asked, there) = (context.failure.number("requested_tokens"), context.failure.number("available_tokens"));
    let why = match (asked, there) {
        (Some(asked), Some(there)) if asked < there => format!(
            "{asked} tokens were asked for and {there} are there, in pages: each sequence needs a page of its own. A fault of the scheduler, not a small pool"
        ),
        (Some(asked), Some(there)) => format!("{asked} tokens were asked for and the pool has {there}"),
        _ => "the pool has no tokens left for the next step".to_owned(),
    };
    Judgement::new(Cause::KvPoolExhaustedAtRuntime, Confidence::High, why)
        .not(Cause::ActivationOrLogitsPeak, "the numbers are tokens of the pool, not bytes of the card")
}

fn split(context: &Context<'_>) -> Judgement {
    if context.facts.cards.is_some_and(|cards| cards > 1) {
        return Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Medium,
            "everything allowed on all cards together is used up",
        );
    }
    Judgement::new(
        Cause::ActivationOrLogitsPeak,
        Confidence::Low,
        "short-lived buffers of the load exceed what is left beside weights and cache",
    )
}

/// The stages in which an engine measures or uses its peak.
pub(super) const PEAKS: &[Stage] = &[Stage::Forward, Stage::Profiling, Stage::Warmup];
