//! The reads of a placement, cut into pieces that fill a staging buffer each.

use std::ops::Range;

use super::cast::Cast;
use crate::placement::{Placement, SourceRead};

/// Unwanted bytes between two reads that are cheaper to read along than to skip: one page.
const GAP: u64 = 4096;
/// Cuts inside a tensor fall on multiples of this from its start, so that no element is torn.
const CUT: u64 = 64;

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

/// Cuts the reads that somebody wants into chunks of at most `largest` bytes (a multiple of [`CUT`]), in file order. Each byte is in one
/// chunk at most. The placement must have been checked.
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
            && start - last.bytes.start < largest
        {
            let room = last.bytes.start + largest - start;
            let taken = if end - start <= room { end - start } else { room - room % CUT };
            if taken > 0 {
                start += taken;
                last.bytes.end = start;
                last.reads.end = index + 1;
            }
        }
        while start < end {
            let stop = end.min(start + largest);
            chunks.push(Chunk { file: read.range.file, bytes: start..stop, reads: index..index + 1 });
            start = stop;
        }
    }
    chunks
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
