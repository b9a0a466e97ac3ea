//! What a model is: its facts, its tensors, how its layers remember tokens.

mod checkpoint;
mod part;

pub use checkpoint::{Checkpoint, CheckpointFile, CheckpointTensor, DuplicateTensor, FileLocation};
pub use part::Part;
