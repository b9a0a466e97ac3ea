//! Sharding rules as values: an engine builds them, this module applies them.

use super::{ExpertPadding, Stage};
use crate::model::{Instances, Module, Part, Role, StoredTensor};
use crate::profiles::{Held, JointExperts};
use crate::units::DType;

/// How a module is divided over the ranks of a tensor-parallel group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// A full copy on every rank.
    Replicated,
    /// Output features: each segment on its own.
    Column,
    /// Input features; a bias stays whole.
    Row,
    /// Vocabulary entries, padded to a multiple.
    Vocabulary,
}

/// Modules of one role and one parent become one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fusion {
    /// The role.
    pub role: Role,
    /// Name of the fused module.
    pub name: &'static str,
}

/// What happens to the routed experts of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpertRule {
    /// Each matrix stays the tensor that the checkpoint has.
    AsStored,
    /// One tensor a layer for all experts of a rank, each expert sliced over `ways` ranks by the split of its role.
    Sliced {
        /// Ranks: tensor-parallel times data-parallel.
        ways: u32,
    },
    /// One tensor a layer for the whole experts of a rank, spread over `ways` ranks; the first ranks take the remainder.
    Whole {
        /// Ranks: tensor-parallel times data-parallel.
        ways: u32,
        /// Second copies of experts, over all ranks together, that the engine fills from the first.
        redundant: u32,
    },
}

/// A tensor that the engine makes itself: scales, rotary tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Name in the engine, `{}` for the layer.
    pub name: String,
    /// Where it occurs.
    pub instances: Instances,
    /// Part of the model.
    pub part: Part,
    /// Element type.
    pub dtype: DType,
    /// Shape.
    pub shape: Vec<u64>,
    /// Tensors of this shape at each place.
    pub copies: u64,
}

/// A buffer of the model that an engine builds in another form: frequencies become a table of cosine and sine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TabledBuffer {
    /// Name that the buffer ends in.
    pub suffix: &'static str,
    /// Rows of the table, each twice as wide as the frequencies and in the model's element type.
    pub rows: u64,
}

/// Everything an engine decides about sharding.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardingRules {
    /// How each role is divided; a role that is not listed is replicated.
    pub splits: Vec<(Role, Split)>,
    /// Which modules are fused.
    pub fusions: Vec<Fusion>,
    /// Vocabulary entries are padded to a multiple of this before they are divided.
    pub vocabulary_multiple: u64,
    /// Roles whose divided rows are padded to a multiple of so many.
    pub row_multiples: Vec<(Role, u64)>,
    /// Entries of the token embedding that are built, where the engine leaves some of the checkpoint's out.
    pub embedding_rows: Option<u64>,
    /// Whether the head shares the embedding's storage when the checkpoint ties them and both are on one rank.
    pub share_tied: bool,
    /// Whether key/value heads may be repeated when ranks outnumber them.
    pub repeat_kv_heads: bool,
    /// Whether a rank's slice may cut a quantisation group, which then drops out of the rank's count; else it is refused.
    pub floor_groups: bool,
    /// Whether the engine holds quantisation state as the files have it; else it rebuilds what it needs of it.
    pub file_state: bool,
    /// The same for experts.
    pub floor_expert_groups: bool,
    /// Inputs of a group where experts are kept in bytes, because no kernel takes their slices in words.
    pub expert_bytes: Option<u64>,
    /// What experts stored in blocks are padded to.
    pub expert_padding: ExpertPadding,
    /// What happens to routed experts.
    pub experts: ExpertRule,
    /// Roles that are held in another element type than the model's.
    pub dtypes: Vec<(Role, DType)>,
    /// Element type of weights on the card; stored tensors of a floating type are cast to it.
    pub dtype: DType,
    /// The pipeline stages.
    pub stages: Vec<Stage>,
    /// Buffers of the model that the engine builds in another form.
    pub tabled: Vec<TabledBuffer>,
    /// Whether vision and audio towers are kept whole on every rank.
    pub whole_towers: bool,
    /// Tensors the engine makes itself.
    pub generated: Vec<Generated>,
}

impl ShardingRules {
    /// How a module is divided.
    #[must_use]
    pub fn split_of(&self, module: &Module) -> Split {
        if self.whole_towers && module.part == Part::Vision { Split::Replicated } else { self.split(module.role) }
    }

    /// How a role is divided.
    #[must_use]
    pub fn split(&self, role: Role) -> Split {
        self.splits.iter().find(|(r, _)| *r == role).map_or(Split::Replicated, |(_, split)| *split)
    }

    /// Whether the engine builds a tensor of a matrix, alone or for all experts of a layer in one.
    #[must_use]
    pub const fn builds(&self, tensor: &StoredTensor, joint_experts: bool) -> bool {
        let held = match tensor.held {
            Held::Everywhere => true,
            Held::State => self.file_state,
            Held::Engine => !self.file_state,
        };
        let alone = match tensor.experts {
            JointExperts::Alike => !(joint_experts && self.expert_bytes.is_some()),
            JointExperts::Without => !joint_experts,
            JointExperts::Only => joint_experts && self.expert_bytes.is_none(),
            JointExperts::InBytes => joint_experts && self.expert_bytes.is_some(),
        };
        held && alone
    }

    /// Element type that a role is held in, where it is not the model's.
    #[must_use]
    pub fn dtype_of(&self, role: Role) -> Option<DType> {
        self.dtypes.iter().find(|(r, _)| *r == role).map(|(_, dtype)| *dtype)
    }

    /// The fused name for a role, if it is fused.
    #[must_use]
    pub fn fusion(&self, role: Role) -> Option<&'static str> {
        self.fusions.iter().find(|f| f.role == role).map(|f| f.name)
    }
}
