//! Repairs: one file each, registered here. A change is advice only after re-planning with it shows that it fits.

mod cache_type;
mod context;
mod device_map;
mod dtype;
mod eager;
mod fraction;
mod layout;
mod sequences;

use super::search::attempt;
use super::verdict::headroom;
use super::{PlanRequest, State, Verdict};
use crate::engines::{EnginePlan, Knob, Settings};
use crate::units::{Bytes, Tokens};

/// A change that re-planning confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// What changes, in words.
    pub change: String,
    /// Flags to add or replace, `--name value`.
    pub flags: Vec<String>,
    /// The answer with the change.
    pub state: State,
    /// Least headroom of any card with the change.
    pub headroom: Bytes,
    /// Tokens that the KV pool then holds.
    pub kv_tokens: Option<Tokens>,
    /// Sequences of the longest length that then fit at once.
    pub concurrency: Option<f64>,
    /// Longest sequence with the change.
    pub max_model_len: Option<Tokens>,
    /// What it costs.
    pub price: String,
    /// Weight of the price: cheaper changes come first.
    cost: u32,
}

/// A change that was tried and does not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// What was tried.
    pub change: String,
    /// Why it does not help.
    pub why: String,
}

/// One change to the settings.
#[derive(Debug, Clone)]
struct Candidate {
    change: String,
    flags: Vec<String>,
    settings: Settings,
    price: &'static str,
    cost: u32,
}

/// What a repair looks at.
struct Situation<'a> {
    request: &'a PlanRequest,
    settings: &'a Settings,
    plan: &'a EnginePlan,
}

impl Situation<'_> {
    /// Cards at hand.
    fn cards(&self) -> u32 {
        u32::try_from(self.request.fleet.cards.len()).unwrap_or(u32::MAX)
    }

    /// The flag that sets a knob; `None` when the engine has no such knob.
    fn flag(&self, knob: Knob, value: impl ToString) -> Option<String> {
        self.request.engine.spell(knob, &value.to_string())
    }

    /// Whether it fits at high demand.
    fn fits(&self, settings: &Settings) -> bool {
        attempt(self.request, settings, &self.request.fleet).is_some_and(|(_, v)| v.state == State::Fits)
    }

    /// Whether it fits at least at expected demand.
    fn starts(&self, settings: &Settings) -> bool {
        let starts = |state| matches!(state, State::Fits | State::Tight);
        attempt(self.request, settings, &self.request.fleet).is_some_and(|(_, v)| starts(v.state))
    }
}

/// A kind of change.
trait Repair: Sync {
    /// Changes of this kind worth trying, and those that cannot be tried at all.
    fn candidates(&self, situation: &Situation<'_>, rejected: &mut Vec<Rejected>) -> Vec<Candidate>;
}

/// Changes of layout, tried alone and under each of the others.
const LAYOUTS: &[&dyn Repair] = &[&layout::TensorParallel, &layout::PipelineParallel, &device_map::Spread];
/// Changes within a layout.
const KNOBS: &[&dyn Repair] = &[
    &device_map::StayInPlace,
    &device_map::Caps,
    &fraction::MemoryFraction,
    &sequences::Sequences,
    &context::Context,
    &cache_type::CacheType,
    &eager::Eager,
    &dtype::WeightType,
];

/// Most repairs shown.
const SHOWN: usize = 5;

/// Confirmed repairs, cheapest first, and what was rejected.
pub(super) fn search(request: &PlanRequest, plan: &EnginePlan, verdict: &Verdict) -> (Vec<Advice>, Vec<Rejected>) {
    let mut rejected = Vec::new();
    let here = Situation { request, settings: &request.settings, plan };
    let layouts: Vec<Candidate> = LAYOUTS.iter().flat_map(|r| r.candidates(&here, &mut rejected)).collect();
    let knobs: Vec<Candidate> = KNOBS.iter().flat_map(|r| r.candidates(&here, &mut rejected)).collect();
    let mut confirmed = Vec::new();
    let mut failed = Vec::new();
    for candidate in layouts.iter().chain(&knobs) {
        match confirm(request, candidate, verdict.state) {
            Ok(advice) => confirmed.push(advice),
            Err(why) => failed.push((candidate, why)),
        }
    }
    // A layout that does not suffice alone may with a second change: the cheapest such pair of each layout.
    for layout in &layouts {
        if confirmed.iter().any(|a: &Advice| a.flags == layout.flags) {
            continue;
        }
        let Some((plan, _)) = attempt(request, &layout.settings, &request.fleet) else { continue };
        let there = Situation { request, settings: &layout.settings, plan: &plan };
        let pairs = KNOBS.iter().flat_map(|r| r.candidates(&there, &mut Vec::new()));
        let best = pairs
            .filter_map(|second| confirm(request, &both(layout, second), verdict.state).ok())
            .min_by_key(|a| a.cost);
        confirmed.extend(best);
    }
    for (candidate, why) in failed {
        rejected.push(Rejected { change: candidate.change.clone(), why });
    }
    confirmed.sort_by_key(|a| (a.state != State::Fits, a.cost));
    confirmed.dedup_by(|a, b| a.flags == b.flags);
    confirmed.truncate(SHOWN);
    debug_assert!(!verdict.state.fits());
    (confirmed, rejected)
}

fn both(first: &Candidate, second: Candidate) -> Candidate {
    Candidate {
        change: format!("{}, {}", first.change, second.change),
        flags: first.flags.iter().cloned().chain(second.flags).collect(),
        settings: second.settings,
        price: second.price,
        cost: first.cost + second.cost + 1,
    }
}

/// A verdict's sentence without its first word.
fn bare(message: &str) -> &str {
    message.split_once(": ").map_or(message, |(_, rest)| rest)
}

/// Plans with the change; what then does not fit comes back as the reason.
fn confirm(request: &PlanRequest, candidate: &Candidate, was: State) -> Result<Advice, String> {
    let plan = request.engine_plan(&candidate.settings, &request.fleet).map_err(|e| e.to_string())?;
    let verdict = Verdict::of(&plan, &request.fleet);
    match verdict.state {
        // What was tight and stays tight is no better off.
        State::Tight if was == State::Tight => Err(format!("it stays tight: {}", bare(&verdict.message))),
        State::Fits | State::Tight => {
            let least = (0..plan.ranks.len()).map(|r| headroom(&plan, &request.fleet, r)).min();
            Ok(Advice {
                change: candidate.change.clone(),
                flags: candidate.flags.clone(),
                state: verdict.state,
                headroom: least.unwrap_or(Bytes::ZERO),
                kv_tokens: plan.kv.tokens,
                concurrency: plan.kv.max_concurrency,
                max_model_len: plan.workload.max_model_len,
                price: candidate.price.to_owned(),
                cost: candidate.cost,
            })
        }
        State::DoesNotFit | State::CannotTell => Err(verdict.message),
    }
}
