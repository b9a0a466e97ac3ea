//! Planning again with a repair: only what then fits is confirmed.

use super::{Cause, Context, RejectedRepair, Repair, RepairKind};
use crate::engines::{ContextLength, EngineError, Settings, engine};
use crate::planning::{PlanRequest, Planned, State, plan};
use crate::units::Fraction;

/// The repairs with what planning again says of each; those that planning found itself come first.
pub(in crate::oom) fn confirmed(
    context: &Context<'_>,
    cause: Cause,
    list: Vec<Repair>,
) -> (Vec<Repair>, Vec<RejectedRepair>) {
    let Some(request) = &context.facts.request else {
        return (unconfirmed(context, list, &format!("not planned again: {}", missing(context))), Vec::new());
    };
    let request = rebuilt(context, request);
    match plan(&request) {
        Ok(base) if base.verdict.state == State::Fits && cause != Cause::OtherProcessOnGpu => {
            // The plan does not show the failure: what it says of a change would prove nothing.
            let reason = "the plan fits without it, so that it cannot show what the change would do";
            (unconfirmed(context, list, reason), Vec::new())
        }
        Ok(base) => merged(context, &request, &base, list),
        Err(EngineError::Refused { .. } | EngineError::TooFewCards { .. }) => {
            (list.into_iter().map(|r| tried(context, &request, r)).collect(), Vec::new())
        }
        Err(error) => (unconfirmed(context, list, &error.to_string()), Vec::new()),
    }
}

/// What planning again would need.
fn missing(context: &Context<'_>) -> String {
    let facts = context.facts;
    match &facts.engine {
        Some(name) if engine(name).is_none() => format!("the memory of {name} is not modelled"),
        _ if facts.model.name.is_none() => "the model is not known (`--model`)".to_owned(),
        _ if facts.model.model.is_none() => "the model's config is not at hand (`--model`)".to_owned(),
        None => "the engine is not known (`--engine`)".to_owned(),
        Some(_) => "the cards are not known (`--gpus`)".to_owned(),
    }
}

fn unconfirmed(context: &Context<'_>, list: Vec<Repair>, reason: &str) -> Vec<Repair> {
    let tell =
        |repair: Repair| Repair { reason: Some(reason.to_owned()), command: command(context, &repair.flags), ..repair };
    list.into_iter().map(tell).collect()
}

/// The request with what the log states: others on the cards, the share, the length.
fn rebuilt(context: &Context<'_>, request: &PlanRequest) -> PlanRequest {
    let mut request = request.clone();
    let failure = context.failure;
    let others = match failure.bytes("free_gib").zip(failure.bytes("total_gib")) {
        Some((free, total)) => Some(total.saturating_sub(free)),
        None => context.allocation.held_by_others().filter(|h| h.0 > 1 << 30),
    };
    if let Some(others) = others {
        for card in &mut request.fleet.cards {
            card.other_processes = others;
        }
    }
    if request.settings.memory_fraction.is_none() {
        request.settings.memory_fraction = context.facts.memory_share.and_then(|s| Fraction::new(s).ok());
    }
    if request.settings.max_model_len == ContextLength::Model
        && let Some(length) = failure.number("max_seq_len").or_else(|| context.events.number("max_model_len"))
    {
        request.settings.max_model_len = ContextLength::Tokens(length as u64);
    }
    request
}

/// What planning found, in the order of the cause's own candidates; further findings after the confirmed ones.
fn merged(
    context: &Context<'_>,
    request: &PlanRequest,
    base: &Planned,
    list: Vec<Repair>,
) -> (Vec<Repair>, Vec<RejectedRepair>) {
    let mut found: Vec<Repair> = base
        .advice
        .iter()
        .map(|advice| Repair {
            kind: kind_of(&advice.flags, request),
            change: advice.change.clone(),
            flags: advice.flags.clone(),
            price: advice.price.clone(),
            confirmed: true,
            reason: None,
            is_tight: advice.state == State::Tight,
            headroom: Some(advice.headroom),
            command: command(context, &advice.flags),
        })
        .collect();
    let mut first = Vec::new();
    let (mut ordered, mut open) = (Vec::new(), Vec::new());
    for (place, candidate) in list.into_iter().enumerate() {
        let same = |f: &Repair| f.kind == candidate.kind || (!candidate.flags.is_empty() && f.flags == candidate.flags);
        match found.iter().position(same) {
            Some(at) => ordered.push(found.remove(at)),
            // What the cause calls for stays in front though no plan can confirm it: freeing a card is no setting.
            None if settings(&candidate, request).is_none() && place == 0 => {
                first.push(tried(context, request, candidate))
            }
            None => open.push(tried(context, request, candidate)),
        }
    }
    let (confirmed, open): (Vec<_>, Vec<_>) = open.into_iter().partition(|r| r.confirmed);
    let (settable, free): (Vec<_>, Vec<_>) = open.into_iter().partition(|r| settings(r, request).is_some());
    ordered.extend(confirmed);
    // Planned again and found wanting: no repair, but worth saying.
    let rejected = settable
        .into_iter()
        .map(|r| RejectedRepair {
            change: if r.flags.is_empty() { r.change } else { r.flags.join(" ") },
            why: r.reason.unwrap_or_else(|| "planned again, it does not fit".to_owned()),
        })
        .collect();
    let mut all = first;
    all.extend(ordered);
    all.extend(found);
    all.extend(free);
    let mut seen: Vec<Vec<String>> = Vec::new();
    all.retain(|r| {
        let fresh = r.flags.is_empty() || !seen.contains(&r.flags);
        seen.push(r.flags.clone());
        fresh
    });
    (all, rejected)
}

