//! The modules of a model: what each is, how large, in which layers. Engines decide by role how to split them.

use super::{IndexSet, Part};
use crate::units::DType;

/// What a module does. Sharding rules are tables over these, so a role says what the thing *is*, never how someone splits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Token id → hidden state.
    TokenEmbedding,
    /// Position → hidden state.
    PositionEmbedding,
    /// Hidden state → logits.
    LmHead,
    /// Layer norm over the hidden state.
    Norm,
    /// Norm of queries or keys, one head wide or as wide as all heads.
    QueryKeyNorm,
    /// Queries, keys and values (one module each, or stored fused).
    QueryKeyValue,
    /// Attention heads → hidden state.
    AttentionOutput,
    /// First matrices of a gated feed-forward layer.
    GateUp,
    /// First matrix of a feed-forward layer without a gate.
    Up,
    /// Last matrix of a feed-forward layer.
    Down,
}

/// Which model modules one template stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// One module outside the layers, before them (embeddings).
    First,
    /// One module outside the layers, after them (final norm, head).
    Last,
    /// One module in each of these layers; `{}` in the path is the layer.
    Layers(IndexSet),
}

impl Instances {
    /// How many modules.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::First | Self::Last => 1,
            Self::Layers(layers) => layers.len(),
        }
    }

    /// The layers, where there are any.
    #[must_use]
    pub const fn layers(&self) -> Option<&IndexSet> {
        match self {
            Self::First | Self::Last => None,
            Self::Layers(layers) => Some(layers),
        }
    }

    /// The same modules in other layers.
    #[must_use]
    pub fn with_layers(&self, layers: IndexSet) -> Self {
        match self {
            Self::First => Self::First,
            Self::Last => Self::Last,
            Self::Layers(_) => Self::Layers(layers),
        }
    }
}

/// What the output rows of a linear module mean: engines split each segment on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Output features.
    pub rows: u64,
    /// What they are.
    pub kind: SegmentKind,
}

/// The meaning of a run of output features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Any features; split evenly.
    Features,
    /// Query heads: whole heads go to a rank.
    QueryHeads(u64),
    /// Key or value heads: whole heads, replicated when ranks outnumber them.
    KeyValueHeads(u64),
}

/// A module's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A matrix `output × input`, with a bias of its output width or none. Quantisation schemes apply to these.
    Linear {
        /// Input features.
        input: u64,
        /// Output features by meaning, in storage order.
        output: Vec<Segment>,
        /// Whether there is a bias.
        bias: bool,
    },
    /// A table of `rows × width`.
    Table {
        /// Entries.
        rows: u64,
        /// Features of an entry.
        width: u64,
    },
    /// Vectors of one width, kept whole: norm weights and the like. The names are parameter suffixes (`weight`, `bias`).
    Vectors {
        /// Features.
        width: u64,
        /// Parameter names.
        names: &'static [&'static str],
    },
}

/// One module, standing for all its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Checkpoint name without the parameter suffix, `{}` for the layer: `model.layers.{}.self_attn.q_proj`.
    pub path: String,
    /// Where it occurs.
    pub instances: Instances,
    /// The part of the model that reports count it under.
    pub part: Part,
    /// What it does.
    pub role: Role,
    /// Its parameters.
    pub kind: Kind,
    /// Element type when it is not the model's (a router kept in float32).
    pub dtype: Option<DType>,
    /// The module whose storage it shares (a tied head names the embedding).
    pub tied_to: Option<String>,
}

impl Module {
    /// Path without its last component: modules with one parent can be fused by an engine.
    #[must_use]
    pub fn parent(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }

    /// Whether an engine that fuses this role builds the two as one module.
    #[must_use]
    pub fn is_fellow_of(&self, other: &Self) -> bool {
        self.role == other.role && self.instances == other.instances && self.parent() == other.parent()
    }

    /// Parameters of one instance before any quantisation, bias included.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        match &self.kind {
            Kind::Linear { input, output, bias } => {
                let rows: u64 = output.iter().map(|s| s.rows).sum();
                rows.saturating_mul(input.saturating_add(u64::from(*bias)))
            }
            Kind::Table { rows, width } => rows.saturating_mul(*width),
            Kind::Vectors { width, names } => width.saturating_mul(names.len() as u64),
        }
    }
}
