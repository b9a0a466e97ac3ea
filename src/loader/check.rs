//! A placement is looked through before anything is allocated: afterwards no arithmetic on it can overflow and no byte of a card is left
//! unfilled.

use super::cast::Cast;
use super::chunks::cast_of;
use super::device::Runs;
use super::pieces::placed_bytes;
use crate::placement::{Destination, PlacedFill, Placement, SourceRead};
use crate::units::DType;

/// A placement that cannot be carried out. It comes from our own planning, so each of these is a fault of the program, or of a checkpoint
/// whose headers contradict themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlacement {
    /// A rank is placed on a card that the load has not.
    #[error("rank {rank} is placed on card {device}, but the load has {devices}")]
    NoSuchDevice {
        /// Global rank.
        rank: u32,
        /// Index of the card.
        device: usize,
        /// Number of cards.
        devices: usize,
    },
    /// A tensor does not lie inside its rank's arena.
    #[error("tensor `{tensor}` of rank {rank} does not lie inside its arena")]
    OutsideArena {
        /// Global rank.
        rank: u32,
        /// Name in the engine.
        tensor: String,
    },
    /// A read does not lie inside its file.
    #[error("tensor `{tensor}` does not lie inside its file")]
    OutsideFile {
        /// Name in the checkpoint.
        tensor: String,
    },
    /// Reads are not in file order, or two of them overlap.
    #[error("tensor `{tensor}` lies before the end of the one that is read before it")]
    OutOfOrder {
        /// Name in the checkpoint.
        tensor: String,
    },
    /// A destination names no tensor, or leaves its source or its target.
    #[error("a part of `{tensor}` goes to a place that does not exist")]
    Destination {
        /// Name in the checkpoint.
        tensor: String,
    },
    /// A conversion that the loader does not know.
    #[error("`{tensor}` cannot be converted from {from} to {to} while loading")]
    Cast {
        /// Name in the checkpoint.
        tensor: String,
        /// Format in the file.
        from: DType,
        /// Format on the card.
        to: DType,
    },
    /// Some bytes of a tensor have no source.
    #[error("tensor `{tensor}` of rank {rank} has {bytes} bytes, but only {filled} are filled")]
    Unfilled {
        /// Global rank.
        rank: u32,
        /// Name in the engine.
        tensor: String,
        /// Size of the tensor.
        bytes: u64,
        /// Bytes that something fills.
        filled: u64,
    },
}

/// Looks a placement through.
pub(super) fn check(placement: &Placement, devices: usize) -> Result<(), InvalidPlacement> {
    let mut filled: Vec<Vec<u64>> = Vec::new();
    for rank in &placement.ranks {
        if rank.device >= devices {
            return Err(InvalidPlacement::NoSuchDevice { rank: rank.rank, device: rank.device, devices });
        }
        let mut tensors = Vec::new();
        for tensor in &rank.tensors {
            let outside = || InvalidPlacement::OutsideArena { rank: rank.rank, tensor: tensor.name.clone() };
            if !Runs::contiguous(tensor.offset, tensor.bytes.0).fits(rank.arena.0) {
                return Err(outside());
            }
            let mut from_fills = 0_u64;
            for fill in &tensor.fills {
                let runs = fill_runs(fill, tensor.bytes.0);
                if !runs.fits(tensor.bytes.0) {
                    return Err(outside());
                }
                from_fills = from_fills.saturating_add(runs.bytes());
            }
            tensors.push(from_fills);
        }
        filled.push(tensors);
    }
    let mut before = (0, 0);
    for read in &placement.reads {
        let end = end_in_file(placement, read)?;
        if read.range.len > 0 {
            if (read.range.file, read.range.offset) < before {
                return Err(InvalidPlacement::OutOfOrder { tensor: read.tensor.clone() });
            }
            before = (read.range.file, end);
        }
        for destination in &read.destinations {
            let placed = check_destination(placement, read, destination)?;
            let tensor = &mut filled[destination.rank][destination.tensor];
            *tensor = tensor.saturating_add(placed);
        }
    }
    for (rank, filled) in placement.ranks.iter().zip(filled) {
        for (tensor, filled) in rank.tensors.iter().zip(filled) {
            if filled < tensor.bytes.0 {
                let (tensor, bytes) = (tensor.name.clone(), tensor.bytes.0);
                return Err(InvalidPlacement::Unfilled { rank: rank.rank, tensor, bytes, filled });
            }
        }
    }
    Ok(())
}

/// Where a fill lies, from the start of its tensor.
pub(super) fn fill_runs(fill: &PlacedFill, tensor_bytes: u64) -> Runs {
    match *fill {
        PlacedFill::Zero { offset, pitch, width, rows } => Runs { offset, pitch, width, rows },
        PlacedFill::Generated(_) => Runs::contiguous(0, tensor_bytes),
    }
}

fn end_in_file(placement: &Placement, read: &SourceRead) -> Result<u64, InvalidPlacement> {
    let file = placement.files.get(read.range.file);
    let end = read.range.offset.checked_add(read.range.len);
    match (file, end) {
        (Some(file), Some(end)) if end <= file.size.0 => Ok(end),
        _ => Err(InvalidPlacement::OutsideFile { tensor: read.tensor.clone() }),
    }
}

/// Bytes that the destination places.
fn check_destination(placement: &Placement, read: &SourceRead, to: &Destination) -> Result<u64, InvalidPlacement> {
    let nowhere = || InvalidPlacement::Destination { tensor: read.tensor.clone() };
    let rank = placement.ranks.get(to.rank).ok_or_else(nowhere)?;
    let tensor = rank.tensors.get(to.tensor).ok_or_else(nowhere)?;
    let cast = cast_of(to.cast);
    if let (Some((from, to)), None) = (to.cast, cast) {
        return Err(InvalidPlacement::Cast { tensor: read.tensor.clone(), from, to });
    }
    if let Some(cast) = cast {
        let (source, target) = (cast.source_element(), cast.target_element());
        let whole = |bytes: u64, element: u64| bytes.is_multiple_of(element);
        let aligned = whole(to.copy.source_offset, source)
            && whole(to.copy.source_pitch, source)
            && whole(to.copy.width, source)
            && whole(to.copy.target_offset, target)
            && whole(to.copy.target_pitch, target);
        if !aligned || to.copy.width.checked_mul(Cast::WIDEST).is_none() {
            return Err(nowhere());
        }
    }
    let target = Runs { width: super::pieces::target_bytes(cast, to.copy.width), ..Runs::target_of(&to.copy) };
    // Rows that overlap in the target would be written by several workers in no order.
    let apart = target.rows <= 1 || target.pitch >= target.width;
    if Runs::source_of(&to.copy).fits(read.range.len) && target.fits(tensor.bytes.0) && apart {
        Ok(placed_bytes(&to.copy, cast))
    } else {
        Err(nowhere())
    }
}
