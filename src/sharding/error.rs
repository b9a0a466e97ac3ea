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
    /// A rank's slice would cut a quantisation group or a packed word.
    #[error("a slice of {features} features of `{module}` cuts a quantisation group or packed word")]
    Quantization {
        /// Module, `{}` for the layer.
        module: String,
        /// Features of the slice.
        features: u64,
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
