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
    /// Position in an image → hidden state of a vision tower.
    PatchPositionEmbedding,
    /// Between an embedding and a hidden state of another width.
    EmbeddingProjection,
    /// Hidden state → logits.
    LmHead,
    /// Layer norm over the hidden state.
    Norm,
    /// Norm of queries or keys, one head wide or as wide as all heads.
    QueryKeyNorm,
    /// Norm of queries or keys that has a weight for each head: engines divide it with the heads.
    HeadwiseQueryKeyNorm,
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
    /// Image patches (or audio frames) → hidden state of a tower, and embeddings added to them.
    TowerEmbedding,
    /// A tower's hidden state → the decoder's, kept whole by engines that divide the tower.
    Projector,
    /// A tensor whose purpose is not known.
    Unknown,
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
    /// One module in each of these blocks of a tower beside the decoder; `{}` in the path is the block. Pipeline stages do not divide it.
    Tower(IndexSet),
}

impl Instances {
    /// How many modules.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::First | Self::Last => 1,
            Self::Layers(indices) | Self::Tower(indices) => indices.len(),
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
    /// Queries, keys and values of one attention, stored group by group: the group's query heads, its key head, its value head.
    HeadGroups {
        /// Query heads of all groups together.
        query_heads: u64,
        /// Groups, which is to say key/value heads.
        groups: u64,
    },
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
    /// As [`Kind::Linear`], stored `input × output` (the `Conv1D` of GPT-2).
    Conv1d {
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
    /// Parameters whose first dimension counts features with a meaning: one vector a head, embeddings of a tower.
    Rows {
        /// First dimension by meaning.
        output: Vec<Segment>,
        /// The parameters.
        parameters: Vec<RowParameter>,
    },
    /// Parameters of other shapes, kept whole: name and shape of each.
    Tensors(Vec<(String, Vec<u64>)>),
    /// No parameters: tensors that are computed at load and saved nowhere.
    Buffers(Vec<Buffer>),
}

/// A tensor of [`Kind::Buffers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buffer {
    /// Suffix.
    pub name: &'static str,
    /// Element type, whatever that of the model.
    pub dtype: DType,
    /// Shape.
    pub shape: Vec<u64>,
}

/// A parameter of [`Kind::Rows`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowParameter {
    /// Parameter suffix.
    pub name: &'static str,
    /// Dimensions after the first.
    pub inner: Vec<u64>,
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

    /// Parameters of one instance before any quantisation, bias included.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        match &self.kind {
            Kind::Linear { input, output, bias } | Kind::Conv1d { input, output, bias } => {
                let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
                rows.saturating_mul(input.saturating_add(u64::from(*bias)))
            }
            Kind::Table { rows, width } => rows.saturating_mul(*width),
            Kind::Vectors { width, names } => width.saturating_mul(names.len() as u64),
            Kind::Rows { output, parameters } => {
                let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
                let inner = |p: &RowParameter| p.inner.iter().copied().fold(rows, u64::saturating_mul);
                parameters.iter().map(inner).fold(0, u64::saturating_add)
            }
            Kind::Buffers(_) => 0,
            Kind::Tensors(tensors) => {
                let elements = |shape: &[u64]| shape.iter().copied().fold(1, u64::saturating_mul);
                tensors.iter().map(|(_, shape)| elements(shape)).fold(0, u64::saturating_add)
            }
        }
    }
}
