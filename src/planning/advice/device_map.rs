//! Place whole modules elsewhere: leave them where the map put them, let the planner spread them, or cap what each card may take.

use std::collections::BTreeMap;

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::transformers::flag::TO_DEVICE;
use crate::engines::{EnginePlan, Knob, Settings};
use crate::planning::search::attempt;
use crate::planning::{State, Verdict};
use crate::units::Bytes;

/// Remove `.to(device)` after `device_map`.
pub(super) struct StayInPlace;

impl Repair for StayInPlace {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        if !situation.settings.engine_flags.contains_key(TO_DEVICE) {
            return Vec::new();
        }
        vec![Candidate {
            change: "leave the model where `device_map` put it: remove `.to(…)`".to_owned(),
            flags: Vec::new(),
            settings: unmoved(situation.settings),
            price: "none",
            cost: 0,
        }]
    }
}

/// `device_map="auto"` instead of one device or a map by hand.
pub(super) struct Spread;

impl Repair for Spread {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let Some(flag) = situation.flag(Knob::DeviceMap, "auto") else { return Vec::new() };
        if situation.request.fleet.cards.len() < 2 || situation.settings.device_map.as_deref() == Some("auto") {
            return Vec::new();
        }
        vec![Candidate {
            change: "layers spread over all cards".to_owned(),
            flags: vec![flag],
            settings: spread(situation.settings),
            price: "each token passes the cards one after the other",
            cost: 2,
        }]
    }
}

/// `max_memory` of one size for all cards, less on the first: the smallest that still takes all weights and fits.
pub(super) struct Caps;

/// Steps of a cap.
const STEP: Bytes = Bytes::mib(512);
/// Caps tried.
const TRIED: u64 = 40;

impl Repair for Caps {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let cards = situation.request.fleet.cards.len();
        if cards < 2 || situation.flag(Knob::MaxMemory, "").is_none() {
            return Vec::new();
        }
        let base = spread(situation.settings);
        let Some((plan, verdict)) = attempt(situation.request, &base, &situation.request.fleet) else {
            return Vec::new();
        };
        // Where the planner's own balance holds, limits are no repair.
        if verdict.state == State::Fits && plan.offload.is_none_or(|off| off == Bytes::ZERO) {
            return Vec::new();
        }
        let all = on_cards(&plan) + plan.offload.unwrap_or(Bytes::ZERO);
        let even = Bytes(all.0 / cards as u64).round_up_to(STEP);
        // The first card also takes inputs and scores, and keeps room for a module that might come back.
        let candidates =
            (0..TRIED).flat_map(|step| [Bytes::ZERO, STEP * 2, STEP * 4].map(|less| (even + STEP * step, less)));
        let found = candidates.into_iter().find_map(|(cap, less)| {
            let sizes: Vec<Bytes> =
                (0..cards).map(|card| if card == 0 { cap.saturating_sub(less) } else { cap }).collect();
            let named = sizes.iter().enumerate().map(|(card, size)| (card.to_string(), *size));
            let settings = Settings { max_memory: Some(named.collect::<BTreeMap<_, _>>()), ..base.clone() };
            let (plan, verdict) = attempt(situation.request, &settings, &situation.request.fleet)?;
            (holds_all(&plan, &verdict, all)).then_some((sizes, settings))
        });
        let Some((sizes, settings)) = found else { return Vec::new() };
        let value = sizes.iter().enumerate().map(|(card, size)| format!("{card}: \"{}\"", spelled(*size)));
        let flags = [
            situation.flag(Knob::DeviceMap, "auto"),
            situation.flag(Knob::MaxMemory, format!("{{{}}}", value.collect::<Vec<_>>().join(", "))),
        ];
        vec![Candidate {
            change: "a limit on what each card takes".to_owned(),
            flags: flags.into_iter().flatten().collect(),
            settings,
            price: "the limits belong to this model and these cards",
            cost: 3,
        }]
    }
}

/// Whether a plan fits with everything on cards.
fn holds_all(plan: &EnginePlan, verdict: &Verdict, all: Bytes) -> bool {
    verdict.state == State::Fits && on_cards(plan) >= all
}

fn on_cards(plan: &EnginePlan) -> Bytes {
    plan.ranks.iter().map(|rank| rank.tensors.resident).sum()
}

fn unmoved(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.engine_flags.remove(TO_DEVICE);
    settings
}

fn spread(settings: &Settings) -> Settings {
    Settings { device_map: Some("auto".to_owned()), max_memory: None, ..unmoved(settings) }
}

/// As accelerate reads it.
fn spelled(size: Bytes) -> String {
    let mib = size.0 >> 20;
    if mib.is_multiple_of(1024) { format!("{}GiB", mib >> 10) } else { format!("{mib}MiB") }
}
