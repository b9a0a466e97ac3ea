//! From rank tensors to bytes: which range of which file goes where on which card.

mod boxes;
mod build;
mod copy;
mod pool;
mod synthetic;
mod types;

pub use build::{PlacementError, RankRequest, place};
pub use copy::StridedCopy;
pub use pool::{RankPool, With};
pub use synthetic::synthetic_checkpoint;
pub use types::{
    Destination, FileRange, Generator, PlacedFill, PlacedTensor, Placement, RankPlacement, SourceFile, SourceRead,
};

/// Alignment of each tensor inside its rank's arena: what `cudaMalloc` guarantees, so kernels could read the tensors in place.
pub const TENSOR_ALIGNMENT: u64 = 256;
