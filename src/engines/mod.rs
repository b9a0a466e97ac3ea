//! What each engine does with memory: one file an engine, registered in one place.

mod settings;
pub mod vllm;

pub use settings::{ContextLength, EntryPoint, Settings};

use crate::model::Part;
use crate::units::ByteDelta;

/// A difference between the tensors an engine constructs and those that stay resident after its kernels have prepared them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is dropped, added or repacked.
    pub what: &'static str,
    /// Part of the model.
    pub part: Part,
    /// Signed bytes on one rank.
    pub bytes: ByteDelta,
}
