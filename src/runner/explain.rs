//! The diagnosis of the output, corrected by what the recording shows: a log names what was asked for and what was free, and not who
//! took the rest a moment before.

use super::{Observation, ObservationKind};
use crate::engines::Cause;
use crate::oom::{Confidence, RepairKind};
use crate::report::{DiagnosisReport, EvidenceReport, FindingReport, PlanReport, RejectedCauseReport, RepairReport};
use crate::units::Bytes;

/// What evidence from the recording names as its file.
const RECORDING: &str = "<recording>";
/// Where the output gives no figures, a neighbour explains a failure from this size on.
const LARGE: Bytes = Bytes::gib(1);

/// Causes that more free memory would have spared. Structural ones (weights that never fit, one card used of many) are not among them.
const SPARED: [Cause; 12] = [
    Cause::ActivationOrLogitsPeak,
    Cause::NoMemoryLeftForKv,
    Cause::KvCacheTooSmallForMaxLen,
    Cause::CudaGraphCapture,
    Cause::SamplerWarmup,
    Cause::Fragmentation,
    Cause::ConversionOrLoadTransient,
    Cause::NcclOrLibraryWorkspace,
    Cause::ComputeBuffer,
    Cause::MultimodalProfiling,
    Cause::MemoryLeakGrowth,
    Cause::Unknown,
];

/// Lays the observations beside the findings of a command that failed. Where one of them explains the first finding, it becomes the cause
/// and the finding's own becomes a rival that lost, with its repairs kept. `masked` is whether the command sees other card numbers than
/// the driver.
pub fn explain(diagnosis: &mut DiagnosisReport, observations: &[Observation], plan: Option<&PlanReport>, masked: bool) {
    let Some(first) = diagnosis.findings.first_mut() else {
        // Silence about memory: only what leaves little doubt is told as a cause.
        if let Some(seen) = observations.iter().find(|seen| seen.kind == ObservationKind::SharedPoolExhausted) {
            diagnosis.findings.push(finding(seen, Confidence::Medium));
        }
        return;
    };
    let here = |seen: &&Observation| {
        let same = first.device.is_none_or(|device| device == seen.card.index);
        masked || same || seen.kind == ObservationKind::SharedPoolExhausted
    };
    let by_cause = observations.iter().filter(here).find(|seen| seen.kind.cause() == first.cause);
    if let Some(seen) = by_cause {
        first.evidence.push(evidence(seen));
        first.confidence = Confidence::High;
        first.repairs.splice(0..0, repair(seen));
        return;
    }
    let fits_alone = plan.is_none_or(|plan| {
        plan.verdict.state != "does_not_fit" || plan.verdict.cause == Some(Cause::OtherProcessOnGpu)
    });
    if !SPARED.contains(&first.cause) || !fits_alone {
        return;
    }
    let lacking =
        first.budget.as_ref().and_then(|budget| Some(budget.requested_bytes?.saturating_sub(budget.free_bytes?)));
    // What a neighbour released was missing to nobody, unless the output says so itself.
    let takes = |seen: &&Observation| seen.kind != ObservationKind::NeighbourReleased;
    let suffices = |seen: &&Observation| match seen.kind {
        ObservationKind::SharedPoolExhausted => true,
        _ => lacking.map_or(seen.bytes >= LARGE, |lacking| seen.bytes >= lacking),
    };
    let Some(seen) = observations.iter().filter(here).filter(takes).find(suffices) else { return };
    let confidence = if lacking.is_some() { Confidence::High } else { Confidence::Medium };
    let without = match lacking {
        Some(lacking) => {
            format!("{lacking} more would have been enough, and without it there would have been {} more", seen.bytes)
        }
        None => format!("without it there would have been {} more", seen.bytes),
    };
    let lost = RejectedCauseReport { cause: first.cause, why: without };
    let new = finding(seen, confidence);
    let why = format!("{}; {}", new.why, lost.why);
    first.rejected.insert(0, lost);
    first.evidence.insert(0, evidence(seen));
    first.repairs.splice(0..0, new.repairs);
    (first.cause, first.confidence, first.why) = (new.cause, confidence, why);
}

/// Takes back that the host ran out of memory where a bare SIGKILL is all that speaks for it and the kernel's own count says that it killed
/// nobody meanwhile: a person, a supervisor or a scheduler did.
pub fn doubt_the_kernel(diagnosis: &mut DiagnosisReport, kernel_kills: Option<u64>) {
    let Some(first) = diagnosis.findings.first_mut() else { return };
    if kernel_kills != Some(0) || first.cause != Cause::HostRamExhausted || first.confidence == Confidence::High {
        return;
    }
    let lost = "the kernel counts no process that it killed for want of memory while the command ran".to_owned();
    first.rejected.insert(0, RejectedCauseReport { cause: first.cause, why: lost });
    first.cause = Cause::Unknown;
    first.confidence = Confidence::Low;
    first.why = "the process was killed from outside (SIGKILL), and not by the kernel for want of memory: by a person, a supervisor or a \
                 scheduler"
        .to_owned();
    first.repairs.clear();
    first.rejected_repairs.clear();
}

/// A finding that rests on the recording alone.
fn finding(seen: &Observation, confidence: Confidence) -> FindingReport {
    FindingReport {
        cause: seen.kind.cause(),
        confidence,
        why: seen.text.clone(),
        device: Some(seen.card.index),
        rank: None,
        stage: None,
        fields: Default::default(),
        evidence: vec![evidence(seen)],
        budget: None,
        fingerprint: Vec::new(),
        rejected: Vec::new(),
        repairs: repair(seen).into_iter().collect(),
        rejected_repairs: Vec::new(),
    }
}

fn evidence(seen: &Observation) -> EvidenceReport {
    // A recording has no lines: the second in which it was seen is where to look.
    EvidenceReport { file: RECORDING.to_owned(), line: seen.at.as_secs(), text: seen.text.clone() }
}

fn repair(seen: &Observation) -> Option<RepairReport> {
    let (change, price) = match (seen.kind, seen.pid) {
        (ObservationKind::Orphan, Some(pid)) => {
            (format!("end process {pid}, whose engine is gone (`kill {pid}`)"), "none: nobody uses it".to_owned())
        }
        (ObservationKind::SharedPoolExhausted, _) => (
            "leave the host more of the pool: fewer other programs, or a smaller share for the engine".to_owned(),
            "memory that the engine or the programs had".to_owned(),
        ),
        (ObservationKind::NeighbourReleased, _) => (
            "start the command again when its neighbours are at rest".to_owned(),
            "time".to_owned(),
        ),
        (_, Some(pid)) => (
            format!("end process {pid}, or put it or the command on another card (`CUDA_VISIBLE_DEVICES`)"),
            "that process's work, or a card".to_owned(),
        ),
        (_, None) => (
            "find who else uses the card (other containers are not listed), or take another card (`CUDA_VISIBLE_DEVICES`)"
                .to_owned(),
            "a card".to_owned(),
        ),
    };
    Some(RepairReport {
        kind: RepairKind::FreeCard,
        change,
        flags: Vec::new(),
        confirmed: false,
        predicted: None,
        price,
        reason: Some("what other processes hold is theirs to change: nothing to plan again with".to_owned()),
        command: None,
    })
}
