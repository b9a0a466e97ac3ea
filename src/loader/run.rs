//! A load from its first check to the release of the last card.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::check::{check, fill_runs};
use super::chunks::cut;
use super::device::{Arena, Cards, Device, DeviceError, DeviceKind, Runs};
use super::error::{FailedAt, LoadError, LoadFailure};
use super::host_memory;
use super::job::{Fault, Job};
use super::options::{LoadOptions, Verify};
use super::outcome::{DeviceOutcome, LoadOutcome, RankOutcome, Verification};
use super::progress::{Observer, Phase, Progress};
use super::reader::{Files, Storage};
use super::scatter::packs;
use super::staging::{StagingPlan, WorkerStaging};
use super::verify::verify;
use crate::placement::{Placement, RankPlacement};
use crate::units::Bytes;

/// Carries out a placement: reads each wanted byte of the files once, puts every rank's part on its card, and compares what arrived.
///
/// `progress` must have been made for the same placement. The cards hold the shards until [`Observer::holding`] returns; then everything is
/// freed. After a failure everything is freed too, and the observer hears of [`Phase::Freed`] and [`Phase::Released`].
///
/// # Errors
/// [`LoadFailure`] with what went wrong, where, and what had been done until then.
pub fn load(
    placement: &Placement,
    cards: &dyn Cards,
    storage: &dyn Storage,
    options: &LoadOptions,
    progress: &Progress,
    observer: &dyn Observer,
) -> Result<LoadOutcome, Box<LoadFailure>> {
    let mut run = Run {
        placement,
        cards,
        storage,
        options,
        progress,
        observer,
        held: Held::default(),
        outcome: empty_outcome(placement, cards.kind()),
    };
    let result = run.steps();
    run.release();
    let mut outcome = run.outcome;
    let now = progress.snapshot();
    outcome.read = now.read;
    for (rank, now) in outcome.ranks.iter_mut().zip(now.ranks) {
        (rank.placed, rank.compared) = (now.placed, now.compared);
    }
    match result {
        Ok(()) => Ok(outcome),
        Err(Fault(fault)) => {
            let (error, at) = *fault;
            Err(Box::new(LoadFailure { error, at, outcome }))
        }
    }
}

/// What a load holds, in the order in which it must go: buffers wait for copies out of them, arenas for copies into them, and both need
/// their card's context.
#[derive(Default)]
struct Held {
    staging: Vec<WorkerStaging>,
    arenas: Vec<Box<dyn Arena>>,
    pools: Vec<Box<dyn Arena>>,
    devices: BTreeMap<usize, Arc<dyn Device>>,
}

struct Run<'a> {
    placement: &'a Placement,
    cards: &'a dyn Cards,
    storage: &'a dyn Storage,
    options: &'a LoadOptions,
    progress: &'a Progress,
    observer: &'a dyn Observer,
    held: Held,
    outcome: LoadOutcome,
}

