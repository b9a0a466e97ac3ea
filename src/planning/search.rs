//! Searches over layouts and lengths: every candidate is planned in full.

use super::{PlanRequest, State, Verdict};
use crate::engines::{EnginePlan, Knob, Settings};
use crate::hardware::Fleet;

/// Largest tensor-parallel degree tried: one node of the largest kind.
const LARGEST_TP: u32 = 16;
/// Largest pipeline degree tried.
const LARGEST_PP: u32 = 8;

/// The plan and verdict for other settings; `None` when the engine refuses them outright.
pub(super) fn attempt(request: &PlanRequest, settings: &Settings, fleet: &Fleet) -> Option<(EnginePlan, Verdict)> {
    let plan = request.engine_plan(settings, fleet).ok()?;
    let verdict = Verdict::of(&plan, fleet);
    Some((plan, verdict))
}

/// Settings with other degrees; a partition by hand belongs to the degree it was written for. Replicas stay.
pub(super) fn with_layout(settings: &Settings, tp: u32, pp: u32) -> Settings {
    let mut changed = settings.clone();
    changed.tensor_parallel = Some(tp);
    if settings.pipeline_parallel.unwrap_or(1) != pp {
        changed.layer_partition = None;
    }
    changed.pipeline_parallel = Some(pp);
    changed
}

/// The smallest number of cards on which the deployment fits, all else as set: of all data-parallel replicas together.
pub(super) fn fewest_cards(request: &PlanRequest, plan: &EnginePlan, verdict: &Verdict) -> Option<u32> {
    let limiting = plan.ranks.get(verdict.limiting_rank).map_or(0, |r| r.card);
    let card = request.fleet.cards.get(limiting)?;
    // What the whole model weighs on this layout bounds the number from below and saves most attempts.
    let weights: u64 = plan.ranks.iter().map(|r| r.tensors.resident.0).fold(0, u64::saturating_add);
    let at_least = weights / card.capacity.0.max(1) / 2;
    // Engines that place whole modules have no degrees: the same settings on more cards.
    let has_degrees = request.engine.spell(Knob::TensorParallel, "1").is_some();
    let most = if has_degrees { LARGEST_TP * LARGEST_PP } else { LARGEST_TP };
    for cards in 1..=most {
        // Each replica has this many.
        let all = cards.saturating_mul(plan.replicas);
        if u64::from(cards) < at_least {
            continue;
        }
        let fleet = Fleet { cards: vec![card.clone(); cards as usize], source: request.fleet.source };
        if !has_degrees {
            if attempt(request, &request.settings, &fleet).is_some_and(|(_, v)| v.state == State::Fits) {
                return Some(cards);
            }
            continue;
        }
        for tp in (1..=cards.min(LARGEST_TP)).rev().filter(|tp| cards.is_multiple_of(*tp)) {
            let pp = cards / tp;
            if pp > LARGEST_PP {
                continue;
            }
            let settings = with_layout(&request.settings, tp, pp);
            if attempt(request, &settings, &fleet).is_some_and(|(_, v)| v.state == State::Fits) {
                return Some(all);
            }
        }
    }
    None
}

/// The largest value in `1..=limit` that `fits`, when what fits at one value fits at all smaller ones.
pub(super) fn largest(limit: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    if limit == 0 || !fits(1) {
        return None;
    }
    if fits(limit) {
        return Some(limit);
    }
    let (mut low, mut high) = (1, limit);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    Some(low)
}
