//! Run fewer sequences at once: the sampler's peak follows their number times the vocabulary.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::{Knob, Settings};

/// `--max-num-seqs`: the largest power of two below the present number that fits.
pub(super) struct Sequences;

impl Repair for Sequences {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        if situation.flag(Knob::Sequences, 0).is_none() {
            return Vec::new();
        }
        let Some(now) = situation.plan.workload.max_num_seqs else { return Vec::new() };
        let with = |sequences: u64| Settings { max_num_seqs: Some(sequences), ..situation.settings.clone() };
        let powers = || (3..=20u32).rev().map(|exponent| 1u64 << exponent).filter(|n| *n < now);
        let at_high = powers().find(|sequences| situation.fits(&with(*sequences)));
        // What fits at the expected demand alone still beats what does not start.
        let found = at_high.or_else(|| powers().find(|sequences| situation.starts(&with(*sequences))));
        found
            .map(|sequences| Candidate {
                change: format!("at most {sequences} sequences at once"),
                flags: situation.flag(Knob::Sequences, sequences).into_iter().collect(),
                settings: with(sequences),
                price: "less throughput under load",
                cost: if sequences >= 64 { 23 } else { 35 },
            })
            .into_iter()
            .collect()
    }
}
