//! Verification without a second read: each tensor's checksum is taken on the way out, and once more of what is read back from the card.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::checksum::{Place, Sum};
use super::device::Runs;
use super::job::{Fault, Job, run_workers};
use super::staging::{NO_BUFFER, WorkerStaging};
use crate::placement::{Placement, StridedCopy};

/// A tensor: index of its rank, index into the rank's tensors.
pub(super) type TensorAt = (usize, usize);

/// One sum for each tensor of each rank.
#[derive(Debug, Default)]
pub(super) struct Sums(Vec<Vec<Sum>>);

impl Sums {
    pub(super) fn new(placement: &Placement) -> Self {
        Self(placement.ranks.iter().map(|rank| vec![Sum::default(); rank.tensors.len()]).collect())
    }

    fn add(&mut self, (rank, tensor): TensorAt, sum: Sum) {
        let held = &mut self.0[rank][tensor];
        *held = held.plus(sum);
    }

    /// Counts rows that lie in `source` as the copy says and go where it says.
    pub(super) fn add_rows(&mut self, tensor: TensorAt, copy: &StridedCopy, source: &[u8]) {
        let copy = copy.merged();
        let step = Place::at(copy.target_pitch);
        let mut place = Place::at(copy.target_offset);
        let mut sum = Sum::default();
        for row in 0..copy.rows {
            let start = (copy.source_offset + row * copy.source_pitch) as usize;
            sum = sum.plus(Sum::of(&source[start..start + copy.width as usize]).times(place));
            place = place.and(step);
        }
        self.add(tensor, sum);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *mine = mine.plus(*theirs);
        }
    }

    /// The tensors whose sums differ.
    fn differing(&self, other: &Self) -> BTreeSet<TensorAt> {
        let pairs = self.0.iter().zip(&other.0).enumerate();
        let tensors = pairs.flat_map(|(rank, (a, b))| {
            a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b).map(move |(tensor, _)| (rank, tensor))
        });
        tensors.collect()
    }
}

/// A part of a tensor, from the start of its arena.
struct Span {
    tensor: TensorAt,
    offset: u64,
    bytes: u64,
}

/// Spans are short enough that the last ones keep all workers busy.
const SPAN: u64 = 64 << 20;

fn spans(placement: &Placement) -> Vec<Span> {
    let mut spans = Vec::new();
    for (rank, placed) in placement.ranks.iter().enumerate() {
        for (index, tensor) in placed.tensors.iter().enumerate() {
            let end = tensor.offset + tensor.bytes.0;
            let starts = (tensor.offset..end).step_by(SPAN as usize);
            spans.extend(starts.map(|offset| Span { tensor: (rank, index), offset, bytes: SPAN.min(end - offset) }));
        }
    }
    spans
}

/// Reads every tensor back and compares its sum with the one taken as it left. Returns the bytes read back and the tensors that differ.
pub(super) fn read_back(
    job: &Job<'_>,
    staging: &mut [WorkerStaging],
    sent: &Sums,
) -> Result<(u64, BTreeSet<TensorAt>), Fault> {
    let spans = spans(job.placement);
    let all = Mutex::new((Sums::new(job.placement), 0));
    run_workers(job.options, staging, spans.len(), |staging, items| {
        let mut found = Sums::new(job.placement);
        let mut compared = 0;
        while let Some(item) = items.take() {
            let Span { tensor: (rank, tensor), offset, bytes } = spans[item];
            let card = staging.read.first().ok_or(NO_BUFFER)?;
            let largest = card.bytes().len() as u64;
            for start in (offset..offset + bytes).step_by(largest as usize) {
                let len = largest.min(offset + bytes - start);
                let back = job.arenas[rank].read_back(Runs::contiguous(start, len), card);
                back.map_err(|error| job.device_fault(error, rank, tensor, None))?;
                let sum = Sum::of(&card.bytes()[..len as usize]).times(Place::at(start));
                found.add((rank, tensor), sum);
                compared += len;
                job.progress.add_compared(rank, len);
            }
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.0.merge(&found);
        all.1 += compared;
        Ok(())
    })?;
    let (found, compared) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((compared, sent.differing(&found)))
}
