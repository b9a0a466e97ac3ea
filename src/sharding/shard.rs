//! Applies an engine's rules to a model: the tensors of one rank.

use std::ops::Range;

use super::slices::Member;
use super::stored::{Built, Cut, Features, FusedMatrix, source_path};
use super::{
    BoxCopy, Device, DeviceMap, Fill, Layout, Rank, RankTensor, ShardError, ShardingRules, SourceTensor, Split, Stage,
    Where,
};
use crate::model::{IndexSet, Instances, Kind, Model, Module, Role, Segment, bias};
use crate::units::DType;

/// The tensors of one rank, in the order of construction.
///
/// Shapes are the same on all ranks of a stage as long as everything divides evenly, which is checked; only the slices differ.
///
/// # Errors
/// When a size does not divide.
pub fn shard(model: &Model, layout: Layout, rules: &ShardingRules, rank: Rank) -> Result<Vec<RankTensor>, ShardError> {
    let stage = rules
        .stages
        .get(rank.pp_rank as usize)
        .ok_or(ShardError::Stages { layers: model.layers, stages: layout.pp })?;
    let member = Member { rank: u64::from(rank.tp_rank), size: u64::from(layout.tp) };
    Shard { model, rules, share: Share::Stage(stage), member }.tensors()
}

/// The tensors that a device map puts on one device, in the order of construction. Modules stay whole.
///
/// # Errors
/// Never for rules that split nothing; the type is that of [`shard`].
pub fn device_share(
    model: &Model,
    rules: &ShardingRules,
    map: &DeviceMap,
    device: Device,
) -> Result<Vec<RankTensor>, ShardError> {
    Shard { model, rules, share: Share::Device(map, device), member: Member { rank: 0, size: 1 } }.tensors()
}

/// Which modules are here.
enum Share<'a> {
    /// Those of a pipeline stage.
    Stage(&'a Stage),
    /// Those that a map puts on a device.
    Device(&'a DeviceMap, Device),
}

struct Shard<'a> {
    model: &'a Model,
    rules: &'a ShardingRules,
    share: Share<'a>,
    member: Member,
}

