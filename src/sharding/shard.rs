//! Applies an engine's rules to a model: the tensors of one rank.

use super::experts::{ExpertShare, stacks};
use super::packed_experts;
use super::slices::Member;
use super::stored::{Cut, Features, Filled, FusedMatrix};
use super::{BoxCopy, Fill, Layout, Rank, RankTensor, ShardError, ShardingRules, SourceTensor, Split, Stage, Where};
use crate::model::{IndexSet, Instances, Kind, Model, Module, Part, Role, RowParameter, Segment, bias};
use crate::units::{DType, round_up};

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

/// All tensors of a model on one device, in the order of construction.
///
/// # Errors
/// Never for rules that split nothing; the type is that of [`shard`].
pub fn whole_model(model: &Model, rules: &ShardingRules) -> Result<Vec<RankTensor>, ShardError> {
    Shard { model, rules, share: Share::Whole, member: Member { rank: 0, size: 1 } }.tensors()
}

/// Which modules are here.
enum Share<'a> {
    /// Those of a pipeline stage.
    Stage(&'a Stage),
    /// All of them.
    Whole,
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
            if let Some(place) = self.instances(&generated.instances) {
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
                let built = match (module.role, &module.instances) {
                    // Towers are built on every stage.
                    _ if module.part == Part::Vision => true,
                    (Role::LmHead, _) => stage.head,
                    (_, Instances::First) => stage.embedding,
                    (_, Instances::Last) => stage.final_norm,
                    (_, Instances::Layers(_) | Instances::Tower(_) | Instances::Experts { .. }) => true,
                };
                built.then(|| self.instances(&module.instances)).flatten()
            }
            Share::Whole => self.instances(&module.instances),
        }
    }

    fn instances(&self, instances: &Instances) -> Option<Where> {
        let own = |layers: &IndexSet| match self.share {
            Share::Stage(stage) => layers.within(&stage.layers),
            Share::Whole => layers.clone(),
        };
        let somewhere = |layers: IndexSet| (!layers.is_empty()).then_some(layers);
        match instances {
            Instances::First | Instances::Last => Some(Where::Once),
            Instances::Layers(layers) => somewhere(own(layers)).map(Where::Layers),
            Instances::Experts { layers, experts } => {
                somewhere(own(layers)).map(|layers| Where::Experts { layers, experts: 0..*experts })
            }
            Instances::Tower(blocks) => Some(Where::Layers(blocks.clone())),
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
        let experts = self.expert_share(first);
        let member = experts.as_ref().map_or(self.member, |share| share.member);
        // Experts in one tensor: the layer's place, the path without the expert.
        let (place, parent) = match (&experts, place) {
            (Some(_), Where::Experts { layers, .. }) => {
                (Where::Layers(layers.clone()), first.parent().trim_end_matches(".{}"))
            }
            (Some(_), _) => (place.clone(), first.path.as_str()),
            (None, _) => (place.clone(), first.parent()),
        };
        let path = match fused {
            Some(name) if experts.is_some() => format!("{parent}.{name}"),
            // What is stored as one keeps its name.
            Some(_) if group.len() == 1 => first.path.clone(),
            Some(name) if parent.is_empty() => name.to_owned(),
            Some(name) => format!("{parent}.{name}"),
            None => first.path.clone(),
        };
        let joint = if experts.is_some() { '_' } else { '.' };
        let source_dtype = first.dtype.or(self.model.dtype);
        let target_dtype = self.rules.dtype_of(first.role).or(first.dtype).unwrap_or(self.rules.dtype);
        let mut push = |name: &str, stored: Option<DType>, (shape, copies): Filled| {
            out.push(RankTensor {
                name: format!("{path}{joint}{name}"),
                place: place.clone(),
                part: first.part,
                dtype: stored.unwrap_or(target_dtype),
                shape,
                copies: 1,
                // What nothing is copied to, the engine makes.
                fill: if copies.is_empty() { Fill::Generated } else { Fill::Files(copies) },
            });
        };
        let stacked = |filled| match &experts {
            Some(share) => share.stacked(filled),
            None => filled,
        };
        match &first.kind {
            Kind::Vectors { width, names } => {
                for name in *names {
                    push(name, None, whole_tensor(first, name, &[*width], source_dtype));
                }
            }
            Kind::Buffers(buffers) => {
                for buffer in buffers {
                    let name = format!("{}.{}", first.path, buffer.name);
                    let elements = buffer.shape.iter().copied().fold(1, u64::saturating_mul);
                    let (dtype, shape) = match self.rules.tabled.iter().find(|t| name.ends_with(t.suffix)) {
                        Some(table) => (self.rules.dtype, vec![table.rows, elements.saturating_mul(2)]),
                        None => (buffer.dtype, buffer.shape.clone()),
                    };
                    out.push(RankTensor {
                        name,
                        place: place.clone(),
                        part: first.part,
                        dtype,
                        shape,
                        copies: 1,
                        fill: Fill::Generated,
                    });
                }
            }
            Kind::Tensors(tensors) => {
                for (name, shape) in tensors {
                    push(name, None, whole_tensor(first, name, shape, source_dtype));
                }
            }
            Kind::Rows { output, parameters } => {
                let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
                let padded = |cut: Cut| match self.rules.row_multiples.iter().find(|(role, _)| *role == first.role) {
                    Some((_, multiple)) => Cut { held: round_up(cut.held, *multiple), ..cut },
                    None => cut,
                };
                let cut = match self.rules.split_of(first) {
                    Split::Column => padded(self.column(output, first, self.member)?),
                    Split::Vocabulary => {
                        let (slice, held) = self.member.vocabulary(rows, self.rules.vocabulary_multiple)?;
                        Cut { slices: vec![slice], held }
                    }
                    Split::Replicated | Split::Row => Cut::whole(rows),
                };
                for parameter in parameters {
                    push(parameter.name, None, cut_rows(first, parameter, rows, &cut, source_dtype));
                }
            }
            Kind::Table { rows, width } => {
                let built = self.rules.embedding_rows.filter(|_| first.role == Role::TokenEmbedding);
                let (from, padded) = match self.rules.split_of(first) {
                    Split::Vocabulary => {
                        self.member.vocabulary(built.unwrap_or(*rows).min(*rows), self.rules.vocabulary_multiple)?
                    }
                    Split::Replicated | Split::Column | Split::Row => (0..*rows, *rows),
                };
                let source = SourceTensor {
                    name: format!("{}.weight", first.path),
                    dtype: source_dtype,
                    shape: vec![*rows, *width],
                };
                let copy = BoxCopy { source, from: vec![from, 0..*width], to: vec![0, 0], experts: None };
                push("weight", None, (vec![padded, *width], vec![copy]));
            }
            Kind::Linear { bias: has_bias, .. } | Kind::Conv1d { bias: has_bias, .. } => {
                let format = self.model.format(first);
                if group.iter().any(|m| !std::ptr::eq(self.model.format(m), format)) {
                    return Err(ShardError::MixedPrecision { module: path.clone() });
                }
                let parts = self.parts(group, member)?;
                let floor_groups =
                    if experts.is_some() { self.rules.floor_expert_groups } else { self.rules.floor_groups };
                let fused = FusedMatrix { group, parts: &parts, floor_groups, own_group: self.rules.expert_bytes };
                for tensor in format.tensors.iter().filter(|t| self.rules.builds(t, experts.is_some())) {
                    let dtype = tensor.dtype.or(source_dtype);
                    push(&tensor.name, tensor.dtype, stacked(fused.tensor(tensor, dtype)?));
                }
                if *has_bias {
                    push("bias", None, stacked(fused.tensor(&bias(), source_dtype)?));
                }
            }
            Kind::Stack(stack) => match &experts {
                Some(share) if self.model.is_quantised(first) => {
                    let (split, padding) = (self.rules.split(first.role), self.rules.expert_padding);
                    let format = self.model.format(first);
                    for packed in packed_experts::blocks(group, share, split, format, padding, source_dtype)? {
                        push(&packed.name, packed.dtype, (packed.shape, packed.copies));
                    }
                }
                None if self.model.is_quantised(first) => {
                    for tensor in self.model.format(first).in_files() {
                        let name = format!("{}_{}", stack.name, tensor.name);
                        let shape = stack.shape_of(tensor);
                        push(&name, tensor.dtype, whole_tensor(first, &name, &shape, tensor.dtype));
                    }
                    if let Some(bias) = stack.bias {
                        let shape = [u64::from(stack.experts), stack.rows()];
                        push(bias, None, whole_tensor(first, bias, &shape, source_dtype));
                    }
                }
                Some(share) => {
                    for (name, shape, copies) in stacks(group, share, self.rules.split_of(first), source_dtype)? {
                        push(&name, None, (shape, copies));
                    }
                }
                None => {
                    let bias = stack.bias.map(|bias| (bias, vec![u64::from(stack.experts), stack.rows()]));
                    for (name, shape) in std::iter::once((stack.name, stack.shape())).chain(bias) {
                        push(name, None, whole_tensor(first, name, &shape, source_dtype));
                    }
                }
            },
        }
        Ok(())
    }

    /// This rank's share of a routed expert's module, where the engine keeps experts in one tensor.
    fn expert_share(&self, module: &Module) -> Option<ExpertShare> {
        let count = match (&module.instances, &module.kind) {
            (Instances::Experts { experts, .. }, _) if module.role.is_routed_expert() => *experts,
            (_, Kind::Stack(stack)) => stack.experts,
            _ => return None,
        };
        ExpertShare::new(self.rules.experts, self.member.rank, count)
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
            Share::Whole => true,
        }
    }

    /// Input and output features of each module of a group on this rank.
    fn parts(&self, group: &[Module], member: Member) -> Result<Vec<Features>, ShardError> {
        let mut parts = Vec::with_capacity(group.len());
        for module in group {
            let (Kind::Linear { input, output, .. } | Kind::Conv1d { input, output, .. }) = &module.kind else {
                continue;
            };
            let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
            let whole = Cut::whole;
            let (input_cut, output_cut) = match self.rules.split_of(module) {
                Split::Replicated => (whole(*input), whole(rows)),
                Split::Column => (whole(*input), self.column(output, module, member)?),
                Split::Row => {
                    let slice = member.even(*input, &module.path)?;
                    (Cut { held: slice.end - slice.start, slices: vec![slice] }, whole(rows))
                }
                Split::Vocabulary => {
                    let (slice, held) = member.vocabulary(rows, self.rules.vocabulary_multiple)?;
                    (whole(*input), Cut { slices: vec![slice], held })
                }
            };
            parts.push(Features { input: *input, output: rows, input_cut, output_cut });
        }
        Ok(parts)
    }

    fn column(&self, output: &[Segment], module: &Module, member: Member) -> Result<Cut, ShardError> {
        let slices = member.segments(output, self.rules.repeat_kv_heads, &module.path)?;
        let held = slices.iter().map(|s| s.end - s.start).fold(0, u64::saturating_add);
        Ok(Cut { slices, held })
    }
}

