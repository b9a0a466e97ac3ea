//! A model whose architecture is not known, read from the names and shapes of its tensors.

mod names;
mod templates;

use std::collections::BTreeMap;

use super::super::config::{ConfigError, Fields};
use super::super::{
    ExpertStack, Format, IndexSet, Instances, Kind, LayerCache, Model, Module, Part, Role, Rope, RopeScaling, Segment,
    SegmentKind,
};
use super::blocks::{AttentionSizes, features, sliding_or_full};
use super::decoder::{WEIGHT, WEIGHT_AND_BIAS, heads};
use crate::units::DType;
use names::{Heads, Meaning, in_state_layer, in_tower, meaning};
use templates::{Template, templates};

/// A model that was read from its tensors, and what had to be assumed for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Assumed {
    /// The model.
    pub model: Model,
    /// Sentences for the reader, the first one saying that the architecture is not known.
    pub assumptions: Vec<String>,
}

/// Reads a model from its tensors; the config gives what shapes cannot tell.
pub fn read<'a>(
    fields: &Fields<'_>,
    tensors: impl IntoIterator<Item = (&'a str, DType, &'a [u64])>,
) -> Result<Assumed, ConfigError> {
    let all = templates(tensors);
    let stack = decoder_stack(&all).ok_or(ConfigError::NoLayers)?;
    let mut reader = Reader::new(fields, &all, stack)?;
    for module in grouped(&all) {
        reader.module(&module);
    }
    reader.finish()
}

/// The numbered stack that holds most, towers aside.
fn decoder_stack(all: &[Template]) -> Option<&str> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for template in all.iter().filter(|t| !in_tower(&t.module)) {
        if let Some(stack) = template.stack() {
            let size = sizes.entry(stack).or_default();
            *size = size.saturating_add(template.elements());
        }
    }
    sizes.into_iter().max_by_key(|(_, size)| *size).map(|(stack, _)| stack)
}

/// The parameters of one module.
type Parameters<'a> = Vec<&'a Template>;

/// Templates by module and place, in the order of their names.
fn grouped(all: &[Template]) -> Vec<Parameters<'_>> {
    let mut groups: Vec<Parameters<'_>> = Vec::new();
    for template in all {
        let same = |t: &&Template| t.module == template.module && t.instances == template.instances;
        match groups.iter_mut().rev().find(|group| group.first().is_some_and(same)) {
            Some(group) => group.push(template),
            None => groups.push(vec![template]),
        }
    }
    groups
}

