//! Shorten the longest sequence.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::{ContextLength, Settings};
use crate::planning::search::largest;

/// `--max-model-len`: the longest length that fits at high demand, rounded down so that it reads well.
pub(super) struct Context;

impl Repair for Context {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let Some(now) = situation.plan.workload.max_model_len else { return Vec::new() };
        let with =
            |length: u64| Settings { max_model_len: ContextLength::Tokens(length), ..situation.settings.clone() };
        let Some(longest) = largest(now.0.saturating_sub(1), |length| situation.fits(&with(length))) else {
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
            flags: vec![format!("--max-model-len {length}")],
            settings: with(length),
            price: "longer requests are refused",
            // A length that is a small part of the stated one is a high price.
            cost: if length.saturating_mul(2) >= now.0 { 25 } else { 60 },
        }]
    }
}