impl Shard<'_> {
    /// The tensors of all modules that this share has, then what the engine makes itself.
    fn tensors(&self) -> Result<Vec<RankTensor>, ShardError> {
        let mut tensors = Vec::with_capacity(self.model.modules.len() * 2);
        let mut modules = self.model.modules.as_slice();
        while let Some(first) = modules.first() {
            let fused = self.rules.fusion(first.role);
            let count = match fused {
                Some(_) => modules.iter().take_while(|m| m.is_fellow_of(first)).count(),
                None => 1,
            };
            let (group, rest) = modules.split_at(count.max(1));
            modules = rest;
            if let Some(place) = self.place(first) {
                self.group(group, fused, &place, &mut tensors)?;
            }
        }
        for generated in &self.rules.generated {
            if let Some(place) = self.instances(&generated.name, &generated.instances) {
                tensors.push(RankTensor {
                    name: generated.name.clone(),
                    place,
                    part: generated.part,
                    dtype: generated.dtype,
                    shape: generated.shape.clone(),
                    copies: generated.copies,
                    fill: Fill::Generated,
                });
            }
        }
        Ok(tensors)
    }

    /// Where on this rank a module occurs; `None` when it does not.
    fn place(&self, module: &Module) -> Option<Where> {
        match self.share {
            Share::Stage(stage) => {
                let built = match module.role {
                    Role::TokenEmbedding | Role::PositionEmbedding => stage.embedding,
                    Role::LmHead => stage.head,
                    Role::Norm if !matches!(module.instances, Instances::Layers(_)) => stage.final_norm,
                    _ => return self.instances(&module.path, &module.instances),
                };
                built.then_some(Where::Once)
            }
            // A tied head follows the embedding: both are one tensor.
            Share::Device(..) => self.instances(source_path(module), &module.instances),
        }
    }

    fn instances(&self, path: &str, instances: &Instances) -> Option<Where> {
        match (instances, &self.share) {
            (Instances::First | Instances::Last, Share::Stage(_)) => Some(Where::Once),
            (Instances::First | Instances::Last, Share::Device(map, device)) => {
                (map.device_of(path) == *device).then_some(Where::Once)
            }
            (Instances::Layers(layers), share) => {
                let own = match share {
                    Share::Stage(stage) => layers.within(&stage.layers),
                    Share::Device(map, device) => IndexSet::from_indices(
                        layers
                            .iter()
                            .filter(|layer| map.device_of(&path.replacen("{}", &layer.to_string(), 1)) == *device),
                    ),
                };
                (!own.is_empty()).then_some(Where::Layers(own))
            }
        }
    }

    /// The tensors of modules that the engine builds as one (or of a single module).
    fn group(
        &self,
        group: &[Module],
        fused: Option<&'static str>,
        place: &Where,
        out: &mut Vec<RankTensor>,
    ) -> Result<(), ShardError> {
        let Some(first) = group.first() else { return Ok(()) };
        if let Some(alias) = self.alias(first) {
            out.push(alias);
            return Ok(());
        }
        let path = match fused {
            Some(name) if first.parent().is_empty() => name.to_owned(),
            Some(name) => format!("{}.{name}", first.parent()),
            None => first.path.clone(),
        };
        let source_dtype = first.dtype.or(self.model.dtype);
        let target_dtype = first.dtype.unwrap_or(self.rules.dtype);
        let mut push = |name: &str, stored: Option<DType>, (shape, fill): Built| {
            out.push(RankTensor {
                name: format!("{path}.{name}"),
                place: place.clone(),
                part: first.part,
                dtype: stored.unwrap_or(target_dtype),
                shape,
                copies: 1,
                fill,
            });
        };
        match &first.kind {
            Kind::Vectors { width, names } => {
                for name in *names {
                    let source = SourceTensor {
                        name: format!("{}.{name}", first.path),
                        dtype: source_dtype,
                        shape: vec![*width],
                    };
                    let whole = Range { start: 0, end: *width };
                    let copy = BoxCopy { source, from: vec![whole], to: vec![0] };
                    push(name, None, (vec![*width], Fill::Files(vec![copy])));
                }
            }
            Kind::Table { rows, width } => {
                let (from, padded) = match self.rules.split(first.role) {
                    Split::Vocabulary => self.member.vocabulary(*rows, self.rules.vocabulary_multiple)?,
                    Split::Replicated | Split::Column | Split::Row => (0..*rows, *rows),
                };
                let source = SourceTensor {
                    name: format!("{}.weight", first.path),
                    dtype: source_dtype,
                    shape: vec![*rows, *width],
                };
                let copy = BoxCopy { source, from: vec![from, 0..*width], to: vec![0, 0] };
                push("weight", None, (vec![padded, *width], Fill::Files(vec![copy])));
            }
            Kind::Linear { bias: has_bias, .. } => {
                let parts = self.parts(group)?;
                let format = self.model.format(first);
                if group.iter().any(|m| !std::ptr::eq(self.model.format(m), format)) {
                    return Err(ShardError::MixedPrecision { module: path.clone() });
                }
                let fused = FusedMatrix { group, parts: &parts, floor_groups: self.rules.floor_groups };
                for tensor in format.tensors.iter().filter(|t| self.rules.builds(t)) {
                    let dtype = tensor.dtype.or(source_dtype);
                    push(&tensor.name, tensor.dtype, fused.tensor(tensor, dtype)?);
                }
                if *has_bias {
                    push("bias", None, fused.tensor(&bias(), source_dtype)?);
                }
            }
        }
        Ok(())
    }

    /// A tied head: the embedding's own storage when both are here, else a tensor of its own filled from the embedding's bytes.
    fn alias(&self, module: &Module) -> Option<RankTensor> {
        let target = module.tied_to.as_ref()?;
        (self.rules.share_tied && self.has_embedding()).then(|| RankTensor {
            name: format!("{}.weight", module.path),
            place: Where::Once,
            part: module.part,
            dtype: self.rules.dtype,
            shape: Vec::new(),
            copies: 1,
            fill: Fill::Alias(format!("{target}.weight")),
        })
    }

    /// Whether the token embedding is on this rank.
    fn has_embedding(&self) -> bool {
        match self.share {
            Share::Stage(stage) => stage.embedding,
            Share::Device(..) => true,
        }
    }

    /// Input and output features of each module of a group on this rank.
    fn parts(&self, group: &[Module]) -> Result<Vec<Features>, ShardError> {
        let mut parts = Vec::with_capacity(group.len());
        for module in group {
            let Kind::Linear { input, output, .. } = &module.kind else { continue };
            let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
            let whole = Cut::whole;
            let (input_cut, output_cut) = match self.rules.split(module.role) {
                Split::Replicated => (whole(*input), whole(rows)),
                Split::Column => (whole(*input), self.column(output, module)?),
                Split::Row => {
                    let slice = self.member.even(*input, &module.path)?;
                    (Cut { held: slice.end - slice.start, slices: vec![slice] }, whole(rows))
                }
                Split::Vocabulary => {
                    let (slice, held) = self.member.vocabulary(rows, self.rules.vocabulary_multiple)?;
                    (whole(*input), Cut { slices: vec![slice], held })
                }
            };
            parts.push(Features { input: *input, output: rows, input_cut, output_cut });
        }
        Ok(parts)
    }

    fn column(&self, output: &[Segment], module: &Module) -> Result<Cut, ShardError> {
        let mut slices = Vec::with_capacity(output.len());
        let mut start = 0u64;
        for segment in output {
            let own = self.member.segment(segment, self.rules.repeat_kv_heads, &module.path)?;
            slices.push(start + own.start..start + own.end);
            start = start.saturating_add(segment.rows);
        }
        let held = slices.iter().map(|s| s.end - s.start).fold(0, u64::saturating_add);
        Ok(Cut { slices, held })
    }
}
