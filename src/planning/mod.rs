//! From a request to a verdict: does it fit, what limits it, and which change would make it fit.

pub mod advice;
mod grid;
mod reconcile;
mod request;
mod search;
mod verdict;

pub use advice::{Advice, Rejected};
pub use grid::{Grid, grid};
pub use reconcile::{CardAccount, CardPrediction, CardSteps, Exercise, Holder, Reconciled, Seen, findings};
pub use request::{ModelSource, PlanRequest, Planned, VersionSource, plan};
pub use verdict::{State, Verdict};
