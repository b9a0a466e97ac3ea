//! Reads back what arrived and compares it with the files.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::cast::Cast;
use super::chunks::cast_of;
use super::device::Runs;
use super::error::LoadError;
use super::job::{Fault, Job, run_workers};
use super::options::Verify;
use super::padding::{ZeroRuns, zero_runs};
use super::pieces::{portions, target_bytes};
use super::sample::samples;
use super::scatter::{Piece, pack_rows, pieces_of};
use super::staging::{NO_BUFFER, StagingBuffer, WorkerStaging};
use super::sums::{self, Sums, TensorAt};
use crate::placement::{Destination, SourceRead, StridedCopy};

/// A byte on a card that is not what its file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Global rank.
    pub rank: u32,
    /// Tensor, as the engine names it.
    pub tensor: String,
    /// Byte of the tensor.
    pub offset: u64,
    /// What should be there.
    pub expected: u8,
    /// What is there.
    pub found: u8,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, tensor, offset, expected, found } = self;
        write!(
            f,
            "tensor `{tensor}` of rank {rank} is wrong on its card at byte {offset}: {found:#04x} instead of {expected:#04x}"
        )
    }
}

/// What one comparison found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Bytes compared.
    pub(super) compared: u64,
    /// Bytes read from files for it.
    pub(super) read_again: u64,
    /// Bytes that differ.
    pub(super) differing: u64,
    /// The first that differs: (rank index, tensor index, byte of the tensor), expected, found.
    first: Option<((usize, usize, u64), u8, u8)>,
}

impl Findings {
    fn merge(&mut self, other: Self) {
        self.compared += other.compared;
        self.read_again += other.read_again;
        self.differing += other.differing;
        self.first = self.first.into_iter().chain(other.first).min();
    }

    /// Compares packed runs of a tensor that starts at `tensor_start` in the arena.
    fn compare(&mut self, rank: usize, tensor: (usize, u64), runs: Runs, expected: &[u8], found: &[u8]) {
        self.compared += found.len() as u64;
        if expected == found {
            return;
        }
        for (index, (&expected, &found)) in (0_u64..).zip(expected.iter().zip(found)) {
            if expected != found {
                self.differing += 1;
                let in_arena = runs.offset + index / runs.width * runs.pitch + index % runs.width;
                let place = (rank, tensor.0, in_arena - tensor.1);
                if self.first.is_none_or(|(first, ..)| place < first) {
                    self.first = Some((place, expected, found));
                }
            }
        }
    }

    /// The first byte that differs, with names.
    pub(super) fn mismatch(&self, job: &Job<'_>) -> Option<Mismatch> {
        let ((rank, tensor, offset), expected, found) = self.first?;
        let rank = &job.placement.ranks[rank];
        let tensor = rank.tensors[tensor].name.clone();
        Some(Mismatch { rank: rank.rank, tensor, offset, expected, found })
    }
}

/// Compares what lies on the cards with the files, as much as `options.verify` asks for; `sent` are the checksums of what left.
pub(super) fn verify(job: &Job<'_>, staging: &mut [WorkerStaging], sent: Option<&Sums>) -> Result<Findings, Fault> {
    match (job.options.verify, sent) {
        (Verify::None, _) => Ok(Findings::default()),
        (Verify::Checksum, Some(sent)) => {
            let (compared, differing) = sums::read_back(job, staging, sent)?;
            let Some(&(rank, tensor)) = differing.first() else {
                return Ok(Findings { compared, ..Findings::default() });
            };
            // The sums name tensors; a comparison with the files names the byte.
            let findings = compare(job, staging, Verify::Full, Some(&|at| differing.contains(&at)))?;
            if findings.first.is_none() {
                let rank = &job.placement.ranks[rank];
                let (rank, tensor) = (rank.rank, rank.tensors[tensor].name.clone());
                return Err(LoadError::Checksum { rank, tensor }.into());
            }
            Ok(findings)
        }
        (mode, _) => compare(job, staging, mode, None),
    }
}

