//! What an engine allocates beside the weights: the KV pool in the engine's own blocks, and the workspace of its activation peak.

use crate::engines::{Component, Demand, EnginePlan, RankPlan};
use crate::units::Bytes;

/// How much of a plan is put on the cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum With {
    /// The weights.
    #[default]
    Weights,
    /// The weights and the KV pool.
    Kv,
    /// Weights, KV pool and the workspace of the activation peak.
    All,
}

impl With {
    /// Name as in flags and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Kv => "kv",
            Self::All => "all",
        }
    }
}

/// Allocations of one rank beside its weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RankPool {
    /// The KV pool: one allocation for each tensor that the engine makes.
    pub cache: Vec<Bytes>,
    /// The workspace of the planned activation peak, one allocation.
    pub workspace: Option<Bytes>,
}

impl RankPool {
    /// The allocations of a rank at the plan's best figures.
    #[must_use]
    pub fn of(rank: &RankPlan, plan: &EnginePlan, with: With) -> Self {
        let cache = match with {
            With::Weights => Vec::new(),
            With::Kv | With::All => cache(rank, plan.kv.blocks),
        };
        let peak = rank.expected(Component::Activation);
        let workspace = (with == With::All && peak > Bytes::ZERO).then_some(peak);
        Self { cache, workspace }
    }

    /// Bytes of the KV pool.
    #[must_use]
    pub fn cache_bytes(&self) -> Bytes {
        self.cache.iter().copied().sum()
    }
}

/// The pool as tensors. A paged pool is one tensor of `blocks` pages a layer; layers of several kinds take turns in the same tensors (vLLM
/// 0.11 `v1/core/kv_cache_utils.py`), so that a block of the pool divided by a page gives their number. Without blocks, each layer keeps
/// keys and values apart.
fn cache(rank: &RankPlan, blocks: Option<u64>) -> Vec<Bytes> {
    let total = rank.kv[Demand::Expected as usize];
    let layers: u64 = rank.kv_groups.iter().map(|group| group.layers).sum();
    let page = rank.kv_groups.iter().map(|group| group.page_bytes).max().unwrap_or(Bytes::ZERO);
    let each = match blocks {
        Some(blocks) => Bytes(page.0.saturating_mul(blocks)),
        None => Bytes(total.0.div_ceil(layers.saturating_mul(2).max(1))),
    };
    let mut left = total;
    let mut tensors = Vec::new();
    while left > Bytes::ZERO {
        // Never more tensors than layers with keys and values: whatever does not divide is one last tensor.
        let next =
            if each == Bytes::ZERO || tensors.len() as u64 >= layers.saturating_mul(2) { left } else { each.min(left) };
        tensors.push(next);
        left = left.saturating_sub(next);
    }
    tensors
}
