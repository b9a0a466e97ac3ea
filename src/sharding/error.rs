//! Why a model cannot be divided. Engines put it in their own words.

/// A size that does not divide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Query heads.
    #[error("{heads} attention heads do not divide over {tp} ranks")]
    QueryHeads {
        /// Query heads.
        heads: u64,
        /// Ranks.
        tp: u64,
    },
    /// Key/value heads that neither divide nor repeat evenly.
    #[error("{heads} key/value heads neither divide over {tp} ranks nor repeat evenly on them")]
    KeyValueHeads {
        /// Key/value heads.
        heads: u64,
        /// Ranks.
        tp: u64,
    },
    /// Heads of a state layer.
    #[error("{heads} heads of a state layer do not divide over {tp} ranks")]
    StateHeads {
        /// Heads.
        heads: u64,
        /// Ranks.
        tp: u64,
    },
    /// Groups of a state layer.
    #[error("{groups} groups of a state layer neither divide over {tp} ranks nor are one")]
    StateGroups {
        /// Groups.
        groups: u64,
        /// Ranks.
        tp: u64,
    },
    /// Features of a matrix.
    #[error("{features} features of `{module}` do not divide over {tp} ranks")]
    Features {
        /// Module, `{}` for the layer.
        module: String,
        /// Features.
        features: u64,
        /// Ranks.
        tp: u64,
    },
    /// Padded vocabulary.
    #[error("{rows} padded vocabulary entries do not divide over {tp} ranks")]
    Vocabulary {
        /// Entries after padding.
        rows: u64,
        /// Ranks.
        tp: u64,
    },
    /// A rank's slice would cut a quantisation group, block or packed word.
    #[error("a slice of {features} features of `{module}` cuts a quantisation unit of {unit}")]
    Quantization {
        /// Module, `{}` for the layer.
        module: String,
        /// Whether inputs are cut; else outputs.
        input: bool,
        /// Features of the slice.
        features: u64,
        /// Features of a group, block or word.
        unit: u64,
    },
    /// Matrices that the engine builds as one are stored in different ways.
    #[error("the matrices of `{module}` are stored in different ways, and the engine builds them as one")]
    MixedPrecision {
        /// Fused module, `{}` for the layer.
        module: String,
    },
    /// The state that quantised matrices of the files come with has no order that ranks could divide.
    #[error("the quantisation state of the files cannot be divided over {tp} ranks")]
    QuantizationState {
        /// Ranks.
        tp: u64,
    },
    /// The engine's version runs no such quantisation.
    #[error("this version runs no checkpoints quantised by `{method}`")]
    UnknownMethod {
        /// The method.
        method: String,
    },
    /// No kernel takes weights of so many bits.
    #[error("no kernel takes {bits}-bit weights of {method}")]
    Bits {
        /// The method.
        method: String,
        /// Bits of a weight.
        bits: u64,
    },
    /// The class that the engine runs does not say how ranks divide it.
    #[error("`{class}` does not say how several ranks divide it")]
    NoPlan {
        /// The class.
        class: String,
        /// The last version that had a class of its own, which divided.
        until: String,
    },
    /// The engine gave the class up.
    #[error("`{class}` is not run since {until}")]
    FormerClass {
        /// The class.
        class: String,
        /// The last version that runs it.
        until: String,
    },
    /// More stages than layers, or a partition that does not add up.
    #[error("{layers} layers cannot form {stages} pipeline stages")]
    Stages {
        /// Layers.
        layers: u32,
        /// Stages.
        stages: u32,
    },
}
