//! Single moves, each spelt for the engine at hand: what the repairs of a cause are put together from.

use super::words::{batch, layers, spell};
use super::{Context, Repair, RepairKind};
use crate::engines::Knob;

/// The share from which on raising it is no repair.
pub(super) const HIGH_SHARE: f64 = 0.95;

/// A shorter form for the many small constructions below.
pub(super) fn new(kind: RepairKind, change: impl Into<String>, price: &str) -> Repair {
    Repair::new(kind, change, price)
}

pub(super) fn engine<'a>(context: &'a Context<'_>) -> Option<&'a str> {
    context.facts.engine.as_deref()
}

pub(super) fn allocator_variable(context: &Context<'_>) -> String {
    let text = &context.failure.text;
    let name = if text.contains("PYTORCH_ALLOC_CONF") {
        "PYTORCH_ALLOC_CONF"
    } else if text.contains("HIP out of memory") {
        "PYTORCH_HIP_ALLOC_CONF"
    } else {
        "PYTORCH_CUDA_ALLOC_CONF"
    };
    format!("{name}=expandable_segments:True")
}

pub(super) fn share(context: &Context<'_>) -> Option<f64> {
    context.facts.memory_share.filter(|s| (0.0..=1.0).contains(s))
}

pub(super) fn raise_share(context: &Context<'_>, to: f64) -> Repair {
    let value = format!("{to:.2}");
    new(
        RepairKind::RaiseShare,
        format!("{:.0} % of each card for the engine", to * 100.0),
        "less room for what lies outside the budget",
    )
    .with(spell(engine(context), Knob::MemoryFraction, &value))
}

pub(super) fn lower_share(context: &Context<'_>) -> Repair {
    let now = share(context).unwrap_or(0.9);
    let value = (now - 0.05).clamp(0.1, 0.9);
    new(RepairKind::LowerShare, format!("{:.0} % of each card for the engine", value * 100.0), "a smaller KV cache")
        .with(spell(engine(context), Knob::MemoryFraction, &format!("{value:.2}")))
}

pub(super) fn lower_context(context: &Context<'_>, to: Option<u64>) -> Repair {
    let change = to.map_or_else(|| "shorter sequences".to_owned(), |l| format!("sequences of at most {l} tokens"));
    new(RepairKind::LowerContext, change, "longer requests are refused")
        .with(to.and_then(|l| spell(engine(context), Knob::ContextLength, &l.to_string())))
}

pub(super) fn fewer_sequences(context: &Context<'_>) -> Repair {
    let now =
        context.events.number("dummy_requests").or_else(|| context.events.number("max_num_seqs")).unwrap_or(256.0);
    fewer_sequences_to(context, if now > 256.0 { 64 } else { ((now / 4.0) as u64).max(8) })
}

pub(super) fn fewer_sequences_to(context: &Context<'_>, to: u64) -> Repair {
    new(RepairKind::FewerSequences, format!("at most {to} sequences at once"), "less throughput under load")
        .with(spell(engine(context), Knob::Sequences, &to.to_string()))
}

pub(super) fn smaller_batch(context: &Context<'_>) -> Repair {
    new(RepairKind::SmallerBatch, "smaller batches and prefill chunks", "slower prefill")
        .with(batch(engine(context)).map(str::to_owned))
}

pub(super) fn smaller_cache(context: &Context<'_>) -> Repair {
    new(RepairKind::SmallerCacheType, "KV cache in 8 bits", "some accuracy; the model should be checked with it")
        .with(spell(engine(context), Knob::CacheType, "fp8"))
}

pub(super) fn eager(context: &Context<'_>) -> Repair {
    new(RepairKind::FewerGraphs, "no CUDA graphs", "slower decoding").with(spell(engine(context), Knob::Eager, ""))
}

pub(super) fn quantise(context: &Context<'_>) -> Repair {
    let change = if context.facts.model.is_quantised() {
        "a checkpoint in fewer bits"
    } else {
        "a 4-bit or 8-bit checkpoint of the model"
    };
    new(RepairKind::Quantise, change, "some accuracy")
}

pub(super) fn sixteen_bit() -> Repair {
    new(RepairKind::SixteenBit, "weights in 16 bits, as the checkpoint stores them", "none")
        .with(Some("torch_dtype=\"auto\"".to_owned()))
}

/// The largest degree that the cards and the heads allow.
pub(super) fn tensor_parallel(context: &Context<'_>) -> Repair {
    let cards = context.facts.cards.unwrap_or(0);
    let heads = context.facts.model.model.as_ref().map(|m| m.attention_heads);
    let divides = |n: &u32| heads.is_none_or(|h| h % u64::from(*n) == 0);
    let degree = (2..=cards).rev().filter(|n| heads.is_some() || n.is_power_of_two()).find(divides);
    match degree.filter(|d| *d > context.facts.tensor_parallel.unwrap_or(1)) {
        Some(degree) => new(
            RepairKind::TensorParallel,
            format!("tensor parallel over {degree} cards"),
            "communication between the cards",
        )
        .with(spell(engine(context), Knob::TensorParallel, &degree.to_string())),
        None => more_cards(),
    }
}

pub(super) fn more_cards() -> Repair {
    new(RepairKind::MoreCards, "more cards, or larger ones", "cards")
}

pub(super) fn device_map() -> Repair {
    new(
        RepairKind::DeviceMap,
        "spread the model over the cards, and do not move it afterwards: no `.cuda()`, no `.to(device)`",
        "the cards work in turn",
    )
    .with(Some("device_map=\"auto\"".to_owned()))
}

pub(super) fn fewer_layers(context: &Context<'_>) -> Repair {
    let now = context.events.number("layers_offload").filter(|n| *n > 4.0);
    let flag = layers(engine(context)).map(|flag| match now {
        Some(now) => format!("{flag} {:.0}", now * 0.9),
        None => flag.to_owned(),
    });
    new(RepairKind::FewerLayers, "fewer layers on the cards, the rest on the host", "slower").with(flag)
}

pub(super) fn is_ggml(context: &Context<'_>) -> bool {
    context.facts.runs(&["llama.cpp", "ollama"])
}

/// A length that reads well and is not longer.
pub(super) fn readable(length: u64) -> u64 {
    let step = match length {
        8192.. => 1024,
        1024.. => 128,
        _ => 16,
    };
    (length / step * step).max(1)
}

pub(super) fn lower_share_to(context: &Context<'_>, to: f64) -> Repair {
    let to = to.clamp(0.01, HIGH_SHARE);
    new(
        RepairKind::LowerShare,
        format!("{:.0} % of each card for the engine", to * 100.0),
        "a smaller KV cache, and it must hold the weights",
    )
    .with(spell(engine(context).or(Some("vllm")), Knob::MemoryFraction, &format!("{to:.2}")))
}

pub(super) fn smaller_batch_of_engine(context: &Context<'_>) -> Repair {
    new(RepairKind::FewerSequences, "an engine built for fewer sequences at once", "less throughput under load")
        .with(spell(engine(context), Knob::Sequences, "64"))
}
