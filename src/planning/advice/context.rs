//! Shorten the longest sequence.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::{ContextLength, Knob, Settings};
use crate::planning::search::largest;

/// `--max-model-len`: the longest length that fits at high demand, rounded down so that it reads well; where none does, the longest that
/// the engine starts with at expected demand.
pub(super) struct Context;

impl Repair for Context {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        if situation.flag(Knob::ContextLength, 0).is_none() {
            return Vec::new();
        }
        let Some(now) = situation.plan.workload.max_model_len else { return Vec::new() };
        let with =
            |length: u64| Settings { max_model_len: ContextLength::Tokens(length), ..situation.settings.clone() };
        let limit = now.0.saturating_sub(1);
        let at_high = largest(limit, |length| situation.fits(&with(length)));
        let Some(longest) = at_high.or_else(|| largest(limit, |length| situation.starts(&with(length)))) else {
            return Vec::new();
        };
        let step = match longest {
            8192.. => 1024,
            1024.. => 128,
            _ => 1,
        };
        let length = longest / step * step;
        vec![Candidate {
            change: format!("sequences of at most {length} tokens"),
            flags: situation.flag(Knob::ContextLength, length).into_iter().collect(),
            settings: with(length),
            price: "longer requests are refused",
            // A length that is a small part of the stated one is a high price.
            cost: if length.saturating_mul(2) >= now.0 { 25 } else { 60 },
        }]
    }
}
