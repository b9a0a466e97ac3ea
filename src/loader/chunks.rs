//! The reads of a placement, cut into pieces that fill a staging buffer each.

use std::ops::Range;

use super::cast::Cast;
use super::reader::PAGE;
use crate::placement::{Placement, SourceRead};

/// Unwanted bytes between two reads that are cheaper to read along than to skip: one page.
const GAP: u64 = 4096;
/// Cuts inside a tensor fall on multiples of this from its start, so that no element is torn: the size of the largest ones.
const ELEMENT: u64 = 8;

/// One contiguous read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Index into the files.
    pub(super) file: usize,
    /// Bytes of the file.
    pub(super) bytes: Range<u64>,
    /// The reads of the placement that overlap it; some in between may have no destination.
    pub(super) reads: Range<usize>,
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        (self.bytes.end - self.bytes.start) as usize
    }
}

/// Cuts the reads that somebody wants into chunks whose pages fit `largest` bytes (a multiple of [`PAGE`]), in file order. Each byte is in
/// one chunk at most, and so is each page unless tensors lie at odd offsets. The placement must have been checked.
pub(super) fn cut(placement: &Placement, largest: u64) -> Vec<Chunk> {
    let wanted = |read: &&(usize, &SourceRead)| !read.1.destinations.is_empty() && read.1.range.len > 0;
    let mut chunks: Vec<Chunk> = Vec::new();
    for (index, read) in placement.reads.iter().enumerate().filter(|read| wanted(&read)) {
        let end = read.range.offset + read.range.len;
        let mut start = read.range.offset;
        // What still fits the last chunk joins it.
        if let Some(last) = chunks.last_mut()
            && last.file == read.range.file
            && start - last.bytes.end <= GAP
        {
            let stop = stop(last.bytes.start, start, end, largest);
            if stop > start {
                start = stop;
                last.bytes.end = start;
                last.reads.end = index + 1;
            }
        }
        while start < end {
            let stop = stop(start, start, end, largest);
            chunks.push(Chunk { file: read.range.file, bytes: start..stop, reads: index..index + 1 });
            start = stop;
        }
    }
    chunks
}

/// Where a chunk that began at `chunk` must stop in a tensor's bytes `start .. end`: at their end, or where its pages would no longer fit.
fn stop(chunk: u64, start: u64, end: u64, largest: u64) -> u64 {
    let limit = chunk - chunk % PAGE + largest;
    if end <= limit {
        end
    } else {
        // A page's boundary tears no element that starts at a multiple of its size; others are counted from where they start.
        start + limit.saturating_sub(start) / ELEMENT * ELEMENT
    }
}

/// Where in a chunk one read's bytes lie, counted from the start of the read.
pub(super) fn window(chunk: &Chunk, read: &SourceRead) -> Range<u64> {
    let start = chunk.bytes.start.max(read.range.offset);
    let end = chunk.bytes.end.min(read.range.offset + read.range.len).max(start);
    start - read.range.offset..end - read.range.offset
}

/// The conversion of a destination; `None` for plain bytes.
pub(super) fn cast_of(cast: Option<(crate::units::DType, crate::units::DType)>) -> Option<Cast> {
    cast.and_then(|(from, to)| Cast::new(from, to))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::placement::{Destination, FileRange, SourceFile, StridedCopy};
    use crate::units::Bytes;

    /// Tensors of one file by (offset, bytes), all wanted.
    fn tensors(ranges: &[(u64, u64)]) -> Placement {
        let read = |&(offset, len): &(u64, u64)| {
            let copy = StridedCopy {
                source_offset: 0,
                source_pitch: len,
                target_offset: 0,
                target_pitch: len,
                width: len,
                rows: 1,
            };
            SourceRead {
                tensor: String::new(),
                range: FileRange { file: 0, offset, len },
                destinations: vec![Destination { rank: 0, tensor: 0, copy, cast: None }],
            }
        };
        let files = vec![SourceFile { path: PathBuf::new(), size: Bytes(1 << 30) }];
        Placement { files, ranks: Vec::new(), reads: ranges.iter().map(read).collect() }
    }

    #[test]
    fn chunks_share_no_page_and_their_pages_fit() {
        let placement = tensors(&[(1000, 40_000), (41_000, 24), (41_024, 100_000), (145_000, 8)]);
        let chunks = cut(&placement, 16_384);
        let mut end = 1000;
        for chunk in &chunks {
            assert!(chunk.bytes.start == end || chunk.bytes.start == 145_000, "{chunk:?}");
            end = chunk.bytes.end;
            let pages = end.next_multiple_of(PAGE) - chunk.bytes.start / PAGE * PAGE;
            assert!(pages <= 16_384, "{chunk:?}");
        }
        assert!(chunks[1..chunks.len() - 1].iter().all(|chunk| chunk.bytes.start.is_multiple_of(PAGE)), "{chunks:?}");
        assert_eq!(end, 145_008);
    }

    #[test]
    fn elements_at_odd_offsets_stay_whole() {
        let chunks = cut(&tensors(&[(1003, 40_000)]), 8192);
        assert!(chunks.len() > 3);
        for chunk in &chunks[1..] {
            assert!((chunk.bytes.start - 1003).is_multiple_of(ELEMENT), "{chunk:?}");
        }
    }
}
