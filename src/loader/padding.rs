//! Which zero bytes of a rank can be told from the bytes of its files: what is compared with zero after a load.

use std::collections::BTreeMap;
use std::ops::Range;

use super::check::fill_runs;
use super::chunks::cast_of;
use super::device::Runs;
use super::pieces::target_bytes;
use crate::placement::Placement;

/// Zero runs of one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ZeroRuns {
    /// Index of the rank.
    pub(super) rank: usize,
    /// Index into the rank's tensors.
    pub(super) tensor: usize,
    /// Runs, counted from the start of the arena.
    pub(super) runs: Runs,
}

/// All runs that must be zero. Where a fill lies under bytes of files (a tensor zeroed whole before its parts arrive), only the rest of it.
pub(super) fn zero_runs(placement: &Placement) -> Vec<ZeroRuns> {
    let mut covered = written_over(placement);
    let mut zeros = Vec::new();
    for (rank, placed) in placement.ranks.iter().enumerate() {
        for (index, tensor) in placed.tensors.iter().enumerate() {
            let written = covered.remove(&(rank, index));
            for fill in &tensor.fills {
                let runs = fill_runs(fill, tensor.bytes.0);
                let mut push = |runs: Runs| {
                    let runs = Runs { offset: tensor.offset + runs.offset, ..runs };
                    zeros.push(ZeroRuns { rank, tensor: index, runs });
                };
                match &written {
                    None => push(runs),
                    Some(written) => rows(runs).for_each(|row| outside(row, written).for_each(&mut push)),
                }
            }
        }
    }
    zeros
}

/// For each tensor that is filled more than once over, the merged ranges that files write, in order.
fn written_over(placement: &Placement) -> BTreeMap<(usize, usize), Vec<Range<u64>>> {
    let mut bytes: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for (rank, placed) in placement.ranks.iter().enumerate() {
        for (index, tensor) in placed.tensors.iter().enumerate().filter(|(_, tensor)| !tensor.fills.is_empty()) {
            let fills = tensor.fills.iter().map(|fill| fill_runs(fill, tensor.bytes.0).bytes());
            bytes.insert((rank, index), fills.fold(0, u64::saturating_add));
        }
    }
    let mut written: BTreeMap<(usize, usize), Vec<Range<u64>>> = BTreeMap::new();
    for to in placement.reads.iter().flat_map(|read| &read.destinations) {
        if let Some(bytes) = bytes.get_mut(&(to.rank, to.tensor)) {
            let width = target_bytes(cast_of(to.cast), to.copy.width);
            let target = Runs { width, ..Runs::target_of(&to.copy) }.merged();
            *bytes = bytes.saturating_add(target.bytes());
            let ranges = rows(target).map(|row| row.offset..row.offset + row.width);
            written.entry((to.rank, to.tensor)).or_default().extend(ranges);
        }
    }
    written.retain(|&(rank, tensor), _| bytes[&(rank, tensor)] > placement.ranks[rank].tensors[tensor].bytes.0);
    for ranges in written.values_mut() {
        *ranges = union(std::mem::take(ranges));
    }
    written
}

fn rows(runs: Runs) -> impl Iterator<Item = Runs> {
    (0..runs.rows).map(move |row| Runs::contiguous(runs.offset + row * runs.pitch, runs.width))
}

fn union(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The parts of one contiguous run that none of the ranges cover.
fn outside(run: Runs, written: &[Range<u64>]) -> impl Iterator<Item = Runs> {
    let end = run.offset + run.width;
    let mut at = run.offset;
    let mut later = written.iter().skip(written.partition_point(|range| range.end <= at));
    std::iter::from_fn(move || {
        while at < end {
            let next = later.next().map_or(end..end, |range| range.start.min(end)..range.end.min(end));
            let gap = at..next.start.max(at);
            at = if next.is_empty() { end } else { next.end };
            if !gap.is_empty() {
                return Some(Runs::contiguous(gap.start, gap.end - gap.start));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (start, end) pairs on both sides.
    fn gaps((start, end): (u64, u64), written: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let written = union(written.iter().map(|&(start, end)| start..end).collect());
        let run = Runs::contiguous(start, end - start);
        outside(run, &written).map(|runs| (runs.offset, runs.offset + runs.width)).collect()
    }

    #[test]
    fn what_files_do_not_write_must_be_zero() {
        assert_eq!(gaps((0, 10), &[]), [(0, 10)]);
        assert_eq!(gaps((0, 10), &[(0, 4), (6, 7)]), [(4, 6), (7, 10)]);
        assert_eq!(gaps((5, 10), &[(0, 4), (9, 20)]), [(5, 9)]);
        assert_eq!(gaps((5, 10), &[(6, 8), (0, 6), (7, 30)]), []);
        assert_eq!(gaps((5, 10), &[(12, 20)]), [(5, 10)]);
        assert_eq!(gaps((0, 3), &[(1, 2)]), [(0, 1), (2, 3)]);
    }
}
