//! Experts of a layer whose matrices lie in one tensor of blocks: numbers of a few bits, and the scales of the blocks.

use std::ops::Range;

use super::experts::ExpertShare;
use super::{BoxCopy, ShardError, SourceTensor, Split};
use crate::model::{Axis, Dim, ExpertStack, Format, Kind, Module, Segment};
use crate::units::{DType, round_up};

/// Sizes that a kernel wants experts padded to: width of an expert's slice, and hidden state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertPadding {
    /// The width of a rank's slice is a multiple of this.
    pub width: u64,
    /// The hidden state is a multiple of this.
    pub hidden: u64,
}

impl ExpertPadding {
    /// No padding.
    pub const NONE: Self = Self { width: 1, hidden: 1 };
}

/// One tensor of a rank.
pub(super) struct Packed {
    pub name: String,
    /// Element type; `None` is the engine's for weights.
    pub dtype: Option<DType>,
    pub shape: Vec<u64>,
    pub copies: Vec<BoxCopy>,
}

/// A rank's tensors of a stack stored in blocks. Slices are whole blocks of the width, so the last rank can have fewer, and padding fills
/// what the shape leaves open.
pub(super) fn blocks(
    group: &[Module],
    share: &ExpertShare,
    split: Split,
    format: &Format,
    padding: ExpertPadding,
    dtype: Option<DType>,
) -> Result<Vec<Packed>, ShardError> {
    let mut filled = Vec::new();
    for module in group {
        let Kind::Stack(stack) = &module.kind else { continue };
        let cut = Cut::new(module, stack, share, split, format, padding)?;
        for tensor in format.in_files() {
            // What engines call a weight, files call blocks.
            let name = if tensor.name == "blocks" { "weight" } else { "weight_scale" };
            let shape = tensor.shape(stack.input, stack.rows());
            let (held, from): (Vec<_>, Vec<_>) = tensor.dims.iter().map(|dim| cut.dimension(dim)).unzip();
            let source = format!("{}.{}_{}", module.path, stack.name, tensor.name);
            filled.push(cut.filled(name, source, tensor.dtype, (shape, held, from)));
        }
        if let Some(bias) = stack.bias {
            let rows = Dim::each(Axis::Output);
            let (held, from) = cut.dimension(&rows);
            let source = format!("{}.{bias}", module.path);
            let bias = cut.filled("bias", source, dtype, (vec![stack.rows()], vec![held], vec![from]));
            filled.push(Packed { dtype: None, ..bias });
        }
    }
    Ok(filled)
}

/// A rank's part of one stack.
struct Cut<'a> {
    share: &'a ExpertShare,
    experts: u64,
    input: Range<u64>,
    input_held: u64,
    rows: Range<u64>,
    rows_held: u64,
}

impl<'a> Cut<'a> {
    fn new(
        module: &Module,
        stack: &ExpertStack,
        share: &'a ExpertShare,
        split: Split,
        format: &Format,
        padding: ExpertPadding,
    ) -> Result<Self, ShardError> {
        let unit =
            format.tensors.iter().flat_map(|t| &t.dims).filter(|d| d.is_group()).map(|d| d.per).max().unwrap_or(1);
        // Gate and up alternate row by row where a stack has both in one segment.
        let matrices = match stack.output.as_slice() {
            [Segment { rows, .. }] if split == Split::Column && rows.is_multiple_of(2) => 2,
            segments => segments.len().max(1) as u64,
        };
        let width = match split {
            Split::Column => stack.rows() / matrices,
            Split::Row => stack.input,
            Split::Replicated | Split::Vocabulary => return Err(misfit(module, stack.rows(), share)),
        };
        share.member.even(width, &module.path)?;
        let blocks = width.div_ceil(unit).div_ceil(share.member.size.max(1)).saturating_mul(unit);
        let start = share.member.rank.saturating_mul(blocks).min(width);
        let slice = start..start.saturating_add(blocks).min(width);
        let held = round_up(width / share.member.size.max(1), padding.width).max(slice.end - slice.start);
        let hidden = |size: u64| round_up(size, padding.hidden);
        let experts = u64::from(stack.experts);
        Ok(if split == Split::Column {
            let rows = slice.start.saturating_mul(matrices)..slice.end.saturating_mul(matrices);
            let rows_held = held.saturating_mul(matrices);
            Self { share, experts, input: 0..stack.input, input_held: hidden(stack.input), rows, rows_held }
        } else {
            let rows = 0..stack.rows();
            Self { share, experts, input: slice, input_held: held, rows, rows_held: hidden(stack.rows()) }
        })
    }

    /// Size of a dimension on the rank, and which indices of the stored one fill it.
    fn dimension(&self, dim: &Dim) -> (u64, Range<u64>) {
        let (held, slice) = match dim.axis {
            Axis::Input => (self.input_held, &self.input),
            Axis::Output => (self.rows_held, &self.rows),
            Axis::Elements | Axis::Member | Axis::Fixed => return (dim.count(1), 0..dim.count(1)),
        };
        (dim.count(held), dim.count(slice.start)..dim.count(slice.end))
    }

    fn filled(
        &self,
        name: &str,
        source: String,
        dtype: Option<DType>,
        (shape, held, from): (Vec<u64>, Vec<u64>, Vec<Range<u64>>),
    ) -> Packed {
        let own = u64::from(self.share.experts.start)..u64::from(self.share.experts.end);
        let to = vec![0; shape.len() + 1];
        let source = SourceTensor { name: source, dtype, shape: prepend(self.experts, shape) };
        let copy = BoxCopy { source, from: prepend(own, from), to, experts: None };
        Packed { name: name.to_owned(), dtype, shape: prepend(self.share.count(), held), copies: vec![copy] }
    }
}

fn prepend<T>(first: T, rest: Vec<T>) -> Vec<T> {
    std::iter::once(first).chain(rest).collect()
}

fn misfit(module: &Module, features: u64, share: &ExpertShare) -> ShardError {
    ShardError::Features { module: module.path.clone(), features, tp: share.member.size }
}
