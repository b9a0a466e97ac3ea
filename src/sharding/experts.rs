//! Routed experts of a layer as the one tensor that engines keep them in.

use std::ops::Range;

use super::slices::Member;
use super::{BoxCopy, ExpertRule, ShardError, SourceTensor, Split};
use crate::model::{ExpertStack, Kind, Module};
use crate::units::DType;

/// One rank's share of the experts: which of them, and who slices them.
#[derive(Debug, Clone)]
pub(super) struct ExpertShare {
    /// The experts on this rank.
    pub experts: Range<u32>,
    /// Places for copies of experts beside them.
    pub copies: u64,
    /// The rank among those that slice each expert.
    pub member: Member,
}

impl ExpertShare {
    /// The share of `rank`, its place among all ranks of the rule; `None` where experts stay as stored.
    pub fn new(rule: ExpertRule, rank: u64, count: u32) -> Option<Self> {
        match rule {
            ExpertRule::AsStored => None,
            ExpertRule::Sliced { ways } => {
                Some(Self { experts: 0..count, copies: 0, member: Member { rank, size: u64::from(ways) } })
            }
            ExpertRule::Whole { ways, redundant } => {
                // Places are numbered through: those past the last expert hold copies.
                let places = Member { rank, size: u64::from(ways) }.experts(count.saturating_add(redundant));
                let experts = places.start.min(count)..places.end.min(count);
                let copies = (places.len() - experts.len()) as u64;
                Some(Self { experts, copies, member: Member { rank: 0, size: 1 } })
            }
        }
    }

    /// Number of places for experts on this rank.
    pub fn count(&self) -> u64 {
        (self.experts.len() as u64).saturating_add(self.copies)
    }

    /// A tensor of one expert, made the tensor of all the rank's experts.
    pub fn stacked(&self, (shape, copies): (Vec<u64>, Vec<BoxCopy>)) -> (Vec<u64>, Vec<BoxCopy>) {
        let shape = std::iter::once(self.count()).chain(shape).collect();
        let copies = copies.into_iter().map(|c| BoxCopy { experts: Some(self.experts.clone()), ..c }).collect();
        (shape, copies)
    }
}

/// Name, shape and copies of a rank's tensor.
pub(super) type Filled = (String, Vec<u64>, Vec<BoxCopy>);

/// A rank's tensors of modules whose experts lie in one tensor of the checkpoint.
///
/// The rank's tensor lies as the stored one does (an engine that turns matrices round holds as many bytes).
pub(super) fn stacks(
    group: &[Module],
    share: &ExpertShare,
    split: Split,
    dtype: Option<DType>,
) -> Result<Vec<Filled>, ShardError> {
    let mut cuts = Vec::with_capacity(group.len());
    for module in group {
        if let Kind::Stack(stack) = &module.kind {
            cuts.push(Cut::new(module, stack, share, split)?);
        }
    }
    let Some(first) = cuts.first() else { return Ok(Vec::new()) };
    let total: u64 = cuts.iter().map(|c| c.rows_held).fold(0, u64::saturating_add);
    let matrix = first.matrix_shape(share.count(), total);
    let mut copies = Vec::new();
    let mut bias_copies = Vec::new();
    let mut start = 0;
    for cut in &cuts {
        cut.matrix_copies(share, total, start, dtype, &mut copies);
        cut.bias_copies(share, start, dtype, &mut bias_copies);
        start += cut.rows_held;
    }
    let mut filled = vec![("weight".to_owned(), matrix, copies)];
    if !bias_copies.is_empty() {
        filled.push(("bias".to_owned(), vec![share.count(), total], bias_copies));
    }
    Ok(filled)
}

/// A rank's part of one stored stack.
struct Cut<'a> {
    module: &'a Module,
    stack: &'a ExpertStack,
    input: Range<u64>,
    rows: Vec<Range<u64>>,
    rows_held: u64,
}

impl<'a> Cut<'a> {
    fn new(module: &'a Module, stack: &'a ExpertStack, share: &ExpertShare, split: Split) -> Result<Self, ShardError> {
        let whole = 0..stack.rows();
        let (input, rows) = match split {
            Split::Column => (0..stack.input, share.member.segments(&stack.output, true, &module.path)?),
            Split::Row => (share.member.even(stack.input, &module.path)?, vec![whole]),
            Split::Replicated | Split::Vocabulary => (0..stack.input, vec![whole]),
        };
        let rows_held = rows.iter().map(|r| r.end - r.start).fold(0, u64::saturating_add);
        Ok(Self { module, stack, input, rows, rows_held })
    }

    /// Input features on the rank.
    fn input_held(&self) -> u64 {
        self.input.end - self.input.start
    }

    /// Shape of the rank's tensor with `total` output features.
    fn matrix_shape(&self, experts: u64, total: u64) -> Vec<u64> {
        let (outer, inner) =
            if self.stack.transposed { (self.input_held(), total) } else { (total, self.input_held()) };
        if self.stack.folded { vec![experts.saturating_mul(outer), inner] } else { vec![experts, outer, inner] }
    }

    fn source(&self, name: &str, shape: Vec<u64>, dtype: Option<DType>) -> SourceTensor {
        SourceTensor { name: format!("{}.{name}", self.module.path), dtype, shape }
    }

    /// The boxes that fill output features from `start` on.
    fn matrix_copies(
        &self,
        share: &ExpertShare,
        total: u64,
        start: u64,
        dtype: Option<DType>,
        copies: &mut Vec<BoxCopy>,
    ) {
        let stack = self.stack;
        let (stored_outer, held_outer) =
            if stack.transposed { (stack.input, self.input_held()) } else { (stack.rows(), total) };
        let mut to_row = start;
        for rows in &self.rows {
            let (outer, inner, to_outer, to_inner) = if stack.transposed {
                (self.input.clone(), rows.clone(), 0, to_row)
            } else {
                (rows.clone(), self.input.clone(), to_row, 0)
            };
            to_row += rows.end - rows.start;
            let mut push = |from, to| {
                let source = self.source(stack.name, stack.shape(), dtype);
                copies.push(BoxCopy { source, from, to, experts: None });
            };
            if !stack.folded {
                let experts = u64::from(share.experts.start)..u64::from(share.experts.end);
                push(vec![experts, outer, inner], vec![0, to_outer, to_inner]);
                continue;
            }
            for (held, expert) in share.experts.clone().enumerate() {
                let first = u64::from(expert).saturating_mul(stored_outer);
                let to = (held as u64).saturating_mul(held_outer).saturating_add(to_outer);
                push(vec![first + outer.start..first + outer.end, inner.clone()], vec![to, to_inner]);
            }
        }
    }

    fn bias_copies(&self, share: &ExpertShare, start: u64, dtype: Option<DType>, copies: &mut Vec<BoxCopy>) {
        let Some(name) = self.stack.bias else { return };
        let shape = vec![u64::from(self.stack.experts), self.stack.rows()];
        let experts = u64::from(share.experts.start)..u64::from(share.experts.end);
        let mut to_row = start;
        for rows in &self.rows {
            let source = self.source(name, shape.clone(), dtype);
            let from = vec![experts.clone(), rows.clone()];
            copies.push(BoxCopy { source, from, to: vec![0, to_row], experts: None });
            to_row += rows.end - rows.start;
        }
    }
}
