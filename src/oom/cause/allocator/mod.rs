//! Blocks that PyTorch's allocator could not get: whose memory it is, where it happened, how large the block was.

mod blocks;
mod processes;
mod weights;

use super::{Confidence, Context, Judgement};
use crate::engines::Cause;
use crate::oom::Allocation;
use crate::profiles::oom::{Signal, Stage};
use crate::units::Bytes;

/// A block this large is one tensor, not the last straw.
const LARGE: Bytes = Bytes::gib(1);
/// A block this small fails only on a card that is full already.
const SMALL: Bytes = Bytes::mib(64);
/// Requests served before a failure that speak for slow growth.
const MANY_REQUESTS: f64 = 1000.0;

type Rule = fn(&Context<'_>) -> Option<Judgement>;

/// In the order in which they are asked.
const RULES: &[Rule] = &[
    cap,
    processes::own_ranks,
    processes::other_processes,
    processes::no_context,
    processes::second_runtime,
    by_stage,
    weights::loading,
    blocks::cache_block,
    weights::too_large,
    serving,
    many_requests,
    blocks::pieces,
    blocks::contradiction,
    weights::nothing_cached,
    weights::one_card,
    blocks::large_block,
    weights::idle_cards,
    blocks::smallest_piece,
    weights::full_of_tensors,
    blocks::beside_the_pool,
    blocks::crumbs,
];

pub(super) fn judge(context: &Context<'_>) -> Option<Judgement> {
    match context.failure.signal {
        Signal::Allocation | Signal::MappingFailed | Signal::DriverOutOfMemory => {
            RULES.iter().find_map(|rule| rule(context))
        }
        _ => None,
    }
}

/// A cap that the process set for itself.
fn cap(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allowed, reserved, free) = (numbers.allowed?, numbers.reserved()?, numbers.free?);
    let capped = reserved + Bytes::mib(256) >= allowed && free > numbers.requested.unwrap_or_default();
    let cause = match context.stage {
        Some(Stage::Weights) => Cause::WeightsDoNotFit,
        Some(Stage::Forward) => Cause::ActivationOrLogitsPeak,
        _ => Cause::NoMemoryLeftForKv,
    };
    capped.then(|| {
        Judgement::new(
            cause,
            Confidence::Medium,
            format!("{free} is free and the process holds all of the {allowed} it allows itself: a cap of its own, not the card"),
        )
        .not(Cause::OtherProcessOnGpu, "the card has room")
    })
}

/// Stages that are a cause by themselves.
fn by_stage(context: &Context<'_>) -> Option<Judgement> {
    let hinted = context.failure.fields.contains_key("graph_hint");
    let (cause, why) = match context.stage {
        _ if hinted => {
            (Cause::CudaGraphCapture, "the engine's own remark on this failure is about its estimate of the graphs")
        }
        Some(Stage::GraphCapture) => {
            (Cause::CudaGraphCapture, "the failure comes while CUDA graphs are captured, after the pool took its share")
        }
        Some(Stage::SamplerWarmup) => (Cause::SamplerWarmup, "the failure comes while the sampler is warmed up"),
        Some(Stage::KvSizing) => (Cause::NoMemoryLeftForKv, "the failure comes while the KV pool is allocated"),
        // Without a profile it is the request's own image.
        Some(Stage::MultimodalProfiling) if context.facts.runs(&["transformers"]) => return None,
        Some(Stage::MultimodalProfiling) => (
            Cause::MultimodalProfiling,
            "the failure comes while the largest images are run through the vision encoder",
        ),
        Some(Stage::Conversion) => {
            (Cause::ConversionOrLoadTransient, "the failure comes while weights are converted or quantised")
        }
        _ => return None,
    };
    Some(Judgement::new(cause, Confidence::Medium, why).on(context.stage_event))
}

/// A request found no room beside the pool.
fn serving(context: &Context<'_>) -> Option<Judgement> {
    context.is_at(&[Stage::Serving]).then(|| {
        Judgement::new(
            Cause::ActivationOrLogitsPeak,
            Confidence::Medium,
            "the engine was serving: a tensor that depends on the request found no room outside the pool",
        )
        .on(context.stage_event)
        .not(Cause::NoMemoryLeftForKv, "the pool was allocated long before")
    })
}

fn many_requests(context: &Context<'_>) -> Option<Judgement> {
    if context.allocation.requested.is_none_or(|r| r > SMALL) {
        return None;
    }
    let counted = context
        .events
        .of(Signal::RequestCounter)
        .filter(|e| e.number("request_id").is_some_and(|n| n >= MANY_REQUESTS))
        .last()?;
    Some(
        Judgement::new(
            Cause::MemoryLeakGrowth,
            Confidence::Low,
            format!(
                "{} requests were served before a small block failed: use grew over time",
                counted.number("request_id").unwrap_or_default()
            ),
        )
        .on([counted])
        .not(Cause::WeightsDoNotFit, "the engine served for long"),
    )
}

/// Whether the driver had room for the block. Of a full card it keeps a last piece.
fn has_room(numbers: &Allocation) -> bool {
    let is_last_piece = numbers.free.zip(numbers.requested).is_some_and(|(free, r)| free <= SMALL && r <= SMALL);
    numbers.is_short() == Some(false) && !is_last_piece
}

/// Whether the weights of one rank exceed a card, whoever else is on it.
fn is_too_large_for_any(context: &Context<'_>, total: Bytes) -> bool {
    let own = context.allocation.reserved().unwrap_or_default();
    own.0 > total.0 / 2 && context.facts.weights_per_card().is_some_and(|weights| weights > total)
}

/// Whether the engine takes the checkpoint's element type and places all weights itself.
fn engine_chooses(context: &Context<'_>) -> bool {
    context.facts.runs(&["vllm", "sglang", "tgi", "lmdeploy", "tensorrt-llm", "llama.cpp", "ollama", "openllm"])
}

/// Whether the weights of a card are known and far from filling it.
fn leaves_room(context: &Context<'_>, total: Bytes) -> bool {
    context.facts.weights_per_card().is_some_and(|weights| weights.0 < total.0 / 100 * 60)
}

/// What a cache holds at most while hardly anything was given back; the messages round to 10 MiB.
fn untouched(total: Bytes) -> Bytes {
    Bytes::mib(16).max(Bytes(total.0 / 200))
}
