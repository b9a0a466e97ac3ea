//! One stored tensor of a matrix, or of several that an engine builds as one: its shape on a rank, and what fills it.

use std::ops::Range;

use super::{BoxCopy, ShardError, SourceTensor};
use crate::model::{Axis, Dim, Kind, Module, Segment, SegmentKind, StoredTensor};
use crate::profiles::{Held, JointExperts};
use crate::units::DType;

/// Slices of one axis, and how many features the rank holds with padding.
pub(super) struct Cut {
    pub slices: Vec<Range<u64>>,
    pub held: u64,
}

impl Cut {
    /// All features of an axis.
    pub fn whole(features: u64) -> Self {
        Self { slices: vec![Range { start: 0, end: features }], held: features }
    }
}

/// A rank's part of one matrix, in features.
pub(super) struct Features {
    pub input: u64,
    pub output: u64,
    pub input_cut: Cut,
    pub output_cut: Cut,
}

impl Features {
    /// Whether the rank has only some of the inputs.
    fn cuts_input(&self) -> bool {
        self.input_cut.held != self.input
    }

    fn input_slice(&self) -> Range<u64> {
        self.input_cut.slices.first().cloned().unwrap_or(0..0)
    }
}

/// Matrices that an engine builds as one (or a single one): outputs follow each other, inputs are shared.
pub(super) struct FusedMatrix<'a> {
    pub group: &'a [Module],
    pub parts: &'a [Features],
    /// Whether a slice may cut a quantisation group.
    pub floor_groups: bool,
    /// Inputs of a group of tensors that the engine makes with groups of its own.
    pub own_group: Option<u64>,
}

/// Shape of a tensor and what is copied to it.
pub(super) type Filled = (Vec<u64>, Vec<BoxCopy>);

impl FusedMatrix<'_> {
    /// Shape and slices of one stored tensor.
    pub fn tensor(&self, tensor: &StoredTensor, dtype: Option<DType>) -> Result<Filled, ShardError> {
        let own = self.own_group.filter(|_| tensor.experts == JointExperts::InBytes);
        let regrouped = |dim: &Dim| match own {
            Some(per) if dim.is_group() => Dim { per, ..*dim },
            _ => *dim,
        };
        let shape = tensor.dims.iter().map(|dim| self.size(&regrouped(dim))).collect();
        if tensor.held == Held::Engine {
            return Ok((shape, Vec::new()));
        }
        let mut copies = Vec::new();
        let (mut output_start, mut member) = (0u64, 0u64);
        for (module, part) in self.group.iter().zip(self.parts) {
            // Engines let the last module's tensor overwrite the others' where one cannot hold them all.
            if tensor.is_shared() {
                copies.clear();
            }
            let by_output = tensor.dims.iter().any(|d| d.axis == Axis::Output || d.axis == Axis::Elements);
            let slices = if by_output { part.output_cut.slices.len() } else { 1 };
            let mut slice_start = output_start;
            for slice in part.output_cut.slices.iter().take(slices) {
                let start = Start { output: slice_start, member };
                copies.push(self.copy(tensor, dtype, module, part, slice, start)?);
                slice_start = slice_start.saturating_add(slice.end.saturating_sub(slice.start));
            }
            output_start = output_start.saturating_add(part.output_cut.held);
            member = member.saturating_add(members(module));
        }
        Ok((shape, copies))
    }

    fn size(&self, dim: &Dim) -> u64 {
        let (held, whole) = self.parts.first().map_or((0, 0), |p| (p.input_cut.held, p.input));
        let output = || self.parts.iter().map(|p| p.output_cut.held).fold(0, u64::saturating_add);
        let counted = match dim.axis {
            Axis::Input if dim.uncut => whole,
            Axis::Input if self.drops_group(dim, held) && held != whole => return held / dim.per,
            Axis::Input => held,
            Axis::Output => output(),
            Axis::Elements => held.saturating_mul(output()),
            Axis::Member => self.group.iter().map(members).fold(0, u64::saturating_add),
            Axis::Fixed => 1,
        };
        dim.count(counted)
    }

    /// Whether so many inputs end inside a group, which the engine then leaves out.
    fn drops_group(&self, dim: &Dim, held: u64) -> bool {
        self.floor_groups && dim.is_group() && dim.index_of(held).is_none()
    }

    /// What one slice of outputs of one module contributes.
    fn copy(
        &self,
        tensor: &StoredTensor,
        dtype: Option<DType>,
        module: &Module,
        part: &Features,
        outputs: &Range<u64>,
        start: Start,
    ) -> Result<BoxCopy, ShardError> {
        let mut from = Vec::with_capacity(tensor.dims.len());
        let mut to = Vec::with_capacity(tensor.dims.len());
        for dim in &tensor.dims {
            let cut = |features: u64| ShardError::Quantization {
                module: module.path.clone(),
                input: dim.axis == Axis::Input,
                features,
                unit: if dim.is_group() || dim.times == 1 { dim.per } else { dim.per / dim.times.max(1) },
            };
            let times = |range: &Range<u64>, n: u64| range.start.saturating_mul(n)..range.end.saturating_mul(n);
            let (slice, first, whole) = match dim.axis {
                Axis::Input if dim.uncut => (0..part.input, 0, part.input),
                Axis::Input => (part.input_slice(), 0, part.input),
                Axis::Output => (outputs.clone(), start.output, part.output),
                // Flattened rows of a slice follow each other only where no input is cut off them.
                Axis::Elements if part.cuts_input() => return Err(cut(part.input_cut.held)),
                Axis::Elements => (
                    times(outputs, part.input),
                    start.output.saturating_mul(part.input),
                    part.output.saturating_mul(part.input),
                ),
                Axis::Member => (0..1, start.member, 1),
                Axis::Fixed => (0..1, 0, 1),
            };
            let held = slice.end.saturating_sub(slice.start);
            from.push(match indices(dim, &slice, whole) {
                Some(found) => found,
                // The engine divides by the floored group count, so rank r starts at r times it.
                None if held > 0 && self.drops_group(dim, held) => {
                    let groups = held / dim.per;
                    let first = slice.start / held * groups;
                    first..first.saturating_add(groups)
                }
                None => return Err(cut(held)),
            });
            to.push(dim.index_of(first).ok_or_else(|| cut(first))?);
        }
        let shape = tensor.shape(part.input, part.output);
        let source = SourceTensor { name: format!("{}.{}", source_path(module), tensor.name), dtype, shape };
        Ok(BoxCopy { source, from, to, experts: None })
    }
}

/// Where a module's part begins in the fused tensor.
#[derive(Clone, Copy)]
struct Start {
    output: u64,
    member: u64,
}

/// Matrices that an engine tells apart in a module: files can hold several as one.
fn members(module: &Module) -> u64 {
    let of_segment = |segment: &Segment| match segment.kind {
        SegmentKind::HeadGroups { .. } => 3,
        _ => 1,
    };
    match &module.kind {
        Kind::Linear { output, .. } => output.iter().map(of_segment).sum(),
        _ => 1,
    }
}

/// Name of the module in the checkpoint whose tensors fill this one: a tied head has the embedding's.
pub(super) fn source_path(module: &Module) -> &str {
    module.tied_to.as_deref().unwrap_or(&module.path)
}

/// Indices of a stored dimension that hold a slice; `None` when the slice cuts an index in two.
fn indices(dim: &Dim, slice: &Range<u64>, whole: u64) -> Option<Range<u64>> {
    let end = if slice.end == whole { dim.count(whole) } else { dim.index_of(slice.end)? };
    Some(dim.index_of(slice.start)?..end)
}