type Chosen<'a> = &'a (dyn Fn(TensorAt) -> bool + Sync);

/// Compares tensors with the files: all, or the chosen ones.
fn compare(
    job: &Job<'_>,
    staging: &mut [WorkerStaging],
    mode: Verify,
    only: Option<Chosen<'_>>,
) -> Result<Findings, Fault> {
    let zeros = zero_runs(job.placement);
    let reads = if mode == Verify::Full { job.chunks.len() } else { job.placement.reads.len() };
    let all = Mutex::new(Findings::default());
    run_workers(job.options, staging, reads + zeros.len(), |staging, items| {
        let mut compare = Comparison { job, only, findings: Findings::default() };
        let mut ranks = Vec::new();
        while let Some(item) = items.take() {
            if let Some(zero) = item.checked_sub(reads) {
                compare.zeros(zeros[zero], staging, mode)?;
            } else if mode == Verify::Full {
                compare.chunk(item, &mut ranks, staging)?;
            } else {
                compare.samples_of(item, staging)?;
            }
        }
        all.lock().unwrap_or_else(PoisonError::into_inner).merge(compare.findings);
        Ok(())
    })?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Comparison<'j, 'a> {
    job: &'j Job<'a>,
    only: Option<Chosen<'j>>,
    findings: Findings,
}

impl Comparison<'_, '_> {
    fn is_chosen(&self, tensor: TensorAt) -> bool {
        self.only.is_none_or(|chosen| chosen(tensor))
    }

    /// Every byte of a chunk.
    fn chunk(&mut self, chunk: usize, ranks: &mut Vec<Vec<Piece>>, staging: &mut WorkerStaging) -> Result<(), Fault> {
        let chunk = &self.job.chunks[chunk];
        let mut targets = self.job.placement.reads[chunk.reads.clone()].iter().flat_map(|read| &read.destinations);
        if !targets.any(|to| self.is_chosen((to.rank, to.tensor))) {
            return Ok(());
        }
        let WorkerStaging { read, pack } = staging;
        let (file, card) = read.pair().ok_or(NO_BUFFER)?;
        self.job
            .files
            .read_range(chunk.file, &chunk.bytes, file.bytes_mut())
            .map_err(|error| self.job.read_fault(error, chunk.reads.start))?;
        self.findings.read_again += chunk.len() as u64;
        pieces_of(self.job.placement, chunk, ranks);
        for (rank, pieces) in ranks.iter().enumerate() {
            for piece in pieces {
                if self.is_chosen((rank, piece.tensor)) {
                    self.piece(rank, piece, file.bytes(), card, pack.first())?;
                }
            }
        }
        Ok(())
    }

    /// Samples of every part of one read.
    fn samples_of(&mut self, index: usize, staging: &mut WorkerStaging) -> Result<(), Fault> {
        let read: &SourceRead = &self.job.placement.reads[index];
        let WorkerStaging { read: buffers, pack } = staging;
        let (file, card) = buffers.pair().ok_or(NO_BUFFER)?;
        for destination in &read.destinations {
            let Destination { rank, tensor, copy, cast } = *destination;
            let (cast, largest) = (cast_of(cast), file.bytes().len() as u64);
            let seed = read.range.offset ^ ((rank as u64) << 48) ^ ((read.range.file as u64) << 32);
            for sample in samples(&copy, cast, largest, seed) {
                let span = Runs::source_of(&sample);
                let len = span.end().map_or(0, |end| end - span.offset) as usize;
                let start = read.range.offset + sample.source_offset;
                self.read(read.range.file, start, &mut file.bytes_mut()[..len], index)?;
                let arena_offset = self.job.placement.ranks[rank].tensors[tensor].offset;
                let target_offset = arena_offset + sample.target_offset;
                let copy = StridedCopy { source_offset: 0, target_offset, ..sample };
                self.piece(rank, &Piece { tensor, copy, cast }, file.bytes(), card, pack.first())?;
            }
        }
        Ok(())
    }

    fn read(&mut self, file: usize, offset: u64, buffer: &mut [u8], read: usize) -> Result<(), Fault> {
        self.job.files.read(file, offset, buffer).map_err(|error| self.job.read_fault(error, read))?;
        self.findings.read_again += buffer.len() as u64;
        Ok(())
    }

    /// One piece whose source bytes lie in `file`: `card` takes what is read back, `converted` what should be there.
    fn piece(
        &mut self,
        rank: usize,
        piece: &Piece,
        file: &[u8],
        card: &mut StagingBuffer,
        mut converted: Option<&mut StagingBuffer>,
    ) -> Result<(), Fault> {
        let tensor = (piece.tensor, self.job.placement.ranks[rank].tensors[piece.tensor].offset);
        for portion in portions(piece.copy, piece.cast, card.bytes().len() as u64) {
            let width = target_bytes(piece.cast, portion.width);
            let runs = Runs { width, ..Runs::target_of(&portion) };
            self.read_back(rank, piece.tensor, runs, card)?;
            let found = &card.bytes()[..runs.bytes() as usize];
            let before = self.findings.compared;
            match (piece.cast, &mut converted) {
                (cast @ Some(_), Some(converted)) => {
                    let expected = &mut converted.bytes_mut()[..found.len()];
                    pack_rows(&portion, cast, file, expected);
                    self.findings.compare(rank, tensor, runs, expected, found);
                }
                (Some(_), None) => return Err(NO_BUFFER.into()),
                (None, _) => self.compare_rows(rank, tensor, &portion, file, found),
            }
            self.job.progress.add_compared(rank, self.findings.compared - before);
        }
        Ok(())
    }

    fn compare_rows(&mut self, rank: usize, tensor: (usize, u64), portion: &StridedCopy, file: &[u8], found: &[u8]) {
        let portion = &portion.merged();
        for (row, found) in (0..portion.rows).zip(found.chunks_exact(portion.width as usize)) {
            let start = (portion.source_offset + row * portion.source_pitch) as usize;
            let runs = Runs::contiguous(portion.target_offset + row * portion.target_pitch, portion.width);
            self.findings.compare(rank, tensor, runs, &file[start..start + found.len()], found);
        }
    }

    /// Zero runs, all of them or samples.
    fn zeros(&mut self, zeros: ZeroRuns, staging: &mut WorkerStaging, mode: Verify) -> Result<(), Fault> {
        let ZeroRuns { rank, tensor, runs } = zeros;
        if !self.is_chosen((rank, tensor)) {
            return Ok(());
        }
        let (zeros, card) = staging.read.pair().ok_or(NO_BUFFER)?;
        let largest = card.bytes().len() as u64;
        // The runs as a copy of themselves, so that the same arithmetic cuts them.
        let whole = StridedCopy {
            source_offset: 0,
            source_pitch: runs.width,
            target_offset: runs.offset,
            target_pitch: runs.pitch,
            width: runs.width,
            rows: runs.rows,
        };
        let pieces = match mode {
            Verify::Full => vec![whole],
            Verify::None | Verify::Checksum | Verify::Sample => {
                samples(&whole, None, largest, runs.offset ^ ((rank as u64) << 48))
            }
        };
        zeros.bytes_mut().fill(0);
        let start = self.job.placement.ranks[rank].tensors[tensor].offset;
        for portion in pieces.iter().flat_map(|piece| portions(*piece, None::<Cast>, largest)) {
            let runs = Runs::target_of(&portion);
            self.read_back(rank, tensor, runs, card)?;
            let len = runs.bytes() as usize;
            self.findings.compare(rank, (tensor, start), runs, &zeros.bytes()[..len], &card.bytes()[..len]);
        }
        Ok(())
    }

    fn read_back(&self, rank: usize, tensor: usize, runs: Runs, card: &mut StagingBuffer) -> Result<(), Fault> {
        let read = self.job.arenas[rank].read_back(runs.merged(), card);
        read.map_err(|error| self.job.device_fault(error, rank, tensor, None))
    }
}
