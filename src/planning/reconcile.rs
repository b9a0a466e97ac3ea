//! Predicted minus observed, line by line.

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
    /// Largest difference that counts as agreement, as a share of the prediction.
    pub tolerance: Fraction,
}

/// Allocations are rounded up to this by the driver, which no tolerance in per cent covers for small models.
const GRANULARITY: Bytes = Bytes::mib(2);

impl Reconciled {
    /// Observed − predicted.
    #[must_use]
    pub fn difference(&self) -> Option<ByteDelta> {
        Some(self.observed?.delta(self.predicted))
    }

    /// Whether observation and prediction agree; `None` when there is nothing to compare.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        let difference = self.difference()?.magnitude();
        Some(difference <= self.tolerance.of(self.predicted).max(GRANULARITY))
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
            tolerance: Fraction::new(0.02).unwrap(),
        };
        assert_eq!(line(Bytes::gib(10), Some(Bytes::gib(10) + Bytes::mib(200))).status(), "agrees");
        assert_eq!(line(Bytes::gib(10), Some(Bytes::gib(11))).status(), "disagrees");
        assert_eq!(line(Bytes::kib(3), Some(Bytes::mib(2))).status(), "agrees");
        assert_eq!(line(Bytes::kib(3), None).status(), "not_observable");
    }
}