impl Run<'_> {
    fn steps(&mut self) -> Result<(), Fault> {
        check(self.placement, self.cards.len())?;
        let pack_below = self.options.pack_below.unwrap_or_else(|| self.cards.pack_below());
        let files = Files::open(self.storage, &self.placement.files).map_err(|error| {
            let file = Some(error.path().to_path_buf());
            Fault::new(error, FailedAt { file, ..FailedAt::default() })
        })?;
        let direct = files.direct();
        let plan = StagingPlan::divide(
            self.options.staging,
            self.options.worker_count(direct.0 > 0),
            packs(self.placement, pack_below),
            self.options.buffer.unwrap_or_else(|| best_buffer(self.cards, direct.0 > 0)),
        )?;
        let LoadOutcome { workers, buffer, staging, direct_files, .. } = &mut self.outcome;
        (*workers, *buffer, *staging) = (plan.workers, Bytes(plan.buffer as u64), plan.total());
        *direct_files = direct;
        self.check_host(plan.total())?;
        self.reached(Phase::Checked)?;

        self.open()?;
        self.reached(Phase::Opened)?;

        self.allocate()?;
        self.reached(Phase::Allocated)?;

        let Some(device) = self.held.devices.values().next() else {
            // No rank, no card: nothing to load.
            self.reached(Phase::Loaded)?;
            self.reached(Phase::Verified)?;
            return self.fill_up();
        };
        let staging = (0..plan.workers).map(|_| WorkerStaging::new(device.as_ref(), &plan));
        let mut staging = staging.collect::<Result<Vec<_>, _>>()?;
        let chunks = cut(self.placement, plan.buffer as u64);
        let finished: Vec<Mutex<Option<f64>>> = self.placement.ranks.iter().map(|_| Mutex::new(None)).collect();
        let held = std::mem::take(&mut self.held);
        let job = Job {
            placement: self.placement,
            files: &files,
            arenas: &held.arenas,
            chunks: &chunks,
            plan,
            pack_below,
            options: self.options,
            progress: self.progress,
            started: Instant::now(),
            finished: &finished,
        };
        let streamed = self.stream_and_verify(&job, &mut staging, &held.devices);
        self.held = Held { staging, ..held };
        streamed?;
        self.held.staging.clear();
        self.fill_up()
    }

    /// Allocates what an engine holds beside the weights, and holds all of it as long as the observer likes.
    fn fill_up(&mut self) -> Result<(), Fault> {
        self.allocate_pools(Phase::Pooled)?;
        self.reached(Phase::Pooled)?;
        self.allocate_pools(Phase::Peak)?;
        self.reached(Phase::Peak)?;
        self.observer.holding();
        Ok(())
    }

    /// One allocation for each tensor of the KV pool, or one for the workspace.
    fn allocate_pools(&mut self, phase: Phase) -> Result<(), Fault> {
        for (rank, outcome) in self.placement.ranks.iter().zip(&mut self.outcome.ranks) {
            let Some(device) = self.held.devices.get(&rank.device) else { continue };
            let (wanted, what) = match phase {
                Phase::Pooled => (rank.pool.cache.as_slice(), "KV cache"),
                _ => (rank.pool.workspace.as_slice(), "workspace of the activation peak"),
            };
            for (nth, bytes) in wanted.iter().enumerate() {
                let name = || match wanted.len() {
                    1 => what.to_owned(),
                    count => format!("{what}, allocation {} of {count}", nth + 1),
                };
                let pool = device.allocate(*bytes).map_err(|error| device_fault(error, rank, Some(name())))?;
                self.held.pools.push(pool);
                match phase {
                    Phase::Pooled => outcome.pooled += *bytes,
                    _ => outcome.workspace += *bytes,
                }
            }
        }
        Ok(())
    }

    fn stream_and_verify(
        &mut self,
        job: &Job<'_>,
        staging: &mut [WorkerStaging],
        devices: &BTreeMap<usize, Arc<dyn Device>>,
    ) -> Result<(), Fault> {
        let sent = job.stream(staging)?;
        for (rank, arena) in job.arenas.iter().enumerate() {
            arena.synchronize().map_err(|error| job.device_fault(error, rank, usize::MAX, None))?;
        }
        self.outcome.seconds = Some(job.started.elapsed().as_secs_f64());
        for (rank, finished) in self.outcome.ranks.iter_mut().zip(job.finished) {
            rank.seconds = *finished.lock().unwrap_or_else(PoisonError::into_inner);
        }
        self.unchanged(job)?;
        self.reached_with(Phase::Loaded, devices)?;

        if self.options.verify != Verify::None {
            let started = Instant::now();
            let findings = verify(job, staging, sent.as_ref())?;
            if let Some(first) = findings.mismatch(job) {
                // A file that was written to since would look like a fault of the card.
                self.unchanged(job)?;
                let at = FailedAt { rank: Some(first.rank), tensor: Some(first.tensor.clone()), file: None };
                let differing = findings.differing;
                return Err(Fault::new(LoadError::Mismatch { first, differing }, at));
            }
            self.outcome.verification = Some(Verification {
                mode: self.options.verify,
                compared: Bytes(findings.compared),
                read_again: Bytes(findings.read_again),
                seconds: started.elapsed().as_secs_f64(),
            });
        }
        self.reached_with(Phase::Verified, devices)
    }

    fn unchanged(&self, job: &Job<'_>) -> Result<(), Fault> {
        job.files.unchanged().map_err(|error| {
            let file = Some(error.path().to_path_buf());
            Fault::new(error, FailedAt { file, ..FailedAt::default() })
        })
    }

    /// Staging must fit the host, and so must the arenas of cards made of its memory.
    fn check_host(&self, staging: Bytes) -> Result<(), Fault> {
        let arenas: Bytes = match self.cards.kind() {
            DeviceKind::Host => self.placement.ranks.iter().map(|rank| rank.arena).sum(),
            DeviceKind::Cuda => Bytes::ZERO,
        };
        let need = arenas + staging;
        match host_memory::available() {
            Some(bound) if bound.available < need => Err(LoadError::HostMemory { need, bound }.into()),
            _ => Ok(()),
        }
    }

    /// Opens the cards that get a shard, and no other.
    fn open(&mut self) -> Result<(), Fault> {
        for rank in &self.placement.ranks {
            if self.held.devices.contains_key(&rank.device) {
                continue;
            }
            let fault = |error| device_fault(error, rank, None);
            let identity = self.cards.identity(rank.device).map_err(fault)?;
            let device = self.cards.open(rank.device).map_err(fault)?;
            self.held.devices.insert(rank.device, device);
            let not_asked = self.outcome.reached.iter().map(|&phase| (phase, None)).collect();
            self.outcome.devices.push(DeviceOutcome { device: rank.device, identity, memory: not_asked });
        }
        Ok(())
    }

    /// One arena for each rank, its padding and computed values queued as zeros.
    fn allocate(&mut self) -> Result<(), Fault> {
        for (rank, outcome) in self.placement.ranks.iter().zip(&mut self.outcome.ranks) {
            let Some(device) = self.held.devices.get(&rank.device) else { continue };
            let arena = device.allocate(rank.arena).map_err(|error| {
                let tensor = first_that_does_not_fit(rank, &error);
                device_fault(error, rank, tensor)
            })?;
            for tensor in &rank.tensors {
                for fill in &tensor.fills {
                    let runs = fill_runs(fill, tensor.bytes.0);
                    let in_arena = Runs { offset: tensor.offset + runs.offset, ..runs }.merged();
                    if in_arena.bytes() > 0 {
                        let fault = |error| device_fault(error, rank, Some(tensor.name.clone()));
                        arena.zero(in_arena).map_err(fault)?;
                        outcome.zeroed += Bytes(in_arena.bytes());
                    }
                }
            }
            self.held.arenas.push(arena);
        }
        Ok(())
    }

    /// Frees what is held, step by step, and tells of it.
    fn release(&mut self) {
        if !self.outcome.reached.contains(&Phase::Checked) {
            return;
        }
        self.held.staging.clear();
        self.held.arenas.clear();
        self.held.pools.clear();
        let devices = std::mem::take(&mut self.held.devices);
        self.note(Phase::Freed, &devices);
        drop(devices);
        self.note(Phase::Released, &BTreeMap::new());
    }

    fn reached(&mut self, phase: Phase) -> Result<(), Fault> {
        let devices = self.held.devices.clone();
        self.reached_with(phase, &devices)
    }

    /// Notes the end of a step; a load that was cancelled in it stops here.
    fn reached_with(&mut self, phase: Phase, devices: &BTreeMap<usize, Arc<dyn Device>>) -> Result<(), Fault> {
        self.note(phase, devices);
        if self.options.cancelled() { Err(LoadError::Cancelled.into()) } else { Ok(()) }
    }

    /// Asks the opened cards for their memory and tells the observer.
    fn note(&mut self, phase: Phase, devices: &BTreeMap<usize, Arc<dyn Device>>) {
        for outcome in &mut self.outcome.devices {
            let memory = devices.get(&outcome.device).and_then(|device| device.memory().ok());
            outcome.memory.push((phase, memory));
        }
        self.outcome.reached.push(phase);
        self.progress.end(phase);
        self.observer.reached(phase);
    }
}