struct Reader<'a, 'b> {
    fields: &'b Fields<'a>,
    text: Fields<'a>,
    stack: String,
    layers: u32,
    hidden: u64,
    attention: AttentionSizes,
    modules: Vec<Module>,
    with_attention: Vec<u32>,
    latent: Option<LayerCache>,
    states: bool,
    drafts: bool,
    unnamed: BTreeMap<String, u64>,
    fused: bool,
    packed: bool,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(fields: &'b Fields<'a>, all: &[Template], stack: &str) -> Result<Self, ConfigError> {
        let text = fields.text();
        let of_stack = || all.iter().filter(|t| t.stack() == Some(stack));
        let highest = of_stack().filter_map(|t| layer_set(&t.instances)?.iter().last()).max().unwrap_or(0);
        let found = highest.saturating_add(1);
        let stated = text.optional_u64(&["num_hidden_layers", "n_layer", "num_layers", "n_layers"])?;
        // Layers past the stated number are drafts for speculative decoding.
        let layers = stated.and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=found).contains(n)).unwrap_or(found);
        let embedding = all
            .iter()
            .find(|t| t.shape.len() == 2 && meaning(&t.module).is_some_and(|m| m.role == Role::TokenEmbedding));
        let hidden = match (text.optional_u64(&["hidden_size", "n_embd", "d_model"])?, embedding) {
            (Some(hidden), _) if hidden > 0 => hidden,
            (_, Some(embedding)) => embedding.shape.get(1).copied().unwrap_or(0),
            (_, None) => text.u64(&["hidden_size", "n_embd", "d_model"])?,
        };
        let query_heads = text.u64(&["num_attention_heads", "n_head", "n_heads"])?;
        let rows_of = |wanted: Heads| {
            let fits = |t: &&Template| t.shape.len() == 2 && meaning(&t.module).is_some_and(|m| m.heads == wanted);
            of_stack().find(|t| t.parameter == "weight" && fits(t)).and_then(|t| t.shape.first().copied())
        };
        let head_width = match (text.optional_u64(&["head_dim"])?, rows_of(Heads::Queries)) {
            (Some(width), _) if width > 0 => width,
            (_, Some(rows)) if rows >= query_heads && rows.is_multiple_of(query_heads) => rows / query_heads,
            _ => (hidden / query_heads).max(1),
        };
        let by_shape = rows_of(Heads::KeyValues).map(|rows| rows / head_width).filter(|n| *n > 0);
        let kv_heads = match text.optional_u64(&["num_key_value_heads", "num_kv_heads", "n_head_kv"])? {
            Some(stated) if stated > 0 => stated,
            _ => by_shape.unwrap_or(query_heads),
        };
        let attention = AttentionSizes { head_width, ..heads(query_heads, query_heads, kv_heads)? };
        Ok(Self {
            fields,
            text,
            stack: stack.to_owned(),
            layers,
            hidden,
            attention,
            modules: Vec::new(),
            with_attention: Vec::new(),
            latent: None,
            states: false,
            drafts: found > layers,
            unnamed: BTreeMap::new(),
            fused: false,
            packed: false,
        })
    }

    /// Adds one module.
    fn module(&mut self, parameters: &Parameters<'_>) {
        let Some(first) = parameters.first() else { return };
        let in_decoder = first.stack() == Some(self.stack.as_str());
        let instances = match &first.instances {
            Instances::Layers(layers) if in_decoder => Instances::Layers(layers.within(&(0..self.layers))),
            Instances::Experts { layers, experts } if in_decoder => {
                Instances::Experts { layers: layers.within(&(0..self.layers)), experts: *experts }
            }
            Instances::Layers(blocks) => Instances::Tower(blocks.clone()),
            other => other.clone(),
        };
        if instances.count() == 0 {
            return;
        }
        let tower = in_tower(&first.module);
        let said = meaning(&first.module);
        let (role, part) = match said {
            Some(meaning) if tower => (meaning.role, Part::Vision),
            Some(meaning) => (meaning.role, meaning.part),
            None if tower => (Role::Unknown, Part::Vision),
            None => (Role::Unknown, Part::Other),
        };
        let kind = said.and_then(|meaning| self.kind(parameters, meaning, tower));
        let path = first.module.clone();
        if let (Some(layers), true) = (layer_set(&instances), in_decoder) {
            self.remember(&path, role, &first.shape, &layers);
            self.states |= in_state_layer(&path);
        }
        let instances = match (instances, role) {
            (Instances::First, Role::LmHead) => Instances::Last,
            // A norm outside the layers follows them, unless it is the embedding's.
            (Instances::First, Role::Norm) if !path.contains("embed") => Instances::Last,
            (instances, _) => instances,
        };
        let dtype = parameters.iter().map(|t| t.dtype).find(|dtype| !is_plain(*dtype));
        let module = |role, kind, dtype| Module {
            path: path.clone(),
            instances: instances.clone(),
            part,
            role,
            kind,
            dtype,
            tied_to: None,
        };
        match kind {
            Some(kind) => self.modules.push(module(role, kind, dtype)),
            None => {
                let elements: u64 = parameters.iter().map(|t| t.elements()).fold(0, u64::saturating_add);
                let unnamed = self.unnamed.entry(path.clone()).or_default();
                *unnamed = unnamed.saturating_add(elements);
                // One module a tensor: packed ones differ in element type.
                for parameter in parameters {
                    let kind = Kind::Tensors(vec![(parameter.parameter.clone(), parameter.shape.clone())]);
                    let dtype = (!is_plain(parameter.dtype)).then_some(parameter.dtype);
                    self.modules.push(module(Role::Unknown, kind, dtype));
                }
                self.packed |= parameters.iter().any(|t| t.parameter == "qweight");
            }
        }
    }

    /// What the layers of an attention module keep.
    fn remember(&mut self, path: &str, role: Role, shape: &[u64], layers: &IndexSet) {
        if matches!(role, Role::QueryKeyValue | Role::LatentKeyValue) {
            self.with_attention.extend(layers.iter());
        }
        let rank = self.text.optional_u64(&["kv_lora_rank"]).ok().flatten();
        if let (true, Some(rank), [rows, _]) = (path.ends_with("kv_a_proj_with_mqa"), rank, shape) {
            let rope = rows.saturating_sub(rank);
            let width =
                |name: &str| self.text.optional_u64(&[name]).ok().flatten().unwrap_or(self.attention.head_width);
            self.latent = Some(LayerCache::Latent {
                rank,
                rope,
                sparse: false,
                heads: self.attention.heads,
                key_width: width("qk_nope_head_dim").saturating_add(rope),
                value_width: width("v_head_dim"),
            });
        }
    }

    /// The parameters as a kind of module; `None` when they do not have its shape.
    fn kind(&mut self, parameters: &Parameters<'_>, meaning: Meaning, tower: bool) -> Option<Kind> {
        let named = |name: &str| parameters.iter().find(|t| t.parameter == name);
        if let [only] = parameters.as_slice()
            && only.shape.len() == 3
        {
            return self.stack(only, meaning.role);
        }
        let weight = named("weight")?;
        let bias = named("bias");
        if parameters.len() != 1 + usize::from(bias.is_some()) {
            return None;
        }
        match (meaning.role, weight.shape.as_slice()) {
            (Role::TokenEmbedding | Role::PositionEmbedding, [rows, width]) => {
                Some(Kind::Table { rows: *rows, width: *width })
            }
            (Role::Norm | Role::QueryKeyNorm | Role::LatentNorm, [width]) => {
                let names = if bias.is_some() { WEIGHT_AND_BIAS } else { WEIGHT };
                Some(Kind::Vectors { width: *width, names })
            }
            (Role::Norm | Role::QueryKeyNorm | Role::LatentNorm, _) => None,
            (_, [rows, columns]) => {
                let outputs = bias.and_then(|t| t.shape.first().copied());
                // Stored the other way round: the bias has as many features as there are columns.
                let turned = outputs.is_some_and(|outputs| outputs == *columns && outputs != *rows);
                let (input, rows) = if turned { (*rows, *columns) } else { (*columns, *rows) };
                let output = if tower { vec![features(rows)] } else { self.segments(rows, meaning.heads) };
                let bias = bias.is_some();
                Some(if turned { Kind::Conv1d { input, output, bias } } else { Kind::Linear { input, output, bias } })
            }
            _ => None,
        }
    }

    /// Outputs by head, where they divide so.
    fn segments(&mut self, rows: u64, kind: Heads) -> Vec<Segment> {
        let attention = self.attention;
        let (queries, kv) = (attention.heads, attention.kv_heads);
        match kind {
            Heads::Queries if rows.is_multiple_of(queries) => {
                vec![Segment { rows, kind: SegmentKind::QueryHeads(queries) }]
            }
            Heads::KeyValues if rows.is_multiple_of(kv) => {
                vec![Segment { rows, kind: SegmentKind::KeyValueHeads(kv) }]
            }
            Heads::All if rows == attention.query_rows().saturating_add(attention.kv_rows().saturating_mul(2)) => {
                self.fused = true;
                attention.fused()
            }
            _ => vec![features(rows)],
        }
    }

    /// Matrices of all experts in one tensor, told apart by which side has the hidden state's width.
    fn stack(&self, template: &Template, role: Role) -> Option<Kind> {
        let [experts, first, second] = *template.shape.as_slice() else { return None };
        let name = ["weight", "gate_up_proj", "down_proj", "w1", "w2", "w3"]
            .into_iter()
            .find(|name| *name == template.parameter)?;
        let (input, rows, transposed) = match role {
            Role::ExpertGateUp if second == self.hidden => (second, first, false),
            Role::ExpertGateUp if first == self.hidden => (first, second, true),
            Role::ExpertDown if first == self.hidden => (second, first, false),
            Role::ExpertDown if second == self.hidden => (first, second, true),
            _ => return None,
        };
        let experts = u32::try_from(experts).ok()?;
        let output = vec![features(rows)];
        Some(Kind::Stack(ExpertStack { experts, input, output, name, bias: None, transposed, folded: false }))
    }

    fn finish(mut self) -> Result<Assumed, ConfigError> {
        let text = self.text;
        let table = |role: Role| {
            self.modules.iter().find(|m| m.role == role).and_then(|m| match m.kind {
                Kind::Table { rows, .. } => Some((m.path.clone(), rows)),
                _ => None,
            })
        };
        let embedding = table(Role::TokenEmbedding);
        let learned_positions = table(Role::PositionEmbedding).is_some();
        let vocab = match (&embedding, text.optional_u64(&["vocab_size"])?) {
            (Some((_, rows)), _) => *rows,
            (None, Some(vocab)) => vocab,
            (None, None) => text.u64(&["vocab_size"])?,
        };
        let tied = !self.modules.iter().any(|m| m.role == Role::LmHead);
        if let (true, Some((path, _))) = (tied, &embedding) {
            let kind = Kind::Linear { input: self.hidden, output: vec![features(vocab)], bias: false };
            self.modules.push(Module {
                path: "lm_head".to_owned(),
                instances: Instances::Last,
                part: Part::LmHead,
                role: Role::LmHead,
                kind,
                dtype: None,
                tied_to: Some(path.clone()),
            });
        }
        let intermediate = self
            .modules
            .iter()
            .filter(|m| m.role == Role::Down && m.part == Part::Mlp)
            .filter_map(|m| match &m.kind {
                Kind::Linear { input, .. } | Kind::Conv1d { input, .. } => Some(*input),
                _ => None,
            })
            .max()
            .unwrap_or(0);
        let max_position = text.optional_u64(&[
            "max_position_embeddings",
            "n_positions",
            "model_max_length",
            "seq_length",
            "max_seq_len",
        ])?;
        let with_attention = IndexSet::from_indices(self.with_attention.iter().copied());
        let all_layers = IndexSet::range(0..self.layers);
        let (caches, rotated) = match self.latent {
            Some(cache) => {
                let rope = if let LayerCache::Latent { rope, .. } = cache { rope } else { 0 };
                (vec![super::super::CacheGroup { layers: with_attention.clone(), cache }], rope)
            }
            None => {
                let groups = sliding_or_full(&text, &all_layers, self.attention)?;
                let with = |layers: &IndexSet| {
                    IndexSet::from_indices(layers.iter().filter(|layer| with_attention.contains(*layer)))
                };
                let groups = groups
                    .into_iter()
                    .map(|group| super::super::CacheGroup { layers: with(&group.layers), ..group })
                    .filter(|group| !group.layers.is_empty());
                (groups.collect(), text.rotated(self.attention.head_width, "partial_rotary_factor", 1.0)?)
            }
        };
        let ropes = match max_position {
            Some(max_position) if !learned_positions => {
                let scaling = RopeScaling::from_config(&text, max_position).unwrap_or(RopeScaling::None);
                vec![Rope { width: rotated, max_position, scaling }]
            }
            Some(_) | None => Vec::new(),
        };
        let assumptions = self.assumptions(tied, &with_attention, &ropes);
        let model = Model {
            id: None,
            architecture: self.fields.architecture().unwrap_or(text.model_name()).to_owned(),
            model_type: text.model_name().to_owned(),
            dtype: text.dtype()?,
            hidden_size: self.hidden,
            intermediate_size: intermediate,
            layers: self.layers,
            attention_heads: self.attention.heads,
            kv_heads: self.attention.kv_heads,
            head_width: self.attention.head_width,
            experts: None,
            vocab_size: vocab,
            tied_embeddings: tied,
            max_position,
            ropes,
            modules: self.modules,
            caches,
            quantization: None,
            draft_layers: 0,
            plain: Format::plain(),
        };
        Ok(Assumed { model, assumptions })
    }

    /// What the reader of a plan must know.
    fn assumptions(&self, tied: bool, with_attention: &IndexSet, ropes: &[Rope]) -> Vec<String> {
        let name = self.fields.architecture().unwrap_or(self.text.model_name());
        let mut list =
            vec![format!("the architecture `{name}` is not known: its rules are read from tensor names and shapes")];
        if self.fused {
            list.push("queries, keys and values stored as one matrix are taken to lie one after the other".to_owned());
        }
        if tied {
            list.push("no tensor is the head, so the embedding is taken to be it".to_owned());
        }
        if !ropes.is_empty() {
            list.push(format!("positions are taken to rotate {} features of a head", ropes[0].width));
        }
        if with_attention.len() < u64::from(self.layers) {
            let without = u64::from(self.layers) - with_attention.len();
            let state = if self.states { " (they look like state layers)" } else { "" };
            list.push(format!("what {without} layers without attention keep of a sequence is not counted{state}"));
        }
        if self.drafts {
            let layers = self.layers;
            list.push(format!("layers from {layers} on are taken to be drafts, which are left out"));
        }
        if self.packed {
            list.push("quantised matrices are counted whole on every rank".to_owned());
        }
        if let Some((largest, _)) = self.unnamed.iter().max_by_key(|(_, elements)| **elements) {
            let count = self.unnamed.len();
            list.push(format!(
                "{count} kinds of tensors have names that say nothing (`{largest}` is the largest): they are counted whole on every rank"
            ));
        }
        list
    }
}

/// The layers of instances that are numbered.
fn layer_set(instances: &Instances) -> Option<IndexSet> {
    match instances {
        Instances::Layers(layers) | Instances::Tower(layers) | Instances::Experts { layers, .. } => {
            Some(layers.clone())
        }
        Instances::First | Instances::Last => None,
    }
}

/// Element types that engines cast to the model's.
const fn is_plain(dtype: DType) -> bool {
    matches!(dtype, DType::BF16 | DType::F16 | DType::F32 | DType::F64)
}
