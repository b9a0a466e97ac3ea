//! Does it fit?

use crate::engines::{Cause, Component, Demand, EnginePlan, Refusal};
use crate::hardware::Fleet;
use crate::units::Bytes;

/// The four answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Even at high demand.
    Fits,
    /// At expected demand, not at high.
    Tight,
    /// Not at expected demand.
    DoesNotFit,
    /// An input is missing.
    CannotTell,
}

impl State {
    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Tight => "tight",
            Self::DoesNotFit => "does_not_fit",
            Self::CannotTell => "cannot_tell",
        }
    }

    /// Whether it fits without reserve.
    #[must_use]
    pub const fn fits(self) -> bool {
        matches!(self, Self::Fits)
    }
}

/// The answer, with what limits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub state: State,
    /// The rank that decides: the one refused, else the one with the least headroom.
    pub limiting_rank: usize,
    /// Why, when it does not fit or is tight.
    pub cause: Option<Cause>,
    /// Bytes needed by the check that failed.
    pub need: Option<Bytes>,
    /// Bytes it had.
    pub have: Option<Bytes>,
    /// One sentence.
    pub message: String,
    /// The engine's own words for the failure.
    pub engine_words: Option<String>,
}

impl Verdict {
    /// Judges a plan.
    #[must_use]
    pub fn of(plan: &EnginePlan, fleet: &Fleet) -> Self {
        let [_, expected, high] = &plan.refusals;
        let (state, refusal) = match (expected, high) {
            (Some(refusal), _) => (State::DoesNotFit, Some(refusal)),
            (None, Some(refusal)) => (State::Tight, Some(refusal)),
            (None, None) => (State::Fits, None),
        };
        let limiting_rank = refusal.and_then(|r| r.rank).unwrap_or_else(|| least_headroom(plan, fleet));
        let cause = refusal.map(|r| cause(r, plan, fleet));
        let message = match refusal {
            None => {
                let headroom = headroom(plan, fleet, limiting_rank);
                format!("fits: {headroom} to spare on {}", card_name(plan, fleet, limiting_rank))
            }
            Some(refusal) => sentence(state, refusal, plan, fleet, limiting_rank),
        };
        Self {
            state,
            limiting_rank,
            cause,
            need: refusal.and_then(|r| r.need),
            have: refusal.and_then(|r| r.have),
            message,
            engine_words: refusal.map(|r| r.message.clone()),
        }
    }

    /// Bytes short; `None` when nothing is.
    #[must_use]
    pub fn shortfall(&self) -> Option<Bytes> {
        Some(self.need?.saturating_sub(self.have?))
    }
}

/// Capacity less the top at high demand.
#[must_use]
pub fn headroom(plan: &EnginePlan, fleet: &Fleet, rank: usize) -> Bytes {
    let Some(rank) = plan.ranks.get(rank) else { return Bytes::ZERO };
    fleet.cards.get(rank.card).map_or(Bytes::ZERO, |c| c.capacity.saturating_sub(rank.top(Demand::High)))
}

fn least_headroom(plan: &EnginePlan, fleet: &Fleet) -> usize {
    (0..plan.ranks.len()).min_by_key(|r| headroom(plan, fleet, *r)).unwrap_or(0)
}

fn card_name(plan: &EnginePlan, fleet: &Fleet, rank: usize) -> String {
    let Some(ranked) = plan.ranks.get(rank) else { return format!("rank {rank}") };
    let label = fleet.cards.get(ranked.card).map_or("", |c| c.label.as_str());
    format!("card {} ({label})", ranked.card)
}

/// One rank that is too large while other cards stay empty is a matter of placement, not of size.
fn cause(refusal: &Refusal, plan: &EnginePlan, fleet: &Fleet) -> Cause {
    let idle = fleet.cards.len() > plan.ranks.len().saturating_mul(plan.replicas as usize);
    let all: Bytes = fleet.cards.iter().map(|card| card.capacity).sum();
    let would_fit = plan.ranks.iter().map(|rank| rank.tensors.resident).sum::<Bytes>() <= all;
    match refusal.cause {
        Cause::WeightsDoNotFit if idle && would_fit && plan.ranks.len() == 1 => {
            Cause::SingleGpuPlacementWhileOthersIdle
        }
        cause => cause,
    }
}

fn sentence(state: State, refusal: &Refusal, plan: &EnginePlan, fleet: &Fleet, rank: usize) -> String {
    let start = if state == State::Tight { "tight: at high demand" } else { "does not fit:" };
    let card = card_name(plan, fleet, rank);
    let (Some(need), Some(have)) = (refusal.need, refusal.have) else {
        return format!("{start} {}", refusal.message);
    };
    let short = need.saturating_sub(have);
    match refusal.cause {
        Cause::KvCacheTooSmallForMaxLen => {
            let length = plan.workload.max_model_len.unwrap_or_default();
            format!(
                "{start} one sequence of {length} tokens needs {need} of KV cache on {card}, {have} is left (short by {short})"
            )
        }
        Cause::NoMemoryLeftForKv => {
            format!(
                "{start} weights and peaks need {need} on {card}, the budget is {have}: nothing is left for the KV cache (short by {short})"
            )
        }
        Cause::OtherProcessOnGpu => {
            let others = plan.ranks.get(rank).map_or(Bytes::ZERO, |r| r.expected(Component::OtherProcesses));
            format!(
                "{start} the engine wants {need} free at start on {card}, {have} is: other processes hold {others} (short by {short})"
            )
        }
        _ => format!("{start} {card} needs {need}, {have} is there (short by {short})"),
    }
}
