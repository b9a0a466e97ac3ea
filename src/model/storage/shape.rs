//! Shapes of the tensors that a matrix is stored in, as functions of its features.

use crate::profiles::{Held, JointExperts};
use crate::units::{DType, ceil_div};

/// What of a matrix a dimension counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Input features (K).
    Input,
    /// Output features (N).
    Output,
    /// All elements, output by output: formats that flatten the matrix.
    Elements,
    /// One a matrix; an engine that fuses matrices has one for each.
    Member,
    /// Nothing of the matrix.
    Fixed,
}

/// One dimension of a stored tensor: `ceil(features · times / per)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dim {
    /// What it counts.
    pub axis: Axis,
    /// Units of one feature: the bits of a weight packed into words, the size itself for [`Axis::Fixed`], 1 elsewhere.
    pub times: u64,
    /// Units covered by one index: 1 for plain matrices, 32 bits for packed words, the group size for scales.
    pub per: u64,
    /// Whether every rank keeps the whole dimension although its features are divided: groups that do not follow the order of the
    /// features (GPTQ act-order), or a single group for all of them.
    pub uncut: bool,
}

impl Dim {
    /// Its size for one matrix of these features.
    #[must_use]
    pub fn size(&self, input: u64, output: u64) -> u64 {
        self.count(match self.axis {
            Axis::Input => input,
            Axis::Output => output,
            Axis::Elements => input.saturating_mul(output),
            Axis::Member | Axis::Fixed => 1,
        })
    }

    /// Indices that hold so many of what it counts.
    #[must_use]
    pub fn count(&self, counted: u64) -> u64 {
        ceil_div(counted.saturating_mul(self.times), self.per)
    }

    /// The index at which number `counted` of what it counts starts, or `None` when that lies inside an index (a cut there would split a
    /// word or a group).
    #[must_use]
    pub const fn index_of(&self, counted: u64) -> Option<u64> {
        let units = counted.saturating_mul(self.times);
        if self.per != 0 && units.is_multiple_of(self.per) { Some(units / self.per) } else { None }
    }

    /// One index per feature.
    #[must_use]
    pub const fn each(axis: Axis) -> Self {
        Self { axis, times: 1, per: 1, uncut: false }
    }

    /// The same size whatever the matrix.
    #[must_use]
    pub const fn fixed(size: u64) -> Self {
        Self { axis: Axis::Fixed, times: size, per: 1, uncut: false }
    }

    /// Whether it counts groups of inputs that share a scale.
    #[must_use]
    pub fn is_group(&self) -> bool {
        self.axis == Axis::Input && self.times == 1 && self.per > 1
    }
}

/// One tensor that a matrix is stored in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// Parameter suffix (`weight`, `qweight`).
    pub name: String,
    /// Element type; `None` is the model's.
    pub dtype: Option<DType>,
    /// Dimensions, outermost first.
    pub dims: Vec<Dim>,
    /// Who has it.
    pub held: Held,
    /// Whether engines that keep all experts of a layer in one tensor have it.
    pub experts: JointExperts,
}

impl StoredTensor {
    /// Its shape for a matrix of these features.
    #[must_use]
    pub fn shape(&self, input: u64, output: u64) -> Vec<u64> {
        self.dims.iter().map(|d| d.size(input, output)).collect()
    }

    /// Whether one tensor of a fused module cannot hold those of all its matrices: none of its dimensions grows with them.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !self.dims.iter().any(|d| matches!(d.axis, Axis::Output | Axis::Elements | Axis::Member))
    }
}

/// How a matrix is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Its tensors, without the bias.
    pub tensors: Vec<StoredTensor>,
}

impl Format {
    /// One weight, `output × input`.
    #[must_use]
    pub fn plain() -> Self {
        Self::weight([Axis::Output, Axis::Input])
    }

    /// One weight, `input × output`.
    #[must_use]
    pub fn transposed() -> Self {
        Self::weight([Axis::Input, Axis::Output])
    }

    fn weight(axes: [Axis; 2]) -> Self {
        let dims = axes.into_iter().map(Dim::each).collect();
        Self {
            tensors: vec![StoredTensor {
                name: "weight".to_owned(),
                dtype: None,
                dims,
                held: Held::Everywhere,
                experts: JointExperts::Alike,
            }],
        }
    }

    /// The tensors that a checkpoint's files hold.
    pub fn in_files(&self) -> impl Iterator<Item = &StoredTensor> {
        self.tensors.iter().filter(|t| t.held != Held::Engine)
    }
}

/// A bias: one value an output feature, in the model's element type whatever the format of the matrix.
#[must_use]
pub fn bias() -> StoredTensor {
    StoredTensor {
        name: "bias".to_owned(),
        dtype: None,
        dims: vec![Dim::each(Axis::Output)],
        held: Held::Everywhere,
        experts: JointExperts::Alike,
    }
}
