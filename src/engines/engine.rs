//! The interface that every engine's memory model offers.

use super::{EnginePlan, Settings, Version};
use crate::hardware::Fleet;
use crate::model::Model;

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

/// An engine's memory model.
pub trait Engine: Sync {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// The newest version whose rules are known.
    fn newest(&self) -> Version;

    /// How far the rules for a version are proven: `None` when its answers were checked exactly, else a sentence for the reader.
    fn caveat(&self, version: Version) -> Option<String>;

    /// Plans a deployment.
    ///
    /// # Errors
    /// When the engine would refuse the settings outright, or a needed fact is missing.
    fn plan(&self, deployment: &Deployment<'_>) -> Result<EnginePlan, EngineError>;
}

/// All engines whose memory model is known.
pub const ENGINES: &[&dyn Engine] = &[&super::vllm::Vllm];

/// The engine of a name.
#[must_use]
pub fn engine(name: &str) -> Option<&'static dyn Engine> {
    ENGINES.iter().find(|e| e.name().eq_ignore_ascii_case(name)).copied()
}
