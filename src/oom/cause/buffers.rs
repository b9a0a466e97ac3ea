//! Failures of buffers whose owner the message or its neighbours name: ggml, TurboMind, TensorRT-LLM, MLC, the CUDA libraries.

use super::{Confidence, Context, Judgement};
use crate::engines::Cause;
use crate::profiles::oom::{Signal, Stage};
use crate::units::Bytes;

pub(super) fn judge(context: &Context<'_>) -> Option<Judgement> {
    let medium = |cause, why: &str| Some(Judgement::new(cause, Confidence::Medium, why));
    match context.failure.signal {
        Signal::GgmlBuffer => Some(ggml(context)),
        Signal::LegacyPoolExhausted => Some(Judgement::new(
            Cause::MemoryLeakGrowth,
            Confidence::Low,
            "without virtual memory management the pool keeps every slightly larger buffer, so that it grows with the context",
        )),
        Signal::TurbomindOutOfMemory => Some(turbomind(context)),
        Signal::EngineBufferFailed => Some(engine_buffer(context)),
        Signal::ComponentFailed => Some(component(context)),
        Signal::StatedInequality => Some(inequality(context)),
        Signal::WorkspaceTooSmall => Some(
            Judgement::new(
                Cause::NcclOrLibraryWorkspace,
                Confidence::High,
                "a workspace of fixed size is too small for the batch",
            )
            .not(Cause::ActivationOrLogitsPeak, "what the card has free does not matter to this allocator"),
        ),
        Signal::NcclOutOfMemory => match context.events.of(Signal::GraphAddresses).next() {
            Some(event) => Some(
                Judgement::new(
                    Cause::CudaGraphCapture,
                    Confidence::Medium,
                    "NCCL finds no memory while the buffers of captured graphs are registered",
                )
                .on([event]),
            ),
            None => medium(
                Cause::NcclOrLibraryWorkspace,
                "NCCL finds no memory: weights and pool took what its buffers need",
            ),
        },
        Signal::LibraryAllocationFailed => {
            medium(Cause::NcclOrLibraryWorkspace, "a CUDA library finds no memory for its workspace outside the pool")
        }
        Signal::CommandBufferOutOfMemory => medium(
            Cause::ActivationOrLogitsPeak,
            "a command buffer at run time needs more than weights and cache leave",
        ),
        Signal::BufferLimitExceeded if context.is_at(&[Stage::Weights]) => Some(
            Judgement::new(
                Cause::WeightsDoNotFit,
                Confidence::Medium,
                "room for all weights is asked for in one block, which the device does not have",
            )
            .on(context.stage_event),
        ),
        Signal::BufferLimitExceeded => Some(
            Judgement::new(
                Cause::ActivationOrLogitsPeak,
                Confidence::Medium,
                "one tensor is larger than the device allows a buffer to be, whatever is free: logits or attention of the whole prompt",
            )
            .not(Cause::WeightsDoNotFit, "weights are allocated tensor by tensor"),
        ),
        Signal::DriverOutOfMemory => ggml_call(context),
        _ => None,
    }
}

/// A call to CUDA that failed in a function of ggml, as its own words say.
fn ggml_call(context: &Context<'_>) -> Option<Judgement> {
    let function = context.failure.text("function")?;
    if context.failure.fields.contains_key("library") {
        return Some(Judgement::new(
            Cause::NcclOrLibraryWorkspace,
            Confidence::Medium,
            "cuBLAS finds no memory for its handle and workspace beside weights and cache",
        ));
    }
    // Before anything is allocated the card is full of others.
    if ["get_device_memory", "ggml_cuda_init", "init_cublas", "backend_cuda_init"].iter().any(|f| function.contains(f))
    {
        return Some(Judgement::new(
            Cause::OtherProcessOnGpu,
            Confidence::Medium,
            "the first call to the card fails, before this process holds anything on it: others fill it",
        ));
    }
    let is_pool = function == "alloc" || function.contains("pool_malloc");
    Some(Judgement::new(
        Cause::ComputeBuffer,
        if is_pool { Confidence::Medium } else { Confidence::Low },
        "the pool of temporary buffers grows at run time after layers took the card",
    ))
}

/// A request that is small beside a card: the card was nearly full before.
fn is_small(context: &Context<'_>) -> bool {
    let limit = context.total().map_or(Bytes::gib(5), |total| Bytes(total.0 / 5));
    context.allocation.requested.is_some_and(|requested| requested <= limit)
}

