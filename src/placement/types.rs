//! The plan that the loader carries out, byte for byte.

use std::path::PathBuf;

use super::{RankPool, StridedCopy};
use crate::model::Part;
use crate::units::{Bytes, DType};

/// Everything a load does: files to read, ranks to fill, and for each range of a file all the places it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The files, each opened once.
    pub files: Vec<SourceFile>,
    /// What each rank holds afterwards.
    pub ranks: Vec<RankPlacement>,
    /// Reads in file order: walking them front to back reads each byte once, whatever the number of ranks.
    pub reads: Vec<SourceRead>,
}

/// A checkpoint file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size when the headers were read; another size later means that it was replaced or cut.
    pub size: Bytes,
}

/// The shard of one rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankPlacement {
    /// Global rank.
    pub rank: u32,
    /// Which of the load's devices holds it.
    pub device: usize,
    /// Size of the rank's single allocation: tensors at [`super::TENSOR_ALIGNMENT`].
    pub arena: Bytes,
    /// Tensors in the order of their arena offsets.
    pub tensors: Vec<PlacedTensor>,
    /// What is allocated beside them; empty to place the weights alone.
    pub pool: RankPool,
}

/// One tensor of a rank as the engine constructs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedTensor {
    /// Name in the engine.
    pub name: String,
    /// Which part of the model it belongs to.
    pub part: Part,
    /// Element format on the card.
    pub dtype: DType,
    /// Shape on the card.
    pub shape: Vec<u64>,
    /// Start inside the arena.
    pub offset: u64,
    /// Size without alignment.
    pub bytes: Bytes,
    /// What fills it, besides the reads that name it.
    pub fills: Vec<PlacedFill>,
}

/// A part of a tensor that no file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacedFill {
    /// Zero bytes: padding (`width` and `rows` as in a [`StridedCopy`] target).
    Zero {
        /// First byte, from the start of the tensor.
        offset: u64,
        /// Distance between runs.
        pitch: u64,
        /// Bytes of a run.
        width: u64,
        /// Number of runs.
        rows: u64,
    },
    /// The whole tensor is computed, not read.
    Generated(Generator),
}

/// How a tensor without a file gets its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// Zeros stand in for values that the engine computes at start (rotary tables, scales): placement and size are what is proven.
    Computed,
}

/// A contiguous range of one file and every place it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRead {
    /// Name of the tensor in the checkpoint.
    pub tensor: String,
    /// Where it lies.
    pub range: FileRange,
    /// Where its parts go; empty when no rank on this machine wants it.
    pub destinations: Vec<Destination>,
}

/// Bytes `offset .. offset + len` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRange {
    /// Index into [`Placement::files`].
    pub file: usize,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// One rank's part of a source tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Index into [`Placement::ranks`].
    pub rank: usize,
    /// Index into that rank's tensors.
    pub tensor: usize,
    /// Source offsets count from the start of the range, target offsets from the start of the tensor. With a cast, `width` and the
    /// source side count source bytes, the target side counts target bytes.
    pub copy: StridedCopy,
    /// Element conversion on the way, `(from, to)`; `None` copies bytes.
    pub cast: Option<(DType, DType)>,
}
