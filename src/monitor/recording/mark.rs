//! What is worth finding again in a recording.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One moment with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When, from the start of the watch.
    pub at: Duration,
    /// Of what kind.
    pub kind: MarkKind,
    /// In words.
    pub text: String,
}

/// What a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A rule about memory was broken.
    Alarm,
    /// The driver reported a critical error of a card.
    Xid,
    /// A card left the bus, or came back.
    Card,
    /// A process ran out of memory.
    OutOfMemory,
    /// The work reached another phase: loading, capturing graphs, serving.
    Phase,
    /// The user pressed the key.
    Note,
}

impl MarkKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Alarm, Self::Xid, Self::Card, Self::OutOfMemory, Self::Phase, Self::Note];

    /// For lists: `alarm`, `out of memory`, ….
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Xid => "Xid",
            Self::Card => "card",
            Self::OutOfMemory => "out of memory",
            Self::Phase => "phase",
            Self::Note => "note",
        }
    }

    pub(super) fn code(self) -> u64 {
        self as u64
    }

    pub(super) fn of_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}