/// The buffer that suits the cards; reads around the page cache have no read-ahead, and want to be long.
fn best_buffer(cards: &dyn Cards, direct: bool) -> Bytes {
    const DIRECT: Bytes = Bytes::mib(4);
    if direct { cards.best_buffer().max(DIRECT) } else { cards.best_buffer() }
}

fn device_fault(error: DeviceError, rank: &RankPlacement, tensor: Option<String>) -> Fault {
    Fault::new(error, FailedAt { rank: Some(rank.rank), tensor, file: None })
}

/// The arena is one allocation; the tensor that its free memory would have ended in says more to a person.
fn first_that_does_not_fit(rank: &RankPlacement, error: &DeviceError) -> Option<String> {
    let DeviceError::OutOfMemory { memory: Some(memory), .. } = error else { return None };
    let beyond =
        |tensor: &&crate::placement::PlacedTensor| tensor.offset.saturating_add(tensor.bytes.0) > memory.free.0;
    rank.tensors.iter().find(beyond).map(|tensor| tensor.name.clone())
}

fn empty_outcome(placement: &Placement, kind: DeviceKind) -> LoadOutcome {
    let mut ranks: Vec<_> = placement
        .ranks
        .iter()
        .map(|rank| RankOutcome {
            rank: rank.rank,
            device: rank.device,
            tensors: rank.tensors.len(),
            arena: rank.arena,
            file_bytes: Bytes::ZERO,
            placed: Bytes::ZERO,
            expected: Bytes::ZERO,
            zeroed: Bytes::ZERO,
            seconds: None,
            compared: Bytes::ZERO,
            pooled: Bytes::ZERO,
            workspace: Bytes::ZERO,
        })
        .collect();
    for destination in placement.reads.iter().flat_map(|read| &read.destinations) {
        if let Some(rank) = ranks.get_mut(destination.rank) {
            rank.file_bytes += Bytes(destination.copy.bytes());
        }
    }
    for (rank, now) in ranks.iter_mut().zip(Progress::new(placement).snapshot().ranks) {
        rank.expected = now.total;
    }
    LoadOutcome {
        kind,
        workers: 0,
        buffer: Bytes::ZERO,
        staging: Bytes::ZERO,
        direct_files: (0, 0),
        read: Bytes::ZERO,
        seconds: None,
        ranks,
        devices: Vec::new(),
        verification: None,
        reached: Vec::new(),
    }
}
