//! Do without CUDA graphs.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::{Component, Settings};
use crate::units::Bytes;

/// `--enforce-eager`.
pub(super) struct Eager;

impl Repair for Eager {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let has_graphs = situation.plan.ranks.iter().any(|r| r.expected(Component::CudaGraph) > Bytes::ZERO);
        if !has_graphs || situation.settings.enforce_eager == Some(true) {
            return Vec::new();
        }
        vec![Candidate {
            change: "no CUDA graphs".to_owned(),
            flags: vec!["--enforce-eager".to_owned()],
            settings: Settings { enforce_eager: Some(true), ..situation.settings.clone() },
            price: "slower decoding at small batches",
            cost: 50,
        }]
    }
}
