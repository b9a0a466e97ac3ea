//! Rank tensors and a checkpoint's headers → the bytes to move.

use std::collections::HashMap;

use super::boxes::strided;
use super::{
    Destination, FileRange, Generator, PlacedFill, PlacedTensor, Placement, RankPlacement, RankPool, SourceFile,
    SourceRead, StridedCopy, TENSOR_ALIGNMENT,
};
use crate::model::{Checkpoint, CheckpointTensor};
use crate::sharding::{BoxCopy, Fill, RankTensor, Where};
use crate::units::{Bytes, DType, round_up};

/// Why a plan cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// The plan needs a tensor that no file holds.
    #[error("rank {rank} needs `{tensor}`, which is in none of the checkpoint's files")]
    Missing {
        /// Rank.
        rank: u32,
        /// Tensor.
        tensor: String,
    },
    /// A stored tensor has another shape than the plan cuts.
    #[error("`{tensor}` has shape {stored:?} in its file, and the plan cuts {planned:?}")]
    Shape {
        /// Tensor.
        tensor: String,
        /// By its header.
        stored: Vec<u64>,
        /// By the plan.
        planned: Vec<u64>,
    },
    /// No conversion leads from the stored element type to the planned one.
    #[error("`{tensor}` is stored as {stored} and wanted as {wanted}, and there is no conversion between the two")]
    Conversion {
        /// Tensor.
        tensor: String,
        /// By its header.
        stored: DType,
        /// By the plan.
        wanted: DType,
    },
    /// The checkpoint is not on this machine.
    #[error("`{0}` is not on this machine")]
    Remote(String),
    /// A slice that does not start at a byte.
    #[error("a slice of `{0}` does not start at a whole byte")]
    SubByte(String),
}

/// What one rank is to hold, and on which of the load's devices.
#[derive(Debug, Clone, Copy)]
pub struct RankRequest<'a> {
    /// Global rank.
    pub rank: u32,
    /// Index into the load's devices.
    pub device: usize,
    /// Its tensors.
    pub tensors: &'a [RankTensor],
}

