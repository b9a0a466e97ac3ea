//! The interface that every engine's memory model offers.

use super::{EnginePlan, HostLine, Settings, Version};
use crate::hardware::Fleet;
use crate::model::Model;
use crate::sharding::RankTensor;

/// What is to be planned.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'a> {
    /// The model.
    pub model: &'a Model,
    /// What the user set.
    pub settings: &'a Settings,
    /// The cards.
    pub fleet: &'a Fleet,
    /// Engine version.
    pub version: Version,
}

/// A deployment that cannot be planned at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine refuses the combination before it touches memory.
    #[error("{message}")]
    Refused {
        /// In the engine's words.
        message: String,
        /// What would be accepted.
        hint: Option<String>,
    },
    /// More ranks than cards.
    #[error("{ranks} ranks need {ranks} cards, and there {} {cards}", if *.cards == 1 { "is" } else { "are" })]
    TooFewCards {
        /// Ranks of the layout.
        ranks: u32,
        /// Cards at hand.
        cards: usize,
    },
    /// A setting out of its range.
    #[error("`--{flag} {value}`: {expected}")]
    Setting {
        /// Flag without dashes.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// A fact is missing.
    #[error("cannot tell: {0}")]
    Unknown(String),
}

/// A setting that repairs turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Knob {
    /// Ranks of one layer.
    TensorParallel,
    /// Pipeline stages.
    PipelineParallel,
    /// Replicas of the whole layout.
    DataParallel,
    /// Longest sequence.
    ContextLength,
    /// Share of the card.
    MemoryFraction,
    /// Sequences at once.
    Sequences,
    /// Element type of the cache.
    CacheType,
    /// No CUDA graphs; the value is not used.
    Eager,
    /// Element type of the weights.
    DType,
    /// Where modules go: a strategy's name.
    DeviceMap,
    /// Most bytes per device.
    MaxMemory,
}

/// An engine's memory model.
pub trait Engine: Sync {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// The newest version whose rules are known.
    fn newest(&self) -> Version;

    /// How far the rules for a version are proven: `None` when its answers were checked exactly, else a sentence for the reader.
    fn caveat(&self, version: Version) -> Option<String>;

    /// How a user of this engine sets a knob to a value; `None` when the engine has no such knob.
    fn spell(&self, knob: Knob, value: &str) -> Option<String>;

    /// The model that settings name as a draft, by the name or path it goes by there; `None` when they name none.
    fn draft(&self, _settings: &Settings) -> Option<String> {
        None
    }

    /// Plans a deployment.
    ///
    /// # Errors
    /// When the engine would refuse the settings outright, or a needed fact is missing.
    fn plan(&self, deployment: &Deployment<'_>) -> Result<EnginePlan, EngineError>;

    /// The tensors of every rank with their slices, in rank order: what a loader places. The same rule as [`Engine::plan`], which needs
    /// the shapes alone.
    ///
    /// # Errors
    /// As [`Engine::plan`].
    fn shards(&self, deployment: &Deployment<'_>) -> Result<Vec<RankShard>, EngineError>;

    /// The lines on memory that the engine would print for a plan of its own, in its words; none for engines whose words are not known.
    fn log(&self, _deployment: &Deployment<'_>, _plan: &EnginePlan) -> Vec<String> {
        Vec::new()
    }

    /// What loading takes of the host's memory; `None` for engines whose way of loading is not modelled.
    fn host(&self, _deployment: &Deployment<'_>, _plan: &EnginePlan) -> Option<Vec<HostLine>> {
        None
    }
}

/// One rank's tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct RankShard {
    /// Global rank; under a device map, the card.
    pub rank: u32,
    /// Its tensors.
    pub tensors: Vec<RankTensor>,
}

/// All engines whose memory model is known.
pub const ENGINES: &[&dyn Engine] = &[&super::vllm::Vllm, &super::transformers::Transformers];

/// The engine of a name.
#[must_use]
pub fn engine(name: &str) -> Option<&'static dyn Engine> {
    ENGINES.iter().find(|e| e.name().eq_ignore_ascii_case(name)).copied()
}
