//! Repairs: what to change for a cause, spelt for the engine, confirmed by planning again where the facts suffice.

mod candidates;
mod confirm;
mod moves;
mod rejected;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use candidates::candidates;
pub(super) use confirm::confirmed;
pub(super) use rejected::rejected;

use super::cause::Context;
use crate::engines::Cause;
use crate::units::Bytes;

/// What a repair changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepairKind {
    /// More tensor-parallel ranks, or another number of them.
    TensorParallel,
    /// Pipeline stages.
    PipelineParallel,
    /// More or larger cards.
    MoreCards,
    /// A shorter longest sequence.
    LowerContext,
    /// A larger share of the card for the engine.
    RaiseShare,
    /// A smaller share of the card for the engine.
    LowerShare,
    /// Fewer sequences at once.
    FewerSequences,
    /// Fewer tokens at once: prefill chunks, batches.
    SmallerBatch,
    /// The cache in fewer bits.
    SmallerCacheType,
    /// The weights in fewer bits.
    Quantise,
    /// 16-bit weights in place of float32.
    SixteenBit,
    /// Spread the model by a device map and do not move it afterwards.
    DeviceMap,
    /// Divide the layers otherwise.
    Rebalance,
    /// Fewer layers on the cards.
    FewerLayers,
    /// Free the card, or take another one.
    FreeCard,
    /// Start one engine after the other.
    StartInTurn,
    /// The device per rank before the first call to CUDA.
    DevicePerRank,
    /// Segments that grow in place.
    ExpandableSegments,
    /// No CUDA graphs, or smaller ones.
    FewerGraphs,
    /// Do not count the estimate of the graphs.
    IgnoreGraphEstimate,
    /// More host memory, a higher limit, or less of it used at once.
    HostMemory,
    /// A larger `/dev/shm`.
    SharedMemory,
    /// Fewer or smaller images per request.
    LimitImages,
    /// Another release of the engine.
    OtherRelease,
    /// Restart from time to time.
    Restart,
    /// A larger workspace.
    Workspace,
    /// Convert or quantise elsewhere or layer by layer.
    ConvertElsewhere,
}

/// A repair.
#[derive(Debug, Clone, PartialEq)]
pub struct Repair {
    /// What it changes.
    pub kind: RepairKind,
    /// In words.
    pub change: String,
    /// Flags, settings or variables as they are typed.
    pub flags: Vec<String>,
    /// What it costs.
    pub price: String,
    /// Whether planning again showed that it fits.
    pub confirmed: bool,
    /// Why it is not confirmed.
    pub reason: Option<String>,
    /// Whether it then fits at the expected demand alone.
    pub is_tight: bool,
    /// Least headroom of any card with the change.
    pub headroom: Option<Bytes>,
    /// The command with the change.
    pub command: Option<String>,
}

/// A popular remedy that cannot help here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRepair {
    /// The remedy.
    pub change: String,
    /// Why it does not help.
    pub why: String,
}

impl Repair {
    pub(super) fn new(kind: RepairKind, change: impl Into<String>, price: impl Into<String>) -> Self {
        Self {
            kind,
            change: change.into(),
            flags: Vec::new(),
            price: price.into(),
            confirmed: false,
            reason: None,
            is_tight: false,
            headroom: None,
            command: None,
        }
    }

    pub(super) fn with(mut self, flag: Option<String>) -> Self {
        self.flags.extend(flag);
        self
    }
}

/// Most repairs shown.
const SHOWN: usize = 5;

/// The repairs of a cause, the best first, and the popular remedies that do not help.
pub(super) fn repairs(context: &Context<'_>, cause: Cause) -> (Vec<Repair>, Vec<RejectedRepair>) {
    let (mut list, mut found_wanting) = confirmed(context, cause, candidates(context, cause));
    list.truncate(SHOWN);
    let mut popular = rejected(context, cause);
    popular.append(&mut found_wanting);
    (list, popular)
}
