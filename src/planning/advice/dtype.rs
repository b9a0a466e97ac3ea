//! Load the weights in the type they are stored in.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::{Knob, Settings};

/// The element type of the checkpoint instead of a wider one.
pub(super) struct WeightType;

impl Repair for WeightType {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let stored = situation.request.model.dtype;
        if stored.is_none_or(|dtype| dtype.bits() >= situation.plan.workload.dtype.bits()) {
            return Vec::new();
        }
        let Some(flag) = situation.flag(Knob::DType, "auto") else { return Vec::new() };
        vec![Candidate {
            change: "weights in the type they are stored in".to_owned(),
            flags: vec![flag],
            settings: Settings { dtype: Some("auto".to_owned()), ..situation.settings.clone() },
            price: "none: the checkpoint holds no more precision",
            cost: 1,
        }]
    }
}
