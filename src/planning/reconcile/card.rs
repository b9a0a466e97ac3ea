//! One card: what the plan predicts of each thing that a load creates, against how the card's memory grew when it was created.

use super::{Exercise, Reconciled, slack};
use crate::hardware::CardState;
use crate::units::{Bytes, Fraction};

/// What a card showed at the end of one step of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// In use by the driver's own account (`cuMemGetInfo`); `None` where there is no context to ask in.
    pub driver: Option<Bytes>,
    /// In use by NVML.
    pub nvml: Option<Bytes>,
    /// Held by this process, by NVML's list.
    pub own: Option<Bytes>,
}

impl Seen {
    /// Held by everybody else.
    #[must_use]
    pub fn others(&self) -> Option<Bytes> {
        Some(self.nvml?.saturating_sub(self.own?))
    }

    /// How much more was ours at `later`: by NVML's list of processes, else by how the card grew.
    fn grown(&self, later: &Self) -> Option<Bytes> {
        let (from, to) = match ((self.own, later.own), (self.driver, later.driver)) {
            ((Some(from), Some(to)), _) | (_, (Some(from), Some(to))) => (from, to),
            _ => (self.nvml?, later.nvml?),
        };
        Some(to.saturating_sub(from))
    }
}

/// What a card showed at the ends of the steps of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CardSteps {
    /// Before we touched it.
    pub before: Seen,
    /// With our context.
    pub context: Seen,
    /// With the weights.
    pub weights: Seen,
    /// With the KV pool.
    pub kv: Seen,
    /// With the workspace: everything.
    pub peak: Seen,
}

/// What the plan says of a card, all its ranks together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CardPrediction {
    /// The card: `cuda:0`.
    pub device: String,
    /// A bare context as calibration measured it on such a card; `None` without calibration, or where there is no such thing.
    pub bare_context: Option<Bytes>,
    /// The plan's figure for a context with an engine's kernels, which is more than a bare one.
    pub engine_context: Option<Bytes>,
    /// Tensors as constructed.
    pub weights: Bytes,
    /// Arenas that hold them.
    pub arenas: u64,
    /// KV pool.
    pub kv: Bytes,
    /// Allocations of the pool; 0 when it was not created.
    pub kv_allocations: u64,
    /// Activation peak.
    pub activation: Bytes,
    /// Whether a workspace of that size was created.
    pub workspace: bool,
    /// Lines that only the engine would create.
    pub engine_only: Vec<(&'static str, Bytes)>,
}

impl CardPrediction {
    /// Everything that the load creates, the context aside.
    #[must_use]
    pub fn created(&self) -> Bytes {
        let kv = if self.kv_allocations > 0 { self.kv } else { Bytes::ZERO };
        let workspace = if self.workspace { self.activation } else { Bytes::ZERO };
        self.weights + kv + workspace
    }

