//! Spread the model over more of the cards that are there.

use super::{Candidate, Rejected, Repair, Situation};
use crate::engines::{EngineError, Knob, Settings};
use crate::planning::search::with_layout;

/// Other degrees on the cards that are taken or there; data-parallel replicas make room where they must, which is a flag of its own.
struct Layout {
    settings: Settings,
    flags: Vec<String>,
    fewer_replicas: bool,
}

impl Layout {
    /// `None` when one replica alone is too large, or the engine has no such flags.
    fn new(situation: &Situation<'_>, tp: u32, pp: u32, flag: String) -> Option<Self> {
        let now = situation.settings;
        let degrees = [now.tensor_parallel, now.pipeline_parallel, now.data_parallel].map(|n| n.unwrap_or(1).max(1));
        let cards = situation.cards().max(degrees.into_iter().fold(1, u32::saturating_mul));
        let replicas = cards.checked_div(tp.saturating_mul(pp)).unwrap_or(0).min(degrees[2]);
        if replicas == 0 {
            return None;
        }
        let mut settings = with_layout(now, tp, pp);
        let mut flags = vec![flag];
        let fewer_replicas = replicas < degrees[2];
        if fewer_replicas {
            settings.data_parallel = Some(replicas);
            flags.push(situation.flag(Knob::DataParallel, replicas)?);
        }
        Some(Self { settings, flags, fewer_replicas })
    }
}

/// `--tensor-parallel-size`: each layer over several cards.
pub(super) struct TensorParallel;

impl Repair for TensorParallel {
    fn candidates(&self, situation: &Situation<'_>, rejected: &mut Vec<Rejected>) -> Vec<Candidate> {
        let settings = situation.settings;
        let cards = situation.cards();
        let pp = settings.pipeline_parallel.unwrap_or(1).max(1);
        let now = settings.tensor_parallel.unwrap_or(1);
        let mut found = Vec::new();
        for tp in (now + 1)..=(cards / pp).min(16) {
            let Some(flag) = situation.flag(Knob::TensorParallel, tp) else { return Vec::new() };
            let Some(layout) = Layout::new(situation, tp, pp, flag.clone()) else { continue };
            match situation.request.engine_plan(&layout.settings, &situation.request.fleet) {
                Err(EngineError::Refused { message, .. }) => rejected.push(Rejected { change: flag, why: message }),
                Err(_) => {}
                Ok(_) => found.push(Candidate {
                    change: format!("tensor parallel over {tp} cards"),
                    price: if layout.fewer_replicas {
                        "an all-reduce in every layer, fewer replicas"
                    } else {
                        "an all-reduce in every layer"
                    },
                    flags: layout.flags,
                    settings: layout.settings,
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
        let cards = situation.cards();
        let tp = settings.tensor_parallel.unwrap_or(1).max(1);
        let now = settings.pipeline_parallel.unwrap_or(1);
        let most = cards.checked_div(tp).unwrap_or(0).min(8).min(situation.request.model.layers);
        ((now + 1)..=most)
            .filter_map(|pp| {
                let layout = Layout::new(situation, tp, pp, situation.flag(Knob::PipelineParallel, pp)?)?;
                Some(Candidate {
                    change: format!("pipeline over {pp} stages"),
                    price: if layout.fewer_replicas {
                        "each request passes the cards one after the other, fewer replicas"
                    } else {
                        "each request passes the cards one after the other"
                    },
                    flags: layout.flags,
                    settings: layout.settings,
                    cost: 40 + pp,
                })
            })
            .collect()
    }
}
