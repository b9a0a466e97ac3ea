//! The report of a load from what it measured.

use super::cards::Backend;
use super::watch::Nvml;
use crate::engines::Component;
use crate::loader::device::DeviceKind;
use crate::loader::{DeviceOutcome, LoadFailure, LoadOutcome, Phase, Verification};
use crate::planning::{Exercise, Planned, Reconciled};
use crate::report::{
    FailureReport, LoadReport, LoadedCard, LoadedRank, PhaseReport, PlanReport, ReadReport, Tool, VerificationReport,
};
use crate::units::{Bytes, Fraction};

/// Everything beside the outcome that the report needs.
pub(super) struct Loaded<'a> {
    /// The cards.
    pub backend: &'a Backend,
    /// NVML's readings.
    pub nvml: &'a Nvml,
    /// The plan.
    pub planned: &'a Planned,
    /// Largest difference that counts as agreement.
    pub tolerance: Fraction,
}

impl Loaded<'_> {
    /// The report of a finished or failed load.
    pub fn report(&self, plan: PlanReport, result: &Result<LoadOutcome, Box<LoadFailure>>) -> LoadReport {
        let (outcome, failure) = match result {
            Ok(outcome) => (outcome, None),
            Err(failure) => (&failure.outcome, Some(failure.as_ref())),
        };
        let lines: Vec<Reconciled> = if failure.is_none() {
            outcome.devices.iter().flat_map(|d| self.reconcile(d, outcome)).collect()
        } else {
            Vec::new()
        };
        let disagrees = lines.iter().any(|l| l.agrees() == Some(false) && l.what == WEIGHTS);
        let confirmed = failure.is_none() && !disagrees;
        LoadReport {
            schema: LoadReport::SCHEMA.to_owned(),
            tool: Tool::this(),
            confirmed,
            message: message(outcome, failure, disagrees),
            failure: failure.map(|failure| FailureReport {
                message: failure.to_string(),
                rank: failure.at.rank,
                tensor: failure.at.tensor.clone(),
                file: failure.at.file.as_ref().map(|f| f.display().to_string()),
                placed_bytes: outcome.placed(),
            }),
            plan,
            device: outcome.kind.name().to_owned(),
            device_reason: self.backend.reason.clone(),
            read: ReadReport {
                file_bytes: outcome.read,
                seconds: outcome.seconds,
                gigabytes_per_second: outcome.gigabytes_per_second(),
                staging_bytes: outcome.staging,
                buffer_bytes: outcome.buffer,
                workers: u32::try_from(outcome.workers).unwrap_or(u32::MAX),
                direct_files: u32::try_from(outcome.direct_files.0).unwrap_or(u32::MAX),
                buffered_files: u32::try_from(outcome.direct_files.1.saturating_sub(outcome.direct_files.0))
                    .unwrap_or(u32::MAX),
            },
            ranks: self.ranks(outcome),
            cards: outcome.devices.iter().map(|device| self.card(device)).collect(),
            verification: verification(outcome.verification.as_ref()),
            reconciliation: lines.into_iter().map(Into::into).collect(),
            warnings: self.backend.warnings.clone(),
        }
    }

    fn ranks(&self, outcome: &LoadOutcome) -> Vec<LoadedRank> {
        let device = |index: usize| {
            let known = outcome.devices.iter().find(|d| d.device == index);
            known.map_or_else(|| format!("card {index}"), |d| d.identity.to_string())
        };
        outcome
            .ranks
            .iter()
            .zip(&self.planned.plan.ranks)
            .map(|(rank, planned)| LoadedRank {
                rank: rank.rank,
                device: device(rank.device),
                tensors: rank.tensors as u64,
                predicted_bytes: planned.tensors.constructed,
                placed_bytes: rank.placed,
                zeroed_bytes: rank.zeroed,
                arena_bytes: rank.arena,
                seconds: rank.seconds,
                gigabytes_per_second: rank.gigabytes_per_second(),
                compared_bytes: rank.compared,
                // A mismatch ends the load, so what was compared of a finished load was equal.
                verified: outcome.verification.as_ref().and_then(|_| (rank.compared > Bytes::ZERO).then_some(true)),
            })
            .collect()
    }

    fn card(&self, device: &DeviceOutcome) -> LoadedCard {
        let phases = device
            .memory
            .iter()
            .map(|(phase, memory)| {
                let nvml = self.nvml.used(*phase, device.identity.uuid);
                PhaseReport {
                    phase: phase.name().to_owned(),
                    driver_used_bytes: memory.map(|m| m.used()),
                    driver_used_reason: memory.is_none().then(|| "there is no context to ask in".to_owned()),
                    nvml_used_bytes: nvml.as_ref().ok().copied(),
                    nvml_used_reason: nvml.err(),
                }
            })
            .collect();
        LoadedCard {
            device: device.identity.to_string(),
            name: device.identity.name.clone(),
            uuid: device.identity.uuid.map(|u| u.to_string()),
            capacity_bytes: device.identity.total,
            phases,
        }
    }

    /// Predicted against observed on one card: its arenas and its context, and the lines that only an engine would create.
    fn reconcile(&self, device: &DeviceOutcome, outcome: &LoadOutcome) -> Vec<Reconciled> {
        let own: Vec<_> = outcome
            .ranks
            .iter()
            .zip(&self.planned.plan.ranks)
            .filter(|(rank, _)| rank.device == device.device)
            .map(|(_, planned)| planned)
            .collect();
        let used = |phase: Phase| device.at(phase).map(|m| m.used());
        let grown = |from: Option<Bytes>, to: Option<Bytes>| Some(to?.saturating_sub(from?));
        let line = |what, predicted, observed: Option<Bytes>, exercise| Reconciled {
            device: device.identity.to_string(),
            what,
            predicted,
            observed,
            exercise,
            tolerance: self.tolerance,
        };
        let sum = |component| own.iter().map(|rank| rank.expected(component)).sum::<Bytes>();
        let constructed = own.iter().map(|rank| rank.tensors.constructed).sum();
        let mut lines =
            vec![line(WEIGHTS, constructed, grown(used(Phase::Opened), used(Phase::Loaded)), Exercise::Observed)];
        if outcome.kind == DeviceKind::Cuda {
            let nvml = |phase| self.nvml.used(phase, device.identity.uuid).ok();
            let context = grown(nvml(Phase::Checked), nvml(Phase::Opened));
            let planned = own.first().map_or(Bytes::ZERO, |rank| rank.expected(Component::Context));
            lines.push(line("context", planned, context, Exercise::NotExercised));
        }
        for (what, component) in [
            ("KV cache", Component::KvCache),
            ("activation", Component::Activation),
            ("CUDA graphs", Component::CudaGraph),
            ("communication", Component::Communication),
        ] {
            let predicted = sum(component);
            if predicted > Bytes::ZERO {
                lines.push(line(what, predicted, None, Exercise::NotExercised));
            }
        }
        lines
    }
}

/// The line that decides.
const WEIGHTS: &str = "weights as constructed";

fn message(outcome: &LoadOutcome, failure: Option<&LoadFailure>, disagrees: bool) -> String {
    let placed = outcome.placed();
    match (failure, outcome.kind) {
        (Some(failure), _) => format!("not confirmed: {failure}"),
        (None, _) if disagrees => format!("loaded, but the driver's account differs from the plan ({placed} placed)"),
        (None, DeviceKind::Cuda) => format!("confirmed: every shard is on its card ({placed} placed)"),
        (None, DeviceKind::Host) => format!(
            "confirmed on host memory: every byte has its place ({placed} placed); that a GPU holds them is not proven"
        ),
    }
}

fn verification(verification: Option<&Verification>) -> VerificationReport {
    match verification {
        Some(v) => VerificationReport {
            mode: v.mode.name().to_owned(),
            verified: (v.compared > Bytes::ZERO).then_some(true),
            compared_bytes: v.compared,
            seconds: Some(v.seconds),
        },
        None => {
            VerificationReport { mode: "none".to_owned(), verified: None, compared_bytes: Bytes::ZERO, seconds: None }
        }
    }
}