fn ggml(context: &Context<'_>) -> Judgement {
    let failure = context.failure;
    let has = |name: &str| failure.fields.contains_key(name);
    let device = failure.number("device").unwrap_or_default();
    let several = context.facts.cards.is_some_and(|cards| cards > 1) || device > 0.0;
    let others_fail = context.peers().any(|e| e.number("device").is_some_and(|d| (d - device).abs() > 0.5));
    let requested = context.allocation.requested.unwrap_or_default();
    let size = if requested > Bytes::ZERO { format!(" {requested}") } else { " more than is free".to_owned() };
    let uneven = |why: String| {
        Judgement::new(Cause::UnevenSplitOrRankExtra, Confidence::Medium, why)
            .on(context.events.of(Signal::Offload).last())
            .on(context.events.of(Signal::KvBuffer))
    };
    if has("host_buffer") && !has("kv_owner") {
        return Judgement::new(
            Cause::HostRamExhausted,
            Confidence::High,
            format!("a buffer in host memory takes{size}"),
        )
        .not(Cause::WeightsDoNotFit, "what the cards hold is not concerned");
    }
    if has("kv_owner") {
        let smaller =
            context.events.of(Signal::KvBuffer).filter(|e| e.bytes("kv_per_device_mib").is_some_and(|b| b < requested));
        let largest = smaller.filter_map(|e| e.bytes("kv_per_device_mib")).max();
        if let Some(largest) = largest.filter(|l| several && !others_fail && l.0 > requested.0 / 2) {
            return uneven(format!("this card is asked for {requested} of cache where its peers hold {largest}"));
        }
        return Judgement::new(
            Cause::KvCacheTooSmallForMaxLen,
            Confidence::High,
            format!(
                "the cache of the whole context takes{size} {}",
                if has("host_buffer") { "of host memory" } else { "on this card" }
            ),
        )
        .not(Cause::WeightsDoNotFit, "the weights were loaded before");
    }
    if has("arena") {
        return Judgement::new(
            Cause::ComputeBuffer,
            Confidence::High,
            format!("the graph of one batch takes{size}, more than the buffer that old releases set aside for it"),
        )
        .not(Cause::WeightsDoNotFit, "the buffer has a fixed size, whatever the card has free");
    }
    if has("compute_owner") {
        let recovered = if has("recovered") { "; the program goes on without pipeline parallelism" } else { "" };
        if several && !others_fail && is_small(context) && !has("recovered") {
            return uneven(format!(
                "a compute buffer of {requested} no longer fits beside what this card holds, while the others have room"
            ));
        }
        return Judgement::new(
            Cause::ComputeBuffer,
            Confidence::High,
            format!("the buffers of the compute graph take{size}{recovered}"),
        )
        .on(context.events.of(Signal::PipelineCopies).last())
        .on(context.events.of(Signal::Offload).last())
        .not(Cause::KvCacheTooSmallForMaxLen, "the cache was allocated before");
    }
    if has("weights_owner") {
        return Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::High,
            format!("the weights of this card take{size} in one buffer"),
        )
        .not(Cause::KvCacheTooSmallForMaxLen, "the cache comes after the weights");
    }
    // The neighbouring lines are missing: what was allocated before tells.
    if context.before(Signal::KvSize).is_some() {
        return Judgement::new(Cause::ComputeBuffer, Confidence::Medium, "weights and cache were allocated before");
    }
    if several && is_small(context) {
        return uneven(format!("{requested} is little beside a card, and one card alone fails"));
    }
    Judgement::new(Cause::Unknown, Confidence::Low, "the lines that name the owner of the buffer are missing")
}

/// A cache share this small leaves the cache out of suspicion.
const SMALL_SHARE: f64 = 0.2;

