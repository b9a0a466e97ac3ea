//! Who holds memory on a card.

use schemars::JsonSchema;
use serde::Serialize;

use super::split;
use crate::hardware::{Absence, CardState, ProcessState};
use crate::units::Bytes;

/// A process that holds memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProcessReport {
    /// Process id.
    pub pid: u32,
    /// Memory on this card, the CUDA context included.
    pub used_bytes: Option<Bytes>,
    /// Why `used_bytes` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes_reason: Option<Absence>,
    /// Short name.
    pub name: Option<String>,
    /// Why `name` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_reason: Option<&'static str>,
    /// Command line.
    pub command: Option<String>,
    /// Why `command` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_reason: Option<&'static str>,
    /// Owner.
    pub user: Option<String>,
    /// Why `user` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_reason: Option<&'static str>,
    /// Whether it is an engine's worker whose engine is gone.
    pub orphan: bool,
    /// GPU instance it runs on, on a partitioned card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_instance: Option<u32>,
}

/// What memory is that is in use and listed for no process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// No more than a card uses for itself.
    OwnUse,
    /// Processes that cannot be seen from here: those of other containers.
    UnseenProcesses,
    /// The driver's reserved part, which this driver does not tell apart, and perhaps unseen processes.
    ReservedOrUnseen,
}

impl ProcessReport {
    pub(super) fn new(process: &ProcessState) -> Self {
        let unseen = |absent: bool| absent.then_some("not visible from here");
        let (used_bytes, used_bytes_reason) = split(process.used);
        Self {
            pid: process.pid,
            used_bytes,
            used_bytes_reason,
            name: process.name.clone(),
            name_reason: unseen(process.name.is_none()),
            command: process.command.clone(),
            command_reason: unseen(process.command.is_none()),
            user: process.user.clone(),
            user_reason: unseen(process.user.is_none()),
            orphan: process.orphan,
            gpu_instance: process.gpu_instance,
        }
    }
}

impl Unlisted {
    pub(super) fn of(bytes: Bytes, reserved_counts_as_used: bool) -> Self {
        match (bytes <= CardState::OWN_USE, reserved_counts_as_used) {
            (true, _) => Self::OwnUse,
            (false, false) => Self::UnseenProcesses,
            (false, true) => Self::ReservedOrUnseen,
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::OwnUse => "nobody: the card's own use",
            Self::UnseenProcesses => "unseen: processes of other containers",
            Self::ReservedOrUnseen => "the driver's reserved part, not told apart here, or unseen processes",
        }
    }
}
