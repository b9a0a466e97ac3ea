//! From the words of a log to a cause: which card, which allocation, why, on what evidence, and what repairs it.
//!
//! [`Scanner`] finds the messages that [`crate::profiles::oom`] describes and turns each into an [`Event`]. [`diagnose`] reads the events
//! together with what is known of the deployment ([`Facts`]), takes the first failure, and asks the rules of `cause` in order.

mod allocation;
mod budget;
mod cause;
mod clean;
mod compare;
mod diagnosis;
mod event;
mod facts;
mod field;
mod fingerprint;
mod message;
mod needles;
mod pattern;
mod repair;
mod scan;

pub use allocation::Allocation;
pub use budget::{Budget, BudgetLine};
pub use compare::{Difference, Stated, compare};
pub use diagnosis::{Diagnosis, Finding, RejectedCause, diagnose};
pub use event::{Event, Events, Place};
pub use facts::{Facts, KnownModel};
pub use field::Value;
pub use fingerprint::{Match, MatchKind, fingerprint};
pub use pattern::{PatternError, Patterns};
pub use repair::{RejectedRepair, Repair, RepairKind};
pub use scan::Scanner;

pub use cause::Confidence;
