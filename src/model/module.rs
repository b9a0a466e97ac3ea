//! The modules of a model: what each is, how large, in which layers. Engines decide by role how to split them.

use super::{IndexSet, Part, StoredTensor};
use crate::units::DType;

/// What a module does. Sharding rules are tables over these, so a role says what the thing *is*, never how someone splits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Token id → hidden state.
    TokenEmbedding,
    /// Token id → what each layer adds of its own.
    LayerEmbedding,
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
    /// Heads' outputs, group by group → a low rank of each group.
    GroupedOutput,
    /// Hidden state → what several tokens together leave in a compressed cache.
    Compressor,
    /// Hidden streams → one before a block, and back into several after it.
    StreamMix,
    /// One learned logit a query head that takes attention away from all tokens.
    Sinks,
    /// Hidden state → low-rank queries, or latent vector and rotated key (MLA).
    LatentDown,
    /// Norm of low-rank queries or of the latent vector.
    LatentNorm,
    /// Low-rank queries → queries of all heads.
    LatentQuery,
    /// Latent vector → keys and values of all heads.
    LatentKeyValue,
    /// Low-rank queries → queries of the indexer that selects tokens.
    IndexerQuery,
    /// Hidden state → key of the indexer.
    IndexerKey,
    /// Norm of the indexer's key.
    IndexerNorm,
    /// Hidden state → weights of the indexer's heads.
    IndexerWeights,
    /// First matrices of a gated feed-forward layer.
    GateUp,
    /// First matrix of a feed-forward layer without a gate.
    Up,
    /// Last matrix of a feed-forward layer.
    Down,
    /// Trained numbers of an activation function.
    Activation,
    /// Hidden state → one score an expert.
    Router,
    /// Added to the scores when experts are chosen; a buffer, not a parameter.
    RouterBias,
    /// Token → its experts, where no score chooses them; a buffer, not a parameter.
    RouterTable,
    /// Hidden state → a narrower one that the experts work on.
    ExpertLatentDown,
    /// The experts' narrow state → hidden state.
    ExpertLatentUp,
    /// First matrices of a routed expert with a gate.
    ExpertGateUp,
    /// First matrix of a routed expert without a gate.
    ExpertUp,
    /// Last matrix of a routed expert.
    ExpertDown,
    /// First matrices of the experts every token visits.
    SharedExpertGateUp,
    /// First matrix of a shared expert without a gate.
    SharedExpertUp,
    /// Last matrix of the shared experts.
    SharedExpertDown,
    /// Hidden state → how much of the shared experts' output is taken.
    SharedExpertGate,
    /// Hidden state → everything that a state layer works on.
    StateIn,
    /// Hidden state → the gates of a state layer that are computed apart.
    StateGates,
    /// Hidden state → the low rank that gates of a state layer are computed from.
    StateRank,
    /// Short convolution of a state layer, one kernel a channel.
    StateConvolution,
    /// Parameters of a state layer that each head (for Mamba 1: each channel) has of its own, by which its state fades: `A_log`.
    StateDecay,
    /// Other parameters that each head or channel has of its own: `D`, `dt_bias`.
    StateHeads,
    /// Channels → step, B and C of Mamba 1.
    StateSelection,
    /// Low-rank step → step of each channel (Mamba 1).
    StateStep,
    /// Norm inside a state layer that each channel has a weight of.
    StateNorm,
    /// Norm inside a state layer that all heads share.
    StateSharedNorm,
    /// Channels of a state layer → hidden state.
    StateOut,
    /// Image patches (or audio frames) → hidden state of a tower, and embeddings added to them.
    TowerEmbedding,
    /// A tower's hidden state → the decoder's, kept whole by engines that divide the tower.
    Projector,
    /// What checkpoints hold although it is no parameter: a constant that was computed once.
    Constant,
    /// A tensor whose purpose is not known.
    Unknown,
}

impl Role {
    /// Whether modules of this role are matrices that quantisation schemes apply to unless told otherwise.
    ///
    /// Routers, gates of one feature and low-rank or indexing helpers are matrices too; which of them a scheme leaves alone is its own list.
    #[must_use]
    pub const fn is_matrix(self) -> bool {
        match self {
            Self::QueryKeyValue
            | Self::AttentionOutput
            | Self::GroupedOutput
            | Self::LatentDown
            | Self::LatentQuery
            | Self::LatentKeyValue
            | Self::IndexerQuery
            | Self::IndexerKey
            | Self::IndexerWeights
            | Self::GateUp
            | Self::Up
            | Self::Down
            | Self::ExpertLatentDown
            | Self::ExpertLatentUp
            | Self::ExpertGateUp
            | Self::ExpertUp
            | Self::ExpertDown
            | Self::SharedExpertGateUp
            | Self::SharedExpertUp
            | Self::SharedExpertDown
            | Self::SharedExpertGate
            | Self::StateIn
            | Self::StateGates
            | Self::StateRank
            | Self::StateSelection
            | Self::StateStep
            | Self::StateOut
            | Self::Projector => true,
            Self::TokenEmbedding
            | Self::PositionEmbedding
            | Self::LayerEmbedding
            | Self::LmHead
            | Self::Norm
            | Self::QueryKeyNorm
            | Self::HeadwiseQueryKeyNorm
            | Self::Sinks
            | Self::LatentNorm
            | Self::IndexerNorm
            | Self::Router
            | Self::RouterBias
            | Self::RouterTable
            | Self::Compressor
            | Self::StreamMix
            | Self::Activation
            | Self::StateConvolution
            | Self::StateDecay
            | Self::StateHeads
            | Self::StateNorm
            | Self::StateSharedNorm
            | Self::PatchPositionEmbedding
            | Self::EmbeddingProjection
            | Self::TowerEmbedding
            | Self::Constant
            | Self::Unknown => false,
        }
    }

