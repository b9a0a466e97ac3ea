//! One card as a planner sees it.

use crate::units::{Bytes, Estimate};

/// Where a card's figures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardSource {
    /// A profile of `profiles/gpus/`, by id.
    Profile(String),
    /// A size given by the user; everything but the capacity is assumed.
    Size,
    /// Read from the driver.
    Live,
}

/// A card (or MIG slice) to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// What to call it: `A10`, `24GiB`.
    pub label: String,
    /// Product name as the driver gives it; engines decide by it (vLLM treats an "A100" as small).
    pub name: String,
    /// CUDA total: what the driver lets processes share.
    pub capacity: Bytes,
    /// CUDA compute capability, (major, minor); `None` for a card known by size alone.
    pub compute_capability: Option<(u32, u32)>,
    /// Streaming multiprocessors, for kernels that size workspaces by them.
    pub multiprocessors: Option<u32>,
    /// Memory of a CUDA context with an engine's kernels loaded.
    pub context: Estimate,
    /// Held by others: processes that were there before.
    pub other_processes: Bytes,
    /// Whether device and host draw on one pool (GB10, GH200's host window excepted).
    pub shared_pool: bool,
    /// Whether cards of this kind reach each other over NVLink.
    pub nvlink: bool,
    /// `GPU-…` identity of a live card.
    pub uuid: Option<String>,
    /// Where the figures come from.
    pub source: CardSource,
}