/// A repair with the answer of planning again; changes that are no setting stay unconfirmed.
fn tried(context: &Context<'_>, request: &PlanRequest, repair: Repair) -> Repair {
    let Some(settings) = settings(&repair, request) else {
        let reason = "no setting of the engine: nothing to plan again with".to_owned();
        return Repair { reason: Some(reason), command: command(context, &repair.flags), ..repair };
    };
    let changed = PlanRequest { settings, ..request.clone() };
    match plan(&changed) {
        Ok(planned) if matches!(planned.verdict.state, State::Fits | State::Tight) => {
            let headroom = planned.plan.ranks.iter().filter_map(|rank| {
                let card = changed.fleet.cards.get(rank.card)?;
                Some(card.capacity.saturating_sub(rank.top(crate::engines::Demand::High)))
            });
            let is_tight = planned.verdict.state == State::Tight;
            Repair {
                confirmed: true,
                is_tight,
                headroom: headroom.min(),
                command: command(context, &repair.flags),
                ..repair
            }
        }
        Ok(planned) => {
            Repair { reason: Some(format!("planned again, it still {}", planned.verdict.message)), ..repair }
        }
        Err(error) => Repair { reason: Some(error.to_string()), ..repair },
    }
}

/// The settings with a repair's flags; `None` where it is no setting.
fn settings(repair: &Repair, request: &PlanRequest) -> Option<Settings> {
    let mut settings = request.settings.clone();
    let flag = repair.flags.first()?;
    let value = flag.split_once([' ', '=']).map(|(_, v)| v.trim()).unwrap_or_default();
    match repair.kind {
        RepairKind::TensorParallel => settings.tensor_parallel = Some(value.parse().ok()?),
        RepairKind::PipelineParallel => {
            settings.pipeline_parallel = Some(value.parse().ok()?);
            settings.tensor_parallel = Some(1);
        }
        RepairKind::LowerContext => settings.max_model_len = ContextLength::Tokens(value.parse().ok()?),
        RepairKind::RaiseShare | RepairKind::LowerShare => {
            settings.memory_fraction = Some(Fraction::new(value.parse().ok()?).ok()?);
        }
        RepairKind::FewerSequences => settings.max_num_seqs = Some(value.parse().ok()?),
        RepairKind::SmallerBatch => settings.max_num_batched_tokens = Some(value.parse().ok()?),
        RepairKind::SmallerCacheType => settings.kv_cache_dtype = Some("fp8".to_owned()),
        RepairKind::FewerGraphs => settings.enforce_eager = Some(true),
        RepairKind::SixteenBit => settings.dtype = Some("auto".to_owned()),
        RepairKind::DeviceMap => settings.device_map = Some("auto".to_owned()),
        _ => return None,
    }
    Some(settings)
}

/// What flags that planning spelt change.
fn kind_of(flags: &[String], request: &PlanRequest) -> RepairKind {
    let first = flags.first().map(String::as_str).unwrap_or_default();
    let kinds = [
        ("tensor-parallel", RepairKind::TensorParallel),
        ("pipeline-parallel", RepairKind::PipelineParallel),
        ("max-model-len", RepairKind::LowerContext),
        ("gpu-memory-utilization", RepairKind::RaiseShare),
        ("max-num-seqs", RepairKind::FewerSequences),
        ("kv-cache-dtype", RepairKind::SmallerCacheType),
        ("enforce-eager", RepairKind::FewerGraphs),
        ("dtype", RepairKind::SixteenBit),
        ("device_map", RepairKind::DeviceMap),
        ("max_memory", RepairKind::Rebalance),
    ];
    let kind = kinds.iter().find(|(word, _)| first.contains(word)).map_or(RepairKind::Rebalance, |(_, kind)| *kind);
    let to = first.split_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
    let now = request.settings.memory_fraction.map(|fraction| fraction.get());
    match (kind, to.zip(now)) {
        (RepairKind::RaiseShare, Some((to, now))) if to < now => RepairKind::LowerShare,
        (kind, _) => kind,
    }
}

/// The command with the flags of a repair.
fn command(context: &Context<'_>, flags: &[String]) -> Option<String> {
    let template = context.facts.template.as_ref()?;
    let mut changes = Vec::new();
    for flag in flags {
        let (name, value) = flag.split_once(' ').unwrap_or((flag, "true"));
        changes.push((name.strip_prefix("--")?, value));
    }
    (!changes.is_empty()).then(|| template.with_changes(&changes))
}