    /// Whether the module belongs to a routed expert.
    #[must_use]
    pub const fn is_routed_expert(self) -> bool {
        matches!(self, Self::ExpertGateUp | Self::ExpertUp | Self::ExpertDown)
    }
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
    /// One module for each expert in each of these layers; the first `{}` in the path is the layer, the second the expert.
    Experts {
        /// The layers.
        layers: IndexSet,
        /// Experts of a layer, numbered from 0.
        experts: u32,
    },
    /// One module in each of these blocks of a tower beside the decoder; `{}` in the path is the block. Pipeline stages do not divide it.
    Tower(IndexSet),
}

impl Instances {
    /// How many modules.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::First | Self::Last => 1,
            Self::Layers(layers) | Self::Tower(layers) => layers.len(),
            Self::Experts { layers, experts } => layers.len().saturating_mul(u64::from(*experts)),
        }
    }

    /// The numbers that `name` stands for put into its `{}`.
    #[must_use]
    pub fn names(&self, name: &str) -> Vec<String> {
        let at = |name: &str, index: u32| name.replacen("{}", &index.to_string(), 1);
        match self {
            Self::First | Self::Last => vec![name.to_owned()],
            Self::Layers(layers) | Self::Tower(layers) => layers.iter().map(|layer| at(name, layer)).collect(),
            Self::Experts { layers, experts } => layers
                .iter()
                .map(|layer| at(name, layer))
                .flat_map(|name| (0..*experts).map(move |expert| at(&name, expert)))
                .collect(),
        }
    }

    /// The layers, where there are any.
    #[must_use]
    pub const fn layers(&self) -> Option<&IndexSet> {
        match self {
            Self::First | Self::Last => None,
            Self::Layers(layers) | Self::Tower(layers) | Self::Experts { layers, .. } => Some(layers),
        }
    }

    /// The same modules in other layers.
    #[must_use]
    pub fn with_layers(&self, layers: IndexSet) -> Self {
        match self {
            Self::First => Self::First,
            Self::Last => Self::Last,
            Self::Layers(_) => Self::Layers(layers),
            Self::Tower(_) => Self::Tower(layers),
            Self::Experts { experts, .. } => Self::Experts { layers, experts: *experts },
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
    /// Heads of a state layer: whole heads go to a rank.
    ValueHeads(u64),
    /// Groups that heads of a state layer share: divided where they divide; a single one is on every rank.
    StateGroups(u64),
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
    /// Vectors of one width, kept whole: norm weights and the like. The names are parameter suffixes (`weight`, `bias`); a norm without
    /// parameters has none.
    Vectors {
        /// Features.
        width: u64,
        /// Parameter names.
        names: &'static [&'static str],
    },
    /// Parameters whose first dimension counts features with a meaning: convolution kernels, one number a head, embeddings of a tower.
    Rows {
        /// First dimension by meaning.
        output: Vec<Segment>,
        /// The parameters.
        parameters: Vec<RowParameter>,
    },
    /// Parameters of other shapes, kept whole: name and shape of each.
    Tensors(Vec<(String, Vec<u64>)>),
    /// Matrices of all experts of a layer in one tensor.
    Stack(ExpertStack),
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

/// How a checkpoint keeps the matrices of all experts of a layer in one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpertStack {
    /// Experts.
    pub experts: u32,
    /// Input features.
    pub input: u64,
    /// Output features by meaning.
    pub output: Vec<Segment>,
    /// Parameter suffix.
    pub name: &'static str,
    /// Suffix of a bias `experts × output features`, where there is one.
    pub bias: Option<&'static str>,
    /// Whether a matrix lies as `input × output` instead of `output × input`.
    pub transposed: bool,
    /// Whether the experts are folded into the rows: two dimensions instead of three.
    pub folded: bool,
}

impl ExpertStack {
    /// Output features of one expert.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.output.iter().map(|s| s.rows).fold(0, u64::saturating_add)
    }

    /// Shape of one of the tensors that the matrices of all experts are stored in, when they are quantised.
    #[must_use]
    pub fn shape_of(&self, tensor: &StoredTensor) -> Vec<u64> {
        std::iter::once(u64::from(self.experts)).chain(tensor.shape(self.input, self.rows())).collect()
    }

    /// Shape of the tensor.
    #[must_use]
    pub fn shape(&self) -> Vec<u64> {
        let experts = u64::from(self.experts);
        let (outer, inner) = if self.transposed { (self.input, self.rows()) } else { (self.rows(), self.input) };
        if self.folded { vec![experts.saturating_mul(outer), inner] } else { vec![experts, outer, inner] }
    }
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
            Kind::Stack(stack) => {
                let matrix = stack.rows().saturating_mul(stack.input.saturating_add(u64::from(stack.bias.is_some())));
                matrix.saturating_mul(u64::from(stack.experts))
            }
        }
    }

    /// Whether its tensors are saved with the checkpoint but are no parameters.
    #[must_use]
    pub fn is_buffer(&self) -> bool {
        matches!(self.role, Role::RouterBias | Role::RouterTable | Role::Constant)
    }
}
