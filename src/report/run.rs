//! `shardfit/run/1`: a command that ran under watch, what the cards held meanwhile, and why it failed.

use schemars::JsonSchema;
use serde::Serialize;

use super::probe::ToolReport;
use super::{DiagnosisReport, PlanReport};
use crate::units::Bytes;

/// What `run --report` writes. A value that cannot be had is `null`, and a sibling field ending in `_reason` says why.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunReport {
    /// `shardfit/run/1`
    pub schema: &'static str,
    /// Who wrote it.
    pub tool: ToolReport,
    /// The command's words, secrets left out.
    pub command: Vec<String>,
    /// What was planned before the start.
    pub plan: Option<PlanReport>,
    /// Why `plan` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_reason: Option<String>,
    /// How it ended; absent where a plan that does not fit kept it from starting.
    pub ended: Option<EndReport>,
    /// The cards while it ran; empty where no driver answers.
    pub cards: Vec<RunCard>,
    /// Why `cards` is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cards_reason: Option<String>,
    /// The stages that its output told of, in order.
    pub phases: Vec<PhaseReport>,
    /// What the recording of the cards shows: neighbours that came or went, workers of another engine that nobody ended, a pool that ran
    /// dry; the largest first.
    pub observed: Vec<ObservedReport>,
    /// What its output says about memory; absent where it ended well or was not started.
    pub diagnosis: Option<DiagnosisReport>,
    /// Processes of the command that outlived it and hold memory on cards.
    pub survivors: Vec<SurvivorReport>,
}

impl RunReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "shardfit/run/1";
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EndReport {
    /// Its exit code; `null` when a signal ended it.
    pub exit_code: Option<u8>,
    /// The signal that ended it; `null` when it ended by itself.
    pub signal: Option<u8>,
    /// Seconds from start to end.
    pub seconds: f64,
    /// The last signal that was passed on to it.
    pub signal_passed_on: Option<i32>,
    /// Processes on this machine that the kernel killed meanwhile for want of host memory; `null` where it does not say.
    pub host_memory_kills: Option<u64>,
    /// Bytes of output and errors.
    pub log_bytes: u64,
    /// The last lines of them.
    pub last_lines: Vec<String>,
}

/// A stage of the engine's start or service, as its output told of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PhaseReport {
    /// Which: `loading weights`, `sizing the KV pool`, ….
    pub phase: String,
    /// Seconds from the start; `null` for output that came too late to be timed.
    pub seconds: Option<f64>,
    /// The line that told.
    pub text: String,
}

/// Something that the recording of the cards shows.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ObservedReport {
    /// `neighbour_took`, `neighbour_released`, `orphan` or `shared_pool_exhausted`.
    pub kind: String,
    /// NVML index, `0`, or of a MIG instance `0/2`.
    pub card: String,
    /// The process; `null` for memory that no listed process accounts for.
    pub pid: Option<u32>,
    /// Memory taken, released or held; of a pool, what was left of it.
    pub memory_bytes: Bytes,
    /// When it was first seen, in seconds from the start.
    pub seconds: f64,
    /// In words.
    pub text: String,
}

/// One card while the command ran.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunCard {
    /// NVML index, `0`, or of a MIG instance `0/2`.
    pub card: String,
    /// Product name.
    pub name: Option<String>,
    /// `GPU-…` or `MIG-…` identity.
    pub uuid: Option<String>,
    /// What processes can share.
    pub capacity_bytes: Bytes,
    /// In use at the first sample.
    pub first_used_bytes: Bytes,
    /// Most in use.
    pub peak_used_bytes: Bytes,
    /// When that was, in seconds from the start.
    pub peak_seconds: f64,
    /// Most that the command's processes held; `null` where the driver does not tell processes apart.
    pub peak_ours_bytes: Option<Bytes>,
    /// The last samples, oldest first.
    pub last: Vec<MomentReport>,
}

/// One sample of one card.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct MomentReport {
    /// Seconds from the start.
    pub seconds: f64,
    /// In use.
    pub used_bytes: Bytes,
    /// Of that, by the command's processes.
    pub ours_bytes: Option<Bytes>,
    /// Of that, by all others.
    pub others_bytes: Option<Bytes>,
}

/// A process that outlived its command.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SurvivorReport {
    /// Process id.
    pub pid: u32,
    /// Command line.
    pub command: Option<String>,
    /// Memory on all cards.
    pub used_bytes: Option<Bytes>,
}
