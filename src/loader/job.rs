//! What all workers of a load share, and how they are run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::chunks::Chunk;
use super::device::{Arena, DeviceError};
use super::error::{FailedAt, LoadError};
use super::options::{LoadOptions, Verify};
use super::progress::Progress;
use super::reader::{Files, ReadError};
use super::scatter::{Piece, pieces_of, scatter};
use super::staging::{NO_BUFFER, Slot, StagingPlan, Unsent, WorkerStaging};
use super::sums::Sums;
use crate::placement::Placement;

/// What went wrong in a step, and where.
#[derive(Debug)]
pub(super) struct Fault(pub(super) Box<(LoadError, FailedAt)>);

impl Fault {
    pub(super) fn new(error: impl Into<LoadError>, at: FailedAt) -> Self {
        Self(Box::new((error.into(), at)))
    }
}

impl<E: Into<LoadError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::new(error, FailedAt::default())
    }
}

/// What all workers of a load share.
pub(super) struct Job<'a> {
    pub(super) placement: &'a Placement,
    pub(super) files: &'a Files<'a>,
    /// One for each rank.
    pub(super) arenas: &'a [Box<dyn Arena>],
    pub(super) chunks: &'a [Chunk],
    pub(super) plan: StagingPlan,
    pub(super) pack_below: u64,
    pub(super) options: &'a LoadOptions,
    pub(super) progress: &'a Progress,
    /// Start of the stream, and for each rank the seconds from there to its last byte.
    pub(super) started: Instant,
    pub(super) finished: &'a [Mutex<Option<f64>>],
}

impl Job<'_> {
    pub(super) fn device_fault(&self, error: DeviceError, rank: usize, tensor: usize, file: Option<usize>) -> Fault {
        let rank = &self.placement.ranks[rank];
        let tensor = rank.tensors.get(tensor).map(|tensor| tensor.name.clone());
        let file = file.map(|file| self.files.path(file).to_path_buf());
        Fault::new(error, FailedAt { rank: Some(rank.rank), tensor, file })
    }

    /// A read of the placement failed: the tensor by its name in the checkpoint, the rank where only one wants it.
    pub(super) fn read_fault(&self, error: ReadError, read: usize) -> Fault {
        let read = &self.placement.reads[read];
        let mut ranks: Vec<_> = read.destinations.iter().map(|to| self.placement.ranks[to.rank].rank).collect();
        ranks.dedup();
        let rank = if let [rank] = ranks[..] { Some(rank) } else { None };
        let file = Some(error.path().to_path_buf());
        Fault::new(error, FailedAt { rank, tensor: Some(read.tensor.clone()), file })
    }

    /// Waits for all copies out of a slot and counts them.
    pub(super) fn drain(&self, slot: &mut Slot) -> Result<(), Fault> {
        slot.drain(|rank, bytes| self.arrived(rank, bytes)).map_err(|unsent| self.unsent(unsent))
    }

    fn unsent(&self, Unsent { error, rank, tensor, file }: Unsent) -> Fault {
        self.device_fault(error, rank, tensor, Some(file))
    }

    fn arrived(&self, rank: usize, bytes: u64) {
        let complete = self.progress.add_placed(rank, bytes).is_some_and(|now| now.placed >= now.total);
        if let (true, Some(finished)) = (complete, self.finished.get(rank)) {
            let seconds = self.started.elapsed().as_secs_f64();
            *finished.lock().unwrap_or_else(PoisonError::into_inner) = Some(seconds);
        }
    }

    /// Reads all chunks and sends their parts to the ranks, with as many workers as there is staging for. Returns the checksums of what was
    /// sent, where they are to be compared.
    pub(super) fn stream(&self, staging: &mut [WorkerStaging]) -> Result<Option<Sums>, Fault> {
        let sums = (self.options.verify == Verify::Checksum).then(|| Mutex::new(Sums::new(self.placement)));
        run_workers(self.options, staging, self.chunks.len(), |staging, items| {
            let mut ranks: Vec<Vec<Piece>> = Vec::new();
            let mut own = sums.as_ref().map(|_| Sums::new(self.placement));
            while let Some(item) = items.take() {
                let chunk = &self.chunks[item];
                let WorkerStaging { read, pack } = staging;
                let slot = read.take_turn().ok_or(NO_BUFFER)?;
                self.drain(slot)?;
                let buffer = slot.exclusive().ok_or(NO_BUFFER)?.bytes_mut();
                self.files
                    .read_range(chunk.file, &chunk.bytes, buffer)
                    .map_err(|error| self.read_fault(error, chunk.reads.start))?;
                self.progress.add_read(chunk.len() as u64);
                pieces_of(self.placement, chunk, &mut ranks);
                scatter(self, chunk, &ranks, slot, pack, own.as_mut())?;
            }
            if let (Some(sums), Some(own)) = (&sums, &own) {
                sums.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
            }
            staging.drain(|rank, bytes| self.arrived(rank, bytes)).map_err(|unsent| self.unsent(unsent))
        })?;
        Ok(sums.map(|sums| sums.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Work items handed out in order, until there are none, one has failed or the load is cancelled.
pub(super) struct Items<'a> {
    next: AtomicUsize,
    count: usize,
    stop: AtomicBool,
    options: &'a LoadOptions,
}

impl Items<'_> {
    pub(super) fn take(&self) -> Option<usize> {
        if self.stop.load(Ordering::Relaxed) || self.options.cancelled() {
            return None;
        }
        let item = self.next.fetch_add(1, Ordering::Relaxed);
        (item < self.count).then_some(item)
    }
}

/// Runs one worker for each staging on `count` items. The first fault stops all; a cancelled load is a fault too.
pub(super) fn run_workers(
    options: &LoadOptions,
    staging: &mut [WorkerStaging],
    count: usize,
    work: impl Fn(&mut WorkerStaging, &Items<'_>) -> Result<(), Fault> + Sync,
) -> Result<(), Fault> {
    let items = Items { next: AtomicUsize::new(0), count, stop: AtomicBool::new(false), options };
    let first_fault: Mutex<Option<Fault>> = Mutex::new(None);
    let failed = |fault: Fault| {
        items.stop.store(true, Ordering::Relaxed);
        first_fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for staging in staging {
            let body = || work(staging, &items).unwrap_or_else(failed);
            match std::thread::Builder::new().name("shardfit-load".to_owned()).spawn_scoped(scope, body) {
                Ok(thread) => threads.push(thread),
                // Fewer workers do the same work.
                Err(_) if !threads.is_empty() => break,
                Err(error) => failed(LoadError::Thread(error).into()),
            }
        }
        for thread in threads {
            if thread.join().is_err() {
                failed(LoadError::Internal("a reading thread ended unexpectedly").into());
            }
        }
    });
    match first_fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(fault) => Err(fault),
        None if options.cancelled() => Err(LoadError::Cancelled.into()),
        None => Ok(()),
    }
}