fn turbomind(context: &Context<'_>) -> Judgement {
    if let Some((card, most, least)) = context.fullest_card() {
        let mut judgement = Judgement::new(
            Cause::UnevenSplitOrRankExtra,
            Confidence::High,
            format!("card {card} holds {most} where the others hold {least}: converting at load keeps whole weights on one rank"),
        )
        .on(context.events.of(Signal::CardInUse).nth(card))
        .on(context.events.of(Signal::CardInUse).take(1))
        .not(Cause::WeightsDoNotFit, format!("{least} a card is what an even split needs"));
        judgement.device = u32::try_from(card).ok();
        return judgement;
    }
    let file = context.failure.text("source_file").unwrap_or_default();
    let facts = context.facts;
    let too_large = facts.weights_per_card().zip(context.total()).is_some_and(|(w, card)| w.0 > card.0 / 100 * 93);
    if too_large && facts.ranks() == 1 && facts.has_idle_cards() {
        return Judgement::new(
            Cause::SingleGpuPlacementWhileOthersIdle,
            Confidence::High,
            "weights larger than a card go to one of them while others stay empty",
        )
        .not(Cause::NoMemoryLeftForKv, "the weights alone are larger than the card");
    }
    if file.contains("memory_utils") || context.is_at(&[Stage::Weights]) {
        return Judgement::new(Cause::WeightsDoNotFit, Confidence::High, "the call that allocates weights failed");
    }
    let share = context.events.number("cache_max_entry_count");
    if let Some(share) = share.filter(|share| *share <= SMALL_SHARE) {
        return Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Medium,
            format!("the cache asks for a share of {share} only, so that it is the weights that leave no room"),
        )
        .not(Cause::NoMemoryLeftForKv, "a smaller cache would change little");
    }
    match context.facts.weights_per_card().zip(context.total()) {
        Some((weights, card)) if weights.0 > card.0 / 100 * 93 => Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Medium,
            format!("weights of {weights} on a card of {card}"),
        ),
        Some((weights, card)) => Judgement::new(
            Cause::NoMemoryLeftForKv,
            Confidence::Medium,
            format!("the weights ({weights}) fit the card ({card}); the cache's share does not fit beside them"),
        )
        .not(Cause::WeightsDoNotFit, "the card holds them"),
        // From 0.8 on all of the engine goes through one allocator.
        None if file.contains("core/allocator") => Judgement::new(
            Cause::Unknown,
            Confidence::Low,
            "weights, cache and runtime buffers share the allocator that failed, and the model's size is not known",
        ),
        None => Judgement::new(
            Cause::NoMemoryLeftForKv,
            Confidence::Low,
            "cache or runtime buffers failed; the model's size is not known",
        ),
    }
}

fn engine_buffer(context: &Context<'_>) -> Judgement {
    if let Some(failed) = context.events.of(Signal::BuildFailed).find(|e| e.place >= context.failure.place) {
        return Judgement::new(
            Cause::ConversionOrLoadTransient,
            Confidence::Medium,
            "the failure ends the build of the engine, which holds weights twice",
        )
        .on([failed]);
    }
    if let Some(conversion) = context.before(Signal::Conversion).filter(|_| context.is_at(&[Stage::Conversion])) {
        return Judgement::new(
            Cause::ConversionOrLoadTransient,
            Confidence::Medium,
            "the failure comes while the engine is built",
        )
        .on([conversion]);
    }
    let why = match context.failure.bytes("requested_bytes").zip(context.total()) {
        Some((requested, card)) => format!("{requested} is asked for on a card of {card}, for the largest shape the engine was built for"),
        None => "buffers are sized by the largest batch and length the engine was built for, and these do not fit beside the weights".to_owned(),
    };
    Judgement::new(Cause::ActivationOrLogitsPeak, Confidence::Medium, why)
}

fn component(context: &Context<'_>) -> Judgement {
    let component = context.failure.text("failed_component").unwrap_or_default().to_owned();
    // In parentheses stands what the component serves, not what it is.
    let lower = component.split('(').next().unwrap_or_default().to_ascii_lowercase();
    let free = context.failure.number("free_gib").map(|f| format!(" with {f} GiB free")).unwrap_or_default();
    let why = format!("`{component}` could not be created{free}");
    let cause = if lower.contains("kv cache") {
        Cause::NoMemoryLeftForKv
    } else if lower.contains("model") || lower.contains("drafter") {
        Cause::WeightsDoNotFit
    } else if lower.contains("sampler") {
        Cause::SamplerWarmup
    } else if lower.contains("graph") {
        Cause::CudaGraphCapture
    } else if lower.is_empty() {
        Cause::Unknown
    } else if lower.contains("executor resources")
        && context.failure.bytes("free_gib").is_some_and(|f| f < Bytes::gib(1))
    {
        Cause::NcclOrLibraryWorkspace
    } else {
        Cause::ActivationOrLogitsPeak
    };
    Judgement::new(cause, Confidence::High, why)
}

fn inequality(context: &Context<'_>) -> Judgement {
    let number = |name: &str| context.failure.number(name).unwrap_or_default();
    let (there, weights, buffer) = (number("available_mb"), number("weights_mb"), number("temp_buffer_mb"));
    if there >= weights + buffer {
        return Judgement::new(
            Cause::Unknown,
            Confidence::High,
            format!("the message contradicts itself: {there} MB is not less than {weights} + {buffer} MB. The model's metadata is at fault, not memory"),
        )
        .not(Cause::ComputeBuffer, "weights and buffer fit by the message's own numbers");
    }
    if weights >= there {
        return Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::High,
            format!("the weights alone take {weights} of {there} MB"),
        );
    }
    Judgement::new(
        Cause::ComputeBuffer,
        Confidence::High,
        format!(
            "the weights ({weights} MB) fit in {there} MB; the temporary buffer of {buffer} MB does not fit beside them"
        ),
    )
    .not(Cause::WeightsDoNotFit, "the weights fit alone")
}
