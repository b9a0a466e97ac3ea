//! From one read chunk to the ranks: which bytes go where, packed or converted on the way where that is needed.

use super::cast::Cast;
use super::chunks::{Chunk, cast_of, window};
use super::device::DeviceError;
use super::job::{Fault, Job};
use super::pieces::{clip, placed_bytes, portions, target_bytes};
use super::reader::in_page;
use super::staging::{NO_BUFFER, Sent, Slot, Turns};
use super::sums::Sums;
use crate::placement::{Placement, StridedCopy};

/// One strided part of a chunk for one rank.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Index into the rank's tensors.
    pub(super) tensor: usize,
    /// Source offsets count from the start of the buffer that the chunk was read to, target offsets from the start of the arena.
    pub(super) copy: StridedCopy,
    pub(super) cast: Option<Cast>,
}

/// The pieces of a chunk, for each rank.
pub(super) fn pieces_of(placement: &Placement, chunk: &Chunk, ranks: &mut Vec<Vec<Piece>>) {
    ranks.resize_with(placement.ranks.len(), Vec::new);
    ranks.iter_mut().for_each(Vec::clear);
    let mut clipped = Vec::new();
    for read in &placement.reads[chunk.reads.clone()] {
        let window = window(chunk, read);
        let in_buffer =
            |offset: u64| offset + read.range.offset - chunk.bytes.start + in_page(chunk.bytes.start) as u64;
        for destination in &read.destinations {
            let cast = cast_of(destination.cast);
            let arena_offset = placement.ranks[destination.rank].tensors[destination.tensor].offset;
            clip(&destination.copy, cast, &window, &mut clipped);
            ranks[destination.rank].extend(clipped.drain(..).map(|copy| Piece {
                tensor: destination.tensor,
                copy: StridedCopy {
                    source_offset: in_buffer(copy.source_offset),
                    target_offset: arena_offset + copy.target_offset,
                    ..copy
                },
                cast,
            }));
        }
    }
}

/// Whether a piece has to pass through the CPU.
fn is_packed(copy: &StridedCopy, cast: Option<Cast>, pack_below: u64) -> bool {
    cast.is_some() || (copy.merged().rows > 1 && copy.width < pack_below)
}

/// Whether any part of a placement has to pass through the CPU.
pub(super) fn packs(placement: &Placement, pack_below: u64) -> bool {
    let mut destinations = placement.reads.iter().flat_map(|read| &read.destinations);
    destinations.any(|to| is_packed(&to.copy, cast_of(to.cast), pack_below))
}

/// Sends every rank its part of a chunk that lies in `slot`.
pub(super) fn scatter(
    job: &Job<'_>,
    chunk: &Chunk,
    ranks: &[Vec<Piece>],
    slot: &mut Slot,
    pack: &mut Turns,
    mut sums: Option<&mut Sums>,
) -> Result<(), Fault> {
    for (rank, pieces) in ranks.iter().enumerate().filter(|(_, pieces)| !pieces.is_empty()) {
        let (packed, direct): (Vec<&Piece>, Vec<&Piece>) =
            pieces.iter().partition(|piece| is_packed(&piece.copy, piece.cast, job.pack_below));
        if let Some(first) = direct.first() {
            let copies: Vec<_> = direct.iter().map(|piece| piece.copy.merged()).collect();
            if let Some(sums) = &mut sums {
                direct.iter().for_each(|piece| sums.add_rows((rank, piece.tensor), &piece.copy, slot.bytes()));
            }
            let bytes = copies.iter().map(StridedCopy::bytes).sum();
            let envelope = Envelope { rank, tensor: first.tensor, file: chunk.file };
            send(job, slot, &copies, bytes, envelope)?;
        }
        if !packed.is_empty() {
            let envelope = Envelope { rank, tensor: 0, file: chunk.file };
            send_packed(job, &packed, slot.bytes(), pack, envelope, sums.as_deref_mut())?;
        }
    }
    Ok(())
}

/// Whose bytes these are, for errors.
#[derive(Debug, Clone, Copy)]
struct Envelope {
    rank: usize,
    tensor: usize,
    file: usize,
}

fn send(job: &Job<'_>, slot: &mut Slot, copies: &[StridedCopy], bytes: u64, to: Envelope) -> Result<(), Fault> {
    let Envelope { rank, tensor, file } = to;
    let fault = |error: DeviceError| job.device_fault(error, rank, tensor, Some(file));
    let transfer = job.arenas[rank].submit(slot.shared(), copies).map_err(fault)?;
    slot.sent(Sent { transfer, rank, tensor, file, bytes });
    Ok(())
}

/// Packs or converts pieces of one rank into pack buffers, and sends each buffer as it fills.
fn send_packed(
    job: &Job<'_>,
    pieces: &[&Piece],
    source: &[u8],
    pack: &mut Turns,
    envelope: Envelope,
    mut sums: Option<&mut Sums>,
) -> Result<(), Fault> {
    let room = job.plan.buffer as u64;
    let portions_of = |piece: &&Piece| {
        let Piece { tensor, copy, cast } = **piece;
        portions(copy, cast, room).map(move |copy| Piece { tensor, copy, cast })
    };
    let mut waiting = pieces.iter().flat_map(portions_of).peekable();
    while let Some(first) = waiting.peek().copied() {
        let slot = pack.take_turn().ok_or(NO_BUFFER)?;
        job.drain(slot)?;
        let buffer = slot.exclusive().ok_or(NO_BUFFER)?.bytes_mut();
        let (mut used, mut bytes) = (0, 0);
        let mut copies = Vec::new();
        while let Some(piece) = waiting.next_if(|piece| used + placed_bytes(&piece.copy, piece.cast) <= room) {
            let placed = placed_bytes(&piece.copy, piece.cast);
            pack_rows(&piece.copy, piece.cast, source, &mut buffer[used as usize..(used + placed) as usize]);
            let width = target_bytes(piece.cast, piece.copy.width);
            let packed = StridedCopy { source_offset: used, source_pitch: width, width, ..piece.copy };
            if let Some(sums) = &mut sums {
                sums.add_rows((envelope.rank, piece.tensor), &packed, buffer);
            }
            copies.push(packed.merged());
            bytes += placed;
            used += placed;
        }
        send(job, slot, &copies, bytes, Envelope { tensor: first.tensor, ..envelope })?;
    }
    Ok(())
}

/// Writes the rows of a copy one behind the other, converted where asked.
pub(super) fn pack_rows(copy: &StridedCopy, cast: Option<Cast>, source: &[u8], target: &mut [u8]) {
    let width = target_bytes(cast, copy.width);
    if width == 0 {
        return;
    }
    for (row, target) in (0..copy.rows).zip(target.chunks_exact_mut(width as usize)) {
        let start = (copy.source_offset + row * copy.source_pitch) as usize;
        let run = &source[start..start + copy.width as usize];
        match cast {
            Some(cast) => cast.convert(run, target),
            None => target.copy_from_slice(run),
        }
    }
}
