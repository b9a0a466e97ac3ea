//! What a flag is. How a word finds its flag is in `catalog`, how arguments are taken apart in `arguments`.

mod arguments;
mod catalog;

pub use arguments::{Given, Occurrence, Reading, read};
pub use catalog::Catalog;

use super::values;
use crate::engines::Version;

/// One flag of an engine.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// All spellings with their dashes, separated by blanks, the canonical one first: `--tensor-parallel-size -tp`.
    pub spellings: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it sets.
    pub effect: Effect,
    /// In which releases it exists.
    pub span: Span,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing; `--no-…` turns it off.
    Switch,
    /// Nothing, or any word.
    SwitchOrText,
    /// A whole number.
    Integer,
    /// A whole number with an optional suffix (`8k`, `1M`).
    Count,
    /// As [`Kind::Count`], or `auto`, or `-1`.
    Length,
    /// A decimal number.
    Decimal,
    /// Any word.
    Text,
    /// JSON, or single keys after a dot: `--compilation-config.level 3`.
    Json,
    /// JSON, or any word.
    JsonOrText,
    /// JSON, or `image=4,video=2`.
    Modalities,
    /// One word or more.
    List,
}

/// What a flag sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that changes memory.
    Nothing,
    /// The model.
    Model,
    /// A setting that all engines share.
    Shared(SharedSetting),
    /// A setting of this engine alone that changes memory.
    Engine,
    /// A file of further flags.
    ConfigFile,
    /// The cards to use.
    Devices,
    /// `-O`, which stands for different flags in different releases.
    OptimizationLevel,
}

/// A field of [`Settings`](crate::engines::Settings).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SharedSetting {
    TensorParallel,
    PipelineParallel,
    DataParallel,
    ExpertParallel,
    DType,
    Quantization,
    KvCacheDType,
    MaxModelLen,
    MaxNumSeqs,
    MaxNumBatchedTokens,
    MemoryFraction,
    KvCacheMemory,
    BlockSize,
    EnforceEager,
    ChunkedPrefill,
    PrefixCaching,
    CpuOffload,
}

/// The releases that certainly lack a flag. What lies between is not known and is not complained about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// This release and all older ones lack it.
    pub absent_up_to: Option<Version>,
    /// This release and all newer ones lack it.
    pub absent_from: Option<Version>,
}

impl Span {
    /// Whether `version` certainly lacks the flag.
    #[must_use]
    pub fn excludes(self, version: Version) -> bool {
        self.absent_up_to.is_some_and(|last| version <= last) || self.absent_from.is_some_and(|first| version >= first)
    }
}

impl Flag {
    /// The canonical name without dashes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.spellings().next().unwrap_or_default().trim_start_matches('-')
    }

    /// All spellings, dashes included.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.spellings.split(' ')
    }

    fn is_spelled(&self, name: &str) -> bool {
        self.spellings().any(|s| s == name)
    }
}

impl Kind {
    /// What the flag takes, for messages.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Switch => "no value",
            Self::SwitchOrText | Self::Text | Self::JsonOrText => "a word",
            Self::Integer => "a whole number",
            Self::Count => "a whole number, optionally with k, m, g, t (powers of 1000) or K, M, G, T (powers of 1024)",
            Self::Length => "a number of tokens such as `8192`, `8k` or `8K`, or `auto`",
            Self::Decimal => "a decimal number",
            Self::Json => "JSON, such as `'{\"key\": 1}'`",
            Self::Modalities => "JSON such as `'{\"image\": 4}'`, or `image=4` in versions up to 0.8",
            Self::List => "one word or more",
        }
    }

    /// Whether `text` is such a value.
    #[must_use]
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Switch => values::truth(text).is_some(),
            Self::SwitchOrText | Self::Text | Self::JsonOrText | Self::List => true,
            Self::Integer => values::integer(text).is_some(),
            Self::Count => values::count(text).is_some(),
            Self::Length => is_auto(text) || values::count(text).is_some(),
            Self::Decimal => values::decimal(text).is_some(),
            Self::Json => values::json(text).is_some(),
            Self::Modalities => values::modalities(text).is_some(),
        }
    }

    /// Whether single keys may be set after a dot.
    const fn has_keys(self) -> bool {
        matches!(self, Self::Json | Self::JsonOrText | Self::Modalities)
    }
}

/// `auto` or `-1`: the engine shall choose.
#[must_use]
pub fn is_auto(text: &str) -> bool {
    text.trim() == "-1" || text.trim().eq_ignore_ascii_case("auto")
}
