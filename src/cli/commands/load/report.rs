//! The report of a load from what it measured.

use super::cards::Backend;
use super::nvml::{CardReading, Nvml};
use crate::engines::Component;
use crate::hardware::MemoryState;
use crate::loader::device::DeviceKind;
use crate::loader::{DeviceOutcome, LoadFailure, LoadOutcome, Phase, Verification};
use crate::placement::{Placement, With};
use crate::planning::{CardAccount, CardPrediction, CardSteps, Planned, Reconciled, Seen, findings};
use crate::report::{
    BaselineReport, FailureReport, HolderReport, LoadReport, LoadedCard, LoadedRank, PhaseReport, PlanReport,
    ReadReport, Tool, VerificationReport,
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
    /// What was carried out.
    pub placement: &'a Placement,
    /// Largest difference that counts as agreement.
    pub tolerance: Fraction,
    /// What was put on the cards.
    pub with: With,
    /// Whether the bytes were generated.
    pub synthetic: bool,
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
        let accounts: Vec<CardAccount> = outcome.devices.iter().map(|device| self.account(device)).collect();
        let disagrees = lines.iter().any(|line| line.status() == "disagrees");
        let confirmed = failure.is_none() && !disagrees;
        LoadReport {
            schema: LoadReport::SCHEMA.to_owned(),
            tool: Tool::this(),
            confirmed,
            message: self.message(outcome, failure, disagrees),
            with: self.with.name().to_owned(),
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
                source: if self.synthetic { "generated" } else { "files" }.to_owned(),
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
            findings: findings(&accounts, self.tolerance),
            warnings: self.warnings(),
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
            .zip(&self.placement.ranks)
            .map(|((rank, planned), placed)| LoadedRank {
                rank: rank.rank,
                device: device(rank.device),
                tensors: rank.tensors as u64,
                predicted_bytes: planned.tensors.constructed,
                placed_bytes: rank.placed,
                zeroed_bytes: rank.zeroed,
                arena_bytes: rank.arena,
                kv_cache_bytes: rank.pooled,
                kv_cache_allocations: if rank.pooled > Bytes::ZERO { placed.pool.cache.len() as u64 } else { 0 },
                workspace_bytes: rank.workspace,
                seconds: rank.seconds,
                gigabytes_per_second: rank.gigabytes_per_second(),
                compared_bytes: rank.compared,
                // A mismatch ends the load, so what was compared of a finished load was equal.
                verified: outcome.verification.as_ref().and_then(|_| (rank.compared > Bytes::ZERO).then_some(true)),
            })
            .collect()
    }

    fn card(&self, device: &DeviceOutcome) -> LoadedCard {
        let phases: Vec<PhaseReport> = device
            .memory
            .iter()
            .map(|(phase, memory)| {
                let nvml = self.nvml.card(*phase, device.identity.uuid);
                let reading = nvml.as_ref().map_err(String::as_str).and_then(|card| card.memory);
                let own = nvml.as_ref().map_err(String::as_str).and_then(|card| card.own);
                let memory_told = reading.ok();
                PhaseReport {
                    phase: phase.name().to_owned(),
                    driver_total_bytes: memory.map(|m| m.total),
                    driver_free_bytes: memory.map(|m| m.free),
                    driver_used_bytes: memory.map(|m| m.used()),
                    driver_used_reason: memory.is_none().then(|| "there is no context to ask in".to_owned()),
                    nvml_used_bytes: memory_told.map(|m| m.used),
                    nvml_used_reason: reading.err().map(str::to_owned),
                    nvml_total_bytes: memory_told.map(|m| m.total),
                    nvml_reserved_bytes: memory_told.and_then(|m| m.reserved.known()),
                    own_bytes: own.ok(),
                    own_reason: own.err().map(str::to_owned),
                }
            })
            .collect();
        LoadedCard {
            device: device.identity.to_string(),
            name: device.identity.name.clone(),
            uuid: device.identity.uuid.map(|u| u.to_string()),
            capacity_bytes: device.identity.total,
            baseline: baseline(self.nvml.card(Phase::Checked, device.identity.uuid)),
            peak_used_bytes: phases.iter().filter_map(|p| p.nvml_used_bytes.or(p.driver_used_bytes)).max(),
            phases,
        }
    }

    /// What all accounts showed of a card at the end of a step.
    fn seen(&self, device: &DeviceOutcome, phase: Phase) -> Seen {
        let nvml = self.nvml.card(phase, device.identity.uuid).ok();
        // A driver that does not tell the reserved part apart counts it as used.
        let used = |memory: MemoryState| match memory.cuda_total() {
            Some(_) => memory.used,
            None => memory.used.saturating_sub(memory.total.saturating_sub(device.identity.total)),
        };
        Seen {
            driver: device.at(phase).map(|memory| memory.used()),
            nvml: nvml.as_ref().and_then(|card| card.memory.ok()).map(used),
            own: nvml.and_then(|card| card.own.ok()),
        }
    }

    /// Predicted against observed on one card: what the load created, and the lines that only an engine would create.
    fn reconcile(&self, device: &DeviceOutcome, outcome: &LoadOutcome) -> Vec<Reconciled> {
        let steps = CardSteps {
            before: self.seen(device, Phase::Checked),
            context: self.seen(device, Phase::Opened),
            weights: self.seen(device, Phase::Verified),
            kv: self.seen(device, Phase::Pooled),
            peak: self.seen(device, Phase::Peak),
        };
        self.prediction(device, outcome.kind).reconcile(&steps, self.tolerance)
    }

    /// What the plan says of a card, its ranks together.
    fn prediction(&self, device: &DeviceOutcome, kind: DeviceKind) -> CardPrediction {
        let ranks = self.placement.ranks.iter().zip(&self.planned.plan.ranks);
        let own: Vec<_> = ranks.filter(|(rank, _)| rank.device == device.device).collect();
        let sum = |component| own.iter().map(|(_, planned)| planned.expected(component)).sum::<Bytes>();
        let cuda = kind == DeviceKind::Cuda;
        let context = own.first().map(|(_, planned)| planned.expected(Component::Context));
        CardPrediction {
            device: device.identity.to_string(),
            bare_context: self.backend.bare_context(device.device).filter(|_| cuda),
            engine_context: context.filter(|_| cuda),
            weights: own.iter().map(|(_, planned)| planned.tensors.constructed).sum(),
            arenas: own.len() as u64,
            kv: sum(Component::KvCache),
            kv_allocations: own.iter().map(|(rank, _)| rank.pool.cache.len() as u64).sum(),
            activation: sum(Component::Activation),
            workspace: own.iter().any(|(rank, _)| rank.pool.workspace.is_some()),
            engine_only: vec![
                ("CUDA graphs", sum(Component::CudaGraph)),
                ("communication", sum(Component::Communication)),
                ("allocator", sum(Component::Allocator)),
            ],
        }
    }

    /// A card's account from before the load to after it.
    fn account(&self, device: &DeviceOutcome) -> CardAccount {
        let reading = |phase| self.nvml.card(phase, device.identity.uuid).ok();
        let before = reading(Phase::Checked);
        // A load that failed has its last full step before the freeing.
        let last = device.memory.iter().map(|(phase, _)| *phase).rfind(|phase| *phase < Phase::Freed);
        let last = last.unwrap_or(Phase::Checked);
        let holders = |card: Option<&CardReading>| card.map(|card| card.others.clone()).unwrap_or_default();
        let holders_before = holders(before.as_ref());
        let mut holders_peak = holders(reading(last).as_ref());
        if reading(last).is_some_and(|card| card.own.is_err()) {
            // Our own process is in the list under a name that we do not know.
            holders_peak.retain(|holder| holders_before.iter().any(|old| old.pid == holder.pid));
        }
        let kind = device.identity.kind;
        CardAccount {
            device: device.identity.to_string(),
            planned: self.prediction(device, kind).created(),
            driver_total: (kind == DeviceKind::Cuda).then_some(device.identity.total),
            nvml_total: before.as_ref().and_then(|card| card.memory.ok()).and_then(|memory| memory.cuda_total()),
            before: self.seen(device, Phase::Checked),
            peak: self.seen(device, last),
            released: self.seen(device, Phase::Released),
            holders_before,
            holders_peak,
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.backend.warnings.clone();
        if self.synthetic {
            warnings.push("the bytes are generated: placement and sizes are shown, no checkpoint was read".to_owned());
        }
        warnings
    }

    fn message(&self, outcome: &LoadOutcome, failure: Option<&LoadFailure>, disagrees: bool) -> String {
        let placed = outcome.placed();
        let beside: Bytes = outcome.ranks.iter().map(|rank| rank.pooled + rank.workspace).sum();
        let beside = match self.with {
            With::Weights => String::new(),
            With::Kv => format!(", {beside} of KV pool"),
            With::All => format!(", {beside} of KV pool and workspace"),
        };
        match (failure, outcome.kind) {
            (Some(failure), _) => format!("not confirmed: {failure}"),
            (None, _) if disagrees => {
                format!("loaded, but the driver's account differs from the plan ({placed} placed{beside})")
            }
            (None, DeviceKind::Cuda) => format!("confirmed: every shard is on its card ({placed} placed{beside})"),
            (None, DeviceKind::Host) => format!(
                "confirmed on host memory: every byte has its place ({placed} placed{beside}); that a GPU holds them is not proven"
            ),
        }
    }
}

fn baseline(before: Result<CardReading, String>) -> BaselineReport {
    let reading = before.as_ref().map_err(String::as_str).and_then(|card| card.memory);
    let card = before.as_ref().ok();
    BaselineReport {
        used_bytes: reading.ok().map(|memory| memory.used),
        used_reason: reading.err().map(str::to_owned),
        unlisted_bytes: card.and_then(|card| card.unlisted),
        processes: card.map(|card| card.others.iter().map(HolderReport::from).collect()).unwrap_or_default(),
        nvml_cuda_total_bytes: reading.ok().and_then(|memory| memory.cuda_total()),
        mig_slice: card.and_then(|card| card.slice.clone()).map(|(name, _)| name),
        mig_card: card.and_then(|card| card.slice.clone()).map(|(_, index)| index),
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
