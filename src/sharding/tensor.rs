//! One rank's tensors as the engine constructs them, each with what fills it.

use std::ops::Range;

use crate::model::{IndexSet, Part};
use crate::units::{Bytes, DType};

/// Where on a rank a tensor occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// Once.
    Once,
    /// In each of these layers (or blocks of a tower).
    Layers(IndexSet),
    /// For each of these experts in each of these layers, where an engine keeps experts apart.
    Experts {
        /// The layers.
        layers: IndexSet,
        /// The experts.
        experts: Range<u32>,
    },
}

impl Where {
    /// How many tensors.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Once => 1,
            Self::Layers(layers) => layers.len(),
            Self::Experts { layers, experts } => layers.len().saturating_mul(experts.len() as u64),
        }
    }
}

/// A tensor of a rank, standing for its instances in all the rank's layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankTensor {
    /// Name in the engine, `{}` for the layer.
    pub name: String,
    /// Where it occurs.
    pub place: Where,
    /// Part of the model.
    pub part: Part,
    /// Element type on the card.
    pub dtype: DType,
    /// Shape on the card.
    pub shape: Vec<u64>,
    /// Tensors of this shape at each place (the scales of one attention layer).
    pub copies: u64,
    /// What fills it.
    pub fill: Fill,
}

impl RankTensor {
    /// Bytes of one instance. A tensor that shares another's storage has none of its own.
    #[must_use]
    pub fn bytes_each(&self) -> Bytes {
        match self.fill {
            Fill::Alias(_) => Bytes::ZERO,
            Fill::Files(_) | Fill::Generated => {
                self.dtype.size(self.shape.iter().copied().fold(1, u64::saturating_mul))
            }
        }
    }

    /// Bytes of all instances on the rank.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.bytes_each() * self.copies.saturating_mul(self.place.count())
    }

    /// The part of [`RankTensor::bytes`] that comes from files, counted as it is on the card.
    #[must_use]
    pub fn file_bytes(&self) -> Bytes {
        match &self.fill {
            Fill::Files(copies) => {
                let elements = copies.iter().map(BoxCopy::elements).fold(0, u64::saturating_add);
                self.dtype.size(elements) * self.place.count()
            }
            Fill::Generated | Fill::Alias(_) => Bytes::ZERO,
        }
    }
}

/// What a tensor holds after loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fill {
    /// Boxes of checkpoint tensors; what they leave open is zero.
    Files(Vec<BoxCopy>),
    /// Values the engine computes.
    Generated,
    /// The storage of another tensor, by name.
    Alias(String),
}

/// A tensor of the checkpoint, by template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTensor {
    /// Name, `{}` for the layer.
    pub name: String,
    /// Element type; `None` where the config states none.
    pub dtype: Option<DType>,
    /// Whole shape.
    pub shape: Vec<u64>,
}

/// A box of a checkpoint tensor and where it lands. Source and target have the same number of dimensions, unless the copy repeats over
/// experts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoxCopy {
    /// Where it comes from.
    pub source: SourceTensor,
    /// Indices of the source, per dimension.
    pub from: Vec<Range<u64>>,
    /// First index in the target, per dimension; without the outermost one where the copy repeats over experts.
    pub to: Vec<u64>,
    /// Where each of these experts has a tensor of its own in the checkpoint, and the target holds them all: the source's second `{}` runs
    /// over them, and the first of them lands at index 0 of the target's outermost dimension.
    pub experts: Option<Range<u32>>,
}

impl BoxCopy {
    /// Elements moved.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.elements_each().saturating_mul(self.experts.as_ref().map_or(1, |experts| experts.len() as u64))
    }

    /// Elements moved for one expert (or in all, where the copy does not repeat).
    #[must_use]
    pub fn elements_each(&self) -> u64 {
        self.from.iter().map(|r| r.end.saturating_sub(r.start)).fold(1, u64::saturating_mul)
    }
}
