//! Predicted against observed, line by line, and what the difference means.

mod card;
mod findings;

pub use card::{CardPrediction, CardSteps, Seen};
pub use findings::{CardAccount, Holder, findings};

use crate::units::{ByteDelta, Bytes, Fraction};

/// What a comparison could find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exercise {
    /// The load created it, and the driver was asked.
    Observed,
    /// Only the engine would create it.
    NotExercised,
    /// The load created it, but nothing could tell how much it is.
    NotObservable,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciled {
    /// The card: `cuda:0`.
    pub device: String,
    /// What is compared.
    pub what: &'static str,
    /// By the plan.
    pub predicted: Bytes,
    /// By the driver.
    pub observed: Option<Bytes>,
    /// What the comparison could find.
    pub exercise: Exercise,
    /// Largest difference that counts as agreement: the larger of a share of the prediction and the driver's own rounding.
    pub tolerance: Bytes,
}

/// Each allocation is rounded up to this by the driver, which no tolerance in per cent covers for small models.
pub(super) const GRANULARITY: Bytes = Bytes::mib(2);

/// What counts as agreement about `predicted` bytes in so many allocations.
fn slack(predicted: Bytes, share: Fraction, allocations: u64) -> Bytes {
    share.of(predicted).max(GRANULARITY * allocations.max(1))
}

impl Reconciled {
    /// The line of the tensors.
    pub const WEIGHTS: &'static str = "weights as constructed";
    /// The line of what no other line accounts for.
    pub const REST: &'static str = "unexplained";

    /// Observed − predicted.
    #[must_use]
    pub fn difference(&self) -> Option<ByteDelta> {
        Some(self.observed?.delta(self.predicted))
    }

    /// Whether observation and prediction agree; `None` when there is nothing to compare.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        let difference = self.difference()?.magnitude();
        Some(difference <= self.tolerance)
    }

    /// Name as in reports.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match (self.exercise, self.agrees()) {
            (Exercise::NotExercised, _) => "not_exercised",
            (Exercise::NotObservable, _) | (Exercise::Observed, None) => "not_observable",
            (Exercise::Observed, Some(true)) => "agrees",
            (Exercise::Observed, Some(false)) => "disagrees",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_differences_agree() {
        let line = |predicted, observed| Reconciled {
            device: "cuda:0".into(),
            what: "weights",
            predicted,
            observed,
            exercise: Exercise::Observed,
            tolerance: slack(predicted, Fraction::new(0.02).unwrap(), 1),
        };
        assert_eq!(line(Bytes::gib(10), Some(Bytes::gib(10) + Bytes::mib(200))).status(), "agrees");
        assert_eq!(line(Bytes::gib(10), Some(Bytes::gib(11))).status(), "disagrees");
        assert_eq!(line(Bytes::kib(3), Some(Bytes::mib(2))).status(), "agrees");
        assert_eq!(line(Bytes::kib(3), None).status(), "not_observable");
    }
}