/// Shape and source of a parameter that is kept whole.
fn whole_tensor(module: &Module, name: &str, shape: &[u64], dtype: Option<DType>) -> Filled {
    let source = SourceTensor { name: format!("{}.{name}", module.path), dtype, shape: shape.to_vec() };
    let from = shape.iter().map(|size| 0..*size).collect();
    (shape.to_vec(), vec![BoxCopy { source, from, to: vec![0; shape.len()], experts: None }])
}

/// Shape and slices of a parameter whose rows are divided.
fn cut_rows(module: &Module, parameter: &RowParameter, rows: u64, cut: &Cut, dtype: Option<DType>) -> Filled {
    let shaped = |first: u64| std::iter::once(first).chain(parameter.inner.iter().copied()).collect::<Vec<_>>();
    let mut copies = Vec::with_capacity(cut.slices.len());
    let mut start = 0u64;
    for slice in &cut.slices {
        let source = SourceTensor { name: format!("{}.{}", module.path, parameter.name), dtype, shape: shaped(rows) };
        let from = std::iter::once(slice.clone()).chain(parameter.inner.iter().map(|size| 0..*size)).collect();
        let to = std::iter::once(start).chain(parameter.inner.iter().map(|_| 0)).collect();
        copies.push(BoxCopy { source, from, to, experts: None });
        start = start.saturating_add(slice.end.saturating_sub(slice.start));
    }
    (shaped(cut.held), copies)
}