    /// Line by line, the unexplained rest last.
    #[must_use]
    pub fn reconcile(&self, steps: &CardSteps, share: Fraction) -> Vec<Reconciled> {
        let line = |what, predicted: Bytes, observed, exercise, allocations| Reconciled {
            device: self.device.clone(),
            what,
            predicted,
            observed,
            exercise,
            tolerance: slack(predicted, share, allocations),
        };
        let context = steps.before.grown(&steps.context);
        let weights = steps.context.grown(&steps.weights);
        let mut lines = vec![line(Reconciled::WEIGHTS, self.weights, weights, Exercise::Observed, self.arenas)];
        match (self.bare_context, self.engine_context) {
            (Some(bare), _) => {
                let line = line("bare context", bare, context, Exercise::Observed, 1);
                lines.push(Reconciled { tolerance: line.tolerance.max(CardState::OWN_USE), ..line });
            }
            // Kernels that only an engine loads are part of the plan's figure.
            (None, Some(planned)) => lines.push(line("context", planned, context, Exercise::NotExercised, 1)),
            (None, None) => {}
        }
        let mut parts = vec![context, weights];
        for (what, predicted, made, allocations, from, to) in [
            ("KV cache", self.kv, self.kv_allocations > 0, self.kv_allocations, &steps.weights, &steps.kv),
            ("activation", self.activation, self.workspace, 1, &steps.kv, &steps.peak),
        ] {
            if made {
                let observed = from.grown(to);
                parts.push(observed);
                lines.push(line(what, predicted, observed, Exercise::Observed, allocations));
            } else if predicted > Bytes::ZERO {
                lines.push(line(what, predicted, None, Exercise::NotExercised, 1));
            }
        }
        for (what, predicted) in &self.engine_only {
            if *predicted > Bytes::ZERO {
                lines.push(line(what, *predicted, None, Exercise::NotExercised, 1));
            }
        }
        if let (Some(before), Some(peak)) = (steps.before.nvml, steps.peak.nvml) {
            let explained: Option<Bytes> = parts.into_iter().sum();
            let rest = explained.map(|explained| peak.saturating_sub(before + explained));
            // Nothing is predicted of it; what counts is its size beside all that was created, and beside what a card uses for itself.
            let slack = slack(self.created(), share, self.kv_allocations + self.arenas).max(CardState::OWN_USE);
            let rest =
                Reconciled { tolerance: slack, ..line(Reconciled::REST, Bytes::ZERO, rest, Exercise::Observed, 1) };
            lines.push(rest);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(driver: Option<u64>, nvml: u64, own: u64) -> Seen {
        Seen { driver: driver.map(Bytes::mib), nvml: Some(Bytes::mib(nvml)), own: Some(Bytes::mib(own)) }
    }

    fn prediction() -> CardPrediction {
        CardPrediction {
            device: "cuda:0".to_owned(),
            bare_context: Some(Bytes::mib(240)),
            weights: Bytes::mib(1000),
            arenas: 1,
            kv: Bytes::mib(500),
            kv_allocations: 10,
            activation: Bytes::mib(100),
            workspace: true,
            engine_only: vec![("CUDA graphs", Bytes::mib(300))],
            ..CardPrediction::default()
        }
    }

    fn statuses(lines: &[Reconciled]) -> Vec<(&'static str, &'static str)> {
        lines.iter().map(|line| (line.what, line.status())).collect()
    }

    #[test]
    fn what_was_created_is_told_from_what_others_did_meanwhile() {
        // Somebody else takes 700 MiB while the weights arrive; the driver is asked before, NVML after it.
        let steps = CardSteps {
            before: seen(None, 50, 0),
            context: seen(Some(290), 290, 240),
            weights: seen(Some(1290), 1990, 1240),
            kv: seen(Some(2490), 2490, 1740),
            peak: seen(Some(2590), 2590, 1840),
        };
        let lines = prediction().reconcile(&steps, Fraction::new(0.02).unwrap());
        assert_eq!(
            statuses(&lines),
            [
                ("weights as constructed", "agrees"),
                ("bare context", "agrees"),
                ("KV cache", "agrees"),
                ("activation", "agrees"),
                ("CUDA graphs", "not_exercised"),
                ("unexplained", "disagrees"),
            ]
        );
        assert_eq!(lines.last().unwrap().observed, Some(Bytes::mib(700)));
    }

    #[test]
    fn without_any_account_nothing_is_claimed() {
        let lines = prediction().reconcile(&CardSteps::default(), Fraction::new(0.02).unwrap());
        assert!(lines.iter().all(|line| line.agrees().is_none()), "{lines:?}");
        let bare = CardPrediction { kv_allocations: 0, workspace: false, bare_context: None, ..prediction() };
        let lines = bare.reconcile(&CardSteps::default(), Fraction::new(0.02).unwrap());
        let statuses = statuses(&lines);
        assert!(
            statuses.contains(&("KV cache", "not_exercised")) && !statuses.iter().any(|(what, _)| *what == "context")
        );
        assert_eq!(bare.created(), Bytes::mib(1000));
    }
}
