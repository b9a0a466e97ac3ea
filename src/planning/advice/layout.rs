//! Spread the model over more of the cards that are there.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::EngineError;
use crate::planning::search::with_layout;

/// `--tensor-parallel-size`: each layer over several cards.
pub(super) struct TensorParallel;

impl Repair for TensorParallel {
    fn candidates(&self, situation: &Situation<'_>, rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let settings = situation.settings;
        let cards = u32::try_from(situation.request.fleet.cards.len()).unwrap_or(u32::MAX);
        let pp = settings.pipeline_parallel.unwrap_or(1).max(1);
        let now = settings.tensor_parallel.unwrap_or(1);
        let mut found = Vec::new();
        for tp in (now + 1)..=(cards / pp).min(16) {
            let changed = with_layout(settings, tp, pp);
            let flag = format!("--tensor-parallel-size {tp}");
            match situation.request.engine_plan(&changed, &situation.request.fleet) {
                Err(EngineError::Refused { message, .. }) => rejected.push(Rejected { change: flag, why: message }),
                Err(_) => {}
                Ok(_) => found.push(Candidate {
                    change: format!("tensor parallel over {tp} cards"),
                    flags: vec![flag],
                    settings: changed,
                    price: "an all-reduce in every layer",
                    // Fewer cards first.
                    cost: 10 + tp,
                }),
            }
        }
        found
    }
}

/// `--pipeline-parallel-size`: the layers over several cards.
pub(super) struct PipelineParallel;

impl Repair for PipelineParallel {
    fn candidates(&self, situation: &Situation<'_>, _rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let settings = situation.settings;
        let cards = u32::try_from(situation.request.fleet.cards.len()).unwrap_or(u32::MAX);
        let tp = settings.tensor_parallel.unwrap_or(1).max(1);
        let now = settings.pipeline_parallel.unwrap_or(1);
        let most = cards.checked_div(tp).unwrap_or(0).min(8).min(situation.request.model.layers);
        ((now + 1)..=most)
            .map(|pp| Candidate {
                change: format!("pipeline over {pp} stages"),
                flags: vec![format!("--pipeline-parallel-size {pp}")],
                settings: with_layout(settings, tp, pp),
                price: "each request passes the cards one after the other",
                cost: 40 + pp,
            })
            .collect()
    }
}