/// Lays out each rank's arena and finds, for every stored tensor, all the places its bytes go.
///
/// # Errors
/// When checkpoint and plan do not match.
pub fn place(ranks: &[RankRequest<'_>], checkpoint: &Checkpoint) -> Result<Placement, PlacementError> {
    let files = checkpoint
        .files()
        .iter()
        .map(|file| match file.location.path() {
            Some(path) => Ok(SourceFile { path: path.to_owned(), size: file.size }),
            None => Err(PlacementError::Remote(file.name.clone())),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut builder = Builder { checkpoint, reads: HashMap::new() };
    let ranks =
        ranks.iter().enumerate().map(|(index, request)| builder.rank(index, request)).collect::<Result<Vec<_>, _>>()?;
    let mut reads: Vec<SourceRead> = builder.reads.into_values().collect();
    reads.sort_by_key(|read| (read.range.file, read.range.offset));
    Ok(Placement { files, ranks, reads })
}

struct Builder<'a> {
    checkpoint: &'a Checkpoint,
    /// By tensor name.
    reads: HashMap<&'a str, SourceRead>,
}

impl Builder<'_> {
    fn rank(&mut self, index: usize, request: &RankRequest<'_>) -> Result<RankPlacement, PlacementError> {
        let mut tensors = Vec::new();
        let mut end = 0u64;
        for template in request.tensors {
            if matches!(template.fill, Fill::Alias(_)) {
                continue;
            }
            for place in places(&template.place) {
                let bytes = template.bytes_each() * template.copies;
                let placed = PlacedTensor {
                    name: place.name(&template.name),
                    part: template.part,
                    dtype: template.dtype,
                    shape: template.shape.clone(),
                    offset: end,
                    bytes,
                    fills: Vec::new(),
                };
                end = round_up(end.saturating_add(bytes.0), TENSOR_ALIGNMENT);
                tensors.push(placed);
                self.fill(index, request.rank, template, place, &mut tensors)?;
            }
        }
        Ok(RankPlacement {
            rank: request.rank,
            device: request.device,
            arena: Bytes(end),
            tensors,
            pool: RankPool::default(),
        })
    }

    /// Finds what fills the tensor pushed last.
    fn fill(
        &mut self,
        rank_index: usize,
        rank: u32,
        template: &RankTensor,
        place: Place,
        tensors: &mut [PlacedTensor],
    ) -> Result<(), PlacementError> {
        let tensor_index = tensors.len().saturating_sub(1);
        let Some(placed) = tensors.last_mut() else { return Ok(()) };
        let copies = match &template.fill {
            Fill::Files(copies) => copies,
            Fill::Generated | Fill::Alias(_) => {
                placed.fills.push(PlacedFill::Generated(Generator::Computed));
                return Ok(());
            }
        };
        let mut covered = 0u64;
        for copy in copies {
            covered = covered.saturating_add(template.dtype.size(copy.elements()).0);
            // Without experts of its own a copy lands once, in the whole tensor.
            let shape = match &copy.experts {
                None => template.shape.as_slice(),
                Some(_) => template.shape.get(1..).unwrap_or_default(),
            };
            let each = template.dtype.size(shape.iter().copied().fold(1, u64::saturating_mul)).0;
            for (index, source) in (0u64..).zip(place.sources(copy)) {
                let name = source.name(&copy.source.name);
                let stored =
                    self.checkpoint.get(&name).ok_or_else(|| PlacementError::Missing { rank, tensor: name.clone() })?;
                check(stored, copy, template.dtype)?;
                let runs = strided(copy, stored.dtype, template.dtype, shape)
                    .ok_or_else(|| PlacementError::SubByte(name.clone()))?;
                let cast = (stored.dtype != template.dtype).then_some((stored.dtype, template.dtype));
                let read = self.reads.entry(&stored.name).or_insert_with(|| SourceRead {
                    tensor: name,
                    range: FileRange { file: stored.file, offset: stored.offset, len: stored.bytes.0 },
                    destinations: Vec::new(),
                });
                read.destinations.extend(runs.into_iter().map(|run| Destination {
                    rank: rank_index,
                    tensor: tensor_index,
                    copy: StridedCopy {
                        target_offset: run.target_offset.saturating_add(index.saturating_mul(each)),
                        ..run
                    },
                    cast,
                }));
            }
        }
        if covered < placed.bytes.0 {
            placed.fills.push(padding(template, placed.bytes));
        }
        Ok(())
    }
}

/// The part that no file fills: the rows after the last filled one where rows are filled whole, else the whole tensor, before the
/// copies.
fn padding(template: &RankTensor, bytes: Bytes) -> PlacedFill {
    let Fill::Files(copies) = &template.fill else {
        return PlacedFill::Zero { offset: 0, pitch: bytes.0, width: bytes.0, rows: 1 };
    };
    let whole_rows = copies.iter().all(|c| {
        let lengths = c.from.iter().map(|r| r.end - r.start);
        c.experts.is_none()
            && lengths
                .zip(&template.shape)
                .zip(&c.to)
                .skip(1)
                .all(|((length, size), start)| length == *size && *start == 0)
    });
    let filled: u64 = copies.iter().map(BoxCopy::elements).fold(0, u64::saturating_add);
    let offset = if whole_rows { template.dtype.size(filled).0 } else { 0 };
    let width = bytes.0.saturating_sub(offset);
    PlacedFill::Zero { offset, pitch: width, width, rows: 1 }
}

fn check(stored: &CheckpointTensor, copy: &BoxCopy, wanted: DType) -> Result<(), PlacementError> {
    // A scalar is read as a vector of one.
    let scalar = stored.shape.is_empty() && copy.source.shape == [1];
    if stored.shape != copy.source.shape && !scalar {
        return Err(PlacementError::Shape {
            tensor: stored.name.clone(),
            stored: stored.shape.clone(),
            planned: copy.source.shape.clone(),
        });
    }
    let convertible = |d: DType| matches!(d, DType::F16 | DType::BF16 | DType::F32 | DType::F64);
    if stored.dtype != wanted && !(convertible(stored.dtype) && convertible(wanted)) {
        return Err(PlacementError::Conversion { tensor: stored.name.clone(), stored: stored.dtype, wanted });
    }
    Ok(())
}

/// One of the places that a template stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    layer: Option<u32>,
    expert: Option<u32>,
}

impl Place {
    fn of_expert(self, expert: u32) -> Self {
        Self { expert: Some(expert), ..self }
    }

    /// The places of the stored tensors that a copy takes from: this one, or that of each expert.
    pub(super) fn sources(self, copy: &BoxCopy) -> Vec<Self> {
        match &copy.experts {
            None => vec![self],
            Some(experts) => experts.clone().map(|expert| self.of_expert(expert)).collect(),
        }
    }

    /// A template's name here: the first `{}` is the layer, the second the expert.
    pub(super) fn name(self, template: &str) -> String {
        let numbers = [self.layer, self.expert];
        numbers.iter().flatten().fold(template.to_owned(), |name, n| name.replacen("{}", &n.to_string(), 1))
    }
}

pub(super) fn places(place: &Where) -> Vec<Place> {
    let at = |layer| Place { layer: Some(layer), expert: None };
    match place {
        Where::Once => vec![Place { layer: None, expert: None }],
        Where::Layers(layers) => layers.iter().map(at).collect(),
        Where::Experts { layers, experts } => {
            layers.iter().flat_map(|layer| experts.clone().map(move |e| at(layer).of_expert(e))).collect()
        }
    }
}
