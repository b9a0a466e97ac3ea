//! From what a load measured to what is printed.

use super::device::{DeviceKind, DeviceMemory};
use super::error::{LoadError, LoadFailure};
use super::options::Verify;
use super::outcome::{DeviceOutcome, LoadOutcome, RankOutcome};
use super::progress::Phase;
use crate::report::Tool;
use crate::report::load::{
    self, CardLoadReport, FailureReport, LoadReport, LoadState, RankLoadReport, StepReport, TransferReport,
    VerificationReport,
};
use crate::units::Bytes;

const NVML_NOT_ASKED: &str = "NVML was not asked";

/// The report of a load, complete or failed. The plan, NVML's readings and the reconciliation are for the caller to fill in.
#[must_use]
pub fn report(result: Result<&LoadOutcome, &LoadFailure>, verify: Verify) -> LoadReport {
    let (outcome, failure) = match result {
        Ok(outcome) => (outcome, None),
        Err(failure) => (&failure.outcome, Some(failure)),
    };
    let warnings = match outcome.kind {
        DeviceKind::Host => {
            vec!["cards were host memory: placement and bytes are proven, not that a GPU holds them".into()]
        }
        DeviceKind::Cuda => Vec::new(),
    };
    LoadReport {
        schema: load::SCHEMA.to_owned(),
        tool: Tool::this(),
        state: match failure.map(|failure| &failure.error) {
            None => LoadState::Loaded,
            Some(LoadError::Cancelled) => LoadState::Cancelled,
            Some(_) => LoadState::Failed,
        },
        device: match outcome.kind {
            DeviceKind::Cuda => load::DeviceKind::Cuda,
            DeviceKind::Host => load::DeviceKind::Host,
        },
        failure: failure.map(failure_report),
        plan: None,
        transfer: TransferReport {
            read_bytes: outcome.read,
            placed_bytes: outcome.placed(),
            seconds: outcome.seconds,
            gigabytes_per_second: outcome.gigabytes_per_second(),
            staging_bytes: outcome.staging,
            buffer_bytes: outcome.buffer,
            workers: outcome.workers,
        },
        ranks: outcome.ranks.iter().map(|rank| rank_report(rank, outcome, failure)).collect(),
        cards: outcome.devices.iter().map(|card| card_report(card, outcome.kind)).collect(),
        verification: VerificationReport {
            mode: verify.name().to_owned(),
            compared_bytes: outcome.verification.map(|verification| verification.compared),
            read_again_bytes: outcome.verification.map(|verification| verification.read_again),
            seconds: outcome.verification.map(|verification| verification.seconds),
        },
        reconciliation: Vec::new(),
        warnings,
    }
}

fn failure_report(failure: &LoadFailure) -> FailureReport {
    FailureReport {
        message: failure.to_string(),
        rank: failure.at.rank,
        tensor: failure.at.tensor.clone(),
        file: failure.at.file.as_ref().map(|file| file.display().to_string()),
        placed_bytes: failure.outcome.placed(),
    }
}

fn rank_report(rank: &RankOutcome, outcome: &LoadOutcome, failure: Option<&LoadFailure>) -> RankLoadReport {
    // A mismatch names the first wrong byte only; the other ranks' comparison is then not known to be right.
    let verified = match failure.map(|failure| &failure.error) {
        Some(LoadError::Mismatch { first, .. }) => (first.rank == rank.rank).then_some(false),
        Some(_) => None,
        None => outcome.verification.is_some().then_some(true),
    };
    RankLoadReport {
        rank: rank.rank,
        card: outcome.devices.iter().position(|device| device.device == rank.device),
        tensors: rank.tensors,
        arena_bytes: rank.arena,
        file_bytes: rank.file_bytes,
        placed_bytes: rank.placed,
        expected_bytes: rank.expected,
        zeroed_bytes: rank.zeroed,
        compared_bytes: rank.compared,
        seconds: rank.seconds,
        gigabytes_per_second: rank.gigabytes_per_second(),
        verified,
    }
}

fn card_report(card: &DeviceOutcome, kind: DeviceKind) -> CardLoadReport {
    let step = |&(phase, memory): &(Phase, Option<DeviceMemory>)| {
        let used: Option<Bytes> = memory.map(|memory| memory.used());
        let reason = match (used, kind) {
            (Some(_), _) => None,
            (None, DeviceKind::Cuda) if matches!(phase, Phase::Checked | Phase::Released) => {
                Some("the CUDA driver answers only while there is a context")
            }
            (None, _) if matches!(phase, Phase::Checked | Phase::Released) => Some("the card is not opened"),
            (None, _) => Some("the driver did not answer"),
        };
        let nvml_reason = match kind {
            DeviceKind::Cuda => NVML_NOT_ASKED,
            DeviceKind::Host => "a card made of host memory",
        };
        StepReport {
            step: phase.name().to_owned(),
            driver_used_bytes: used,
            driver_reason: reason.map(str::to_owned),
            nvml_used_bytes: None,
            nvml_reason: Some(nvml_reason.to_owned()),
        }
    };
    CardLoadReport {
        ordinal: card.identity.ordinal,
        name: card.identity.name.clone(),
        uuid: card.identity.uuid.map(|uuid| uuid.to_string()),
        total_bytes: card.identity.total,
        steps: card.memory.iter().map(step).collect(),
    }
}
