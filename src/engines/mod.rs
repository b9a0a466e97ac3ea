//! What each engine does with memory: one file an engine, registered in one place.

mod cause;
pub mod command_line;
mod engine;
pub mod host;
mod plan;
mod settings;
pub mod torch_allocator;
pub mod transformers;
mod version;
pub mod vllm;

pub use cause::Cause;
pub use engine::{Deployment, ENGINES, Engine, EngineError, Knob, RankShard, engine};
pub use host::{HostKind, HostLine};
pub use plan::{
    Account, Component, Demand, EnginePlan, KvCapacity, KvGroup, Line, RankPlan, Refusal, ShardTotals, Workload,
};
pub use settings::{ContextLength, EntryPoint, Settings};
pub use version::{ParseVersionError, Version};

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
