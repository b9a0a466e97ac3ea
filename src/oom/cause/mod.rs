//! The rules that turn a failure into a cause, in the order in which they are asked: the first that answers decides.

mod allocator;
mod buffers;
mod context;
mod engine_words;
mod host;
mod suspicion;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use context::Context;
pub(super) use suspicion::suspicions;

use super::Event;
use crate::engines::Cause;

/// How sure a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Consistent with what the log says; something else could be.
    Low,
    /// Follows from numbers or from the place of the failure.
    Medium,
    /// The message itself says so, or the numbers leave nothing else.
    High,
}

impl Confidence {
    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What a rule says.
#[derive(Debug, Clone)]
pub(super) struct Judgement {
    pub cause: Cause,
    pub confidence: Confidence,
    /// One or two sentences with the numbers.
    pub why: String,
    /// The card that it concerns, where that is not the one of the message.
    pub device: Option<u32>,
    /// Messages that it rests on, beside the failure itself.
    pub evidence: Vec<Event>,
    /// Rivals that lose, and why.
    pub rejected: Vec<(Cause, String)>,
}

impl Judgement {
    pub(super) fn new(cause: Cause, confidence: Confidence, why: impl Into<String>) -> Self {
        Self { cause, confidence, why: why.into(), device: None, evidence: Vec::new(), rejected: Vec::new() }
    }

    pub(super) fn on<'e>(mut self, events: impl IntoIterator<Item = &'e Event>) -> Self {
        self.evidence.extend(events.into_iter().cloned());
        self
    }

    pub(super) fn not(mut self, cause: Cause, why: impl Into<String>) -> Self {
        self.rejected.push((cause, why.into()));
        self
    }
}

type Rule = fn(&Context<'_>) -> Option<Judgement>;

/// The order follows the reference table: what a message says outright, then the host, then numbers, then places, then shares.
const RULES: &[Rule] = &[engine_words::judge, host::judge, buffers::judge, allocator::judge];

/// The cause of a failure; [`Cause::Unknown`] where no rule answers.
pub(super) fn judge(context: &Context<'_>) -> Judgement {
    RULES.iter().find_map(|rule| rule(context)).unwrap_or_else(|| {
        Judgement::new(
            Cause::Unknown,
            Confidence::Low,
            "the log names neither the stage nor the numbers that would tell one cause from another",
        )
    })
}
