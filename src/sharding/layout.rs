//! Degrees of parallelism, and one rank's place in them.

use std::ops::Range;

/// How many ways a deployment is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Tensor-parallel degree.
    pub tp: u32,
    /// Pipeline-parallel degree.
    pub pp: u32,
    /// Data-parallel degree.
    pub dp: u32,
    /// Whether experts are spread whole instead of sliced.
    pub ep: bool,
}

impl Layout {
    /// No parallelism at all.
    pub const SINGLE: Self = Self { tp: 1, pp: 1, dp: 1, ep: false };

    /// Number of ranks of one replica.
    #[must_use]
    pub const fn ranks(self) -> u32 {
        self.tp.saturating_mul(self.pp)
    }

    /// All ranks in order: rank = pp_rank × tp + tp_rank.
    pub fn iter(self) -> impl Iterator<Item = Rank> {
        (0..self.pp).flat_map(move |pp_rank| (0..self.tp).map(move |tp_rank| Rank { tp_rank, pp_rank }))
    }
}

/// One rank's coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rank {
    /// Position in the tensor-parallel group.
    pub tp_rank: u32,
    /// Pipeline stage.
    pub pp_rank: u32,
}

impl Rank {
    /// Global rank.
    #[must_use]
    pub const fn global(self, layout: Layout) -> u32 {
        self.pp_rank * layout.tp + self.tp_rank
    }
}

/// What one pipeline stage builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its layers.
    pub layers: Range<u32>,
    /// Whether it builds the token embedding.
    pub embedding: bool,
    /// Whether it builds the final norm.
    pub final_norm: bool,
    /// Whether it builds the head.
    pub head: bool,
}
