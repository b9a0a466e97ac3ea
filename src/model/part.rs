//! The parts of a model that reports tell apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which part of a model a tensor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Token and position embeddings.
    Embedding,
    /// Attention projections, their norms of head width, their scales.
    Attention,
    /// Dense feed-forward layers.
    Mlp,
    /// Routed experts.
    Experts,
    /// Experts every token visits.
    SharedExpert,
    /// Gates that choose experts.
    Router,
    /// Layer norms.
    Norm,
    /// The output projection to the vocabulary.
    LmHead,
    /// Vision and audio towers and their projectors.
    Vision,
    /// State-space and linear-attention layers.
    Ssm,
    /// Rotary tables.
    Rotary,
    /// All else.
    Other,
}

impl Part {
    /// All parts, in the order of reports.
    pub const ALL: [Self; 12] = [
        Self::Embedding,
        Self::Attention,
        Self::Mlp,
        Self::Experts,
        Self::SharedExpert,
        Self::Router,
        Self::Norm,
        Self::LmHead,
        Self::Vision,
        Self::Ssm,
        Self::Rotary,
        Self::Other,
    ];

    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Attention => "attention",
            Self::Mlp => "mlp",
            Self::Experts => "experts",
            Self::SharedExpert => "shared_expert",
            Self::Router => "router",
            Self::Norm => "norm",
            Self::LmHead => "lm_head",
            Self::Vision => "vision",
            Self::Ssm => "ssm",
            Self::Rotary => "rotary",
            Self::Other => "other",
        }
    }
}
