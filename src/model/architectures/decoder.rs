//! A decoder put together module by module, for families that differ from Llama in names, norms or storage.

use super::super::config::{ConfigError, Fields};
use super::super::{
    CacheGroup, Experts, Format, IndexSet, Instances, Kind, LayerCache, Model, Module, Part, Role, Rope, RopeScaling,
    RowParameter, Segment, SegmentKind,
};
use super::blocks::{AttentionSizes, features};

/// Parameters of a norm without bias.
pub const WEIGHT: &[&str] = &["weight"];
/// Parameters of a norm with bias.
pub const WEIGHT_AND_BIAS: &[&str] = &["weight", "bias"];

/// Most heads of one attention that are taken: each is a slice of its own where heads are stored interleaved.
const HEADS_LIMIT: u64 = 1 << 14;

/// What a family knows of its decoder beside the modules.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Sizes of attention.
    pub attention: AttentionSizes,
    /// Width of the widest feed-forward layer.
    pub intermediate: u64,
    /// Vocabulary.
    pub vocab: u64,
    /// Whether the head shares the embedding.
    pub tied: bool,
    /// Longest context that the config states.
    pub max_position: Option<u64>,
}

/// A decoder under construction.
#[derive(Debug)]
pub struct Decoder<'a> {
    /// The language model's fields.
    pub text: Fields<'a>,
    /// Width of the hidden state.
    pub hidden: u64,
    /// Number of layers.
    pub layers: u32,
    /// All of them.
    pub all: IndexSet,
    architecture: String,
    /// Path of a layer, `{}` for its number.
    layer: String,
    modules: Vec<Module>,
    ropes: Vec<Rope>,
    caches: Vec<CacheGroup>,
    experts: Option<Experts>,
}

impl<'a> Decoder<'a> {
    /// Reads width and depth under the names of most families.
    pub fn new(fields: &Fields<'a>, layer: impl Into<String>) -> Result<Self, ConfigError> {
        Self::named(fields, layer, &["hidden_size"], &["num_hidden_layers"])
    }

    /// Reads width and depth under a family's own names.
    pub fn named(
        fields: &Fields<'a>,
        layer: impl Into<String>,
        hidden: &[&str],
        layers: &[&str],
    ) -> Result<Self, ConfigError> {
        let text = fields.text();
        Self::sized(fields, layer, text.u64(hidden)?, text.layer_count(layers)?)
    }

    /// A decoder whose depth follows from a list of its layers.
    pub fn of_depth(fields: &Fields<'a>, layer: impl Into<String>, layers: usize) -> Result<Self, ConfigError> {
        const LIMIT: u32 = 4096;
        match u32::try_from(layers) {
            Ok(layers) if layers <= LIMIT => Self::sized(fields, layer, fields.text().u64(&["hidden_size"])?, layers),
            _ => Err(ConfigError::TooLarge {
                field: "number of layers".to_owned(),
                value: layers as u64,
                limit: u64::from(LIMIT),
            }),
        }
    }

    fn sized(fields: &Fields<'a>, layer: impl Into<String>, hidden: u64, layers: u32) -> Result<Self, ConfigError> {
        let text = fields.text();
        Ok(Self {
            text,
            hidden,
            layers,
            all: IndexSet::range(0..layers),
            architecture: fields.architecture().unwrap_or(text.model_name()).to_owned(),
            layer: layer.into(),
            modules: Vec::new(),
            ropes: Vec::new(),
            caches: Vec::new(),
            experts: None,
        })
    }

    /// Adds a module as it is.
    pub fn push(&mut self, module: Module) {
        self.modules.push(module);
    }

    /// Adds modules as they are.
    pub fn extend(&mut self, modules: impl IntoIterator<Item = Module>) {
        self.modules.extend(modules);
    }

    /// A token embedding.
    pub fn embedding(&mut self, path: impl Into<String>, rows: u64, width: u64) {
        let kind = Kind::Table { rows, width };
        self.push(module(path, Instances::First, Part::Embedding, Role::TokenEmbedding, kind));
    }

    /// A table of learned positions.
    pub fn positions(&mut self, path: impl Into<String>, rows: u64) {
        let kind = Kind::Table { rows, width: self.hidden };
        self.push(module(path, Instances::First, Part::Embedding, Role::PositionEmbedding, kind));
    }

    /// A matrix of every layer.
    pub fn matrix(&mut self, name: &str, role: Role, input: u64, output: impl Into<Vec<Segment>>, bias: bool) {
        let layers = self.all.clone();
        self.matrix_in(&layers, name, role, input, output, bias);
    }

    /// A matrix of some layers.
    pub fn matrix_in(
        &mut self,
        layers: &IndexSet,
        name: &str,
        role: Role,
        input: u64,
        output: impl Into<Vec<Segment>>,
        bias: bool,
    ) {
        let kind = Kind::Linear { input, output: output.into(), bias };
        self.in_layers(layers, name, part_of(role), role, kind);
    }

    /// A matrix of every layer that is stored `input × output`, with a bias.
    pub fn conv1d(&mut self, name: &str, role: Role, input: u64, output: impl Into<Vec<Segment>>) {
        let kind = Kind::Conv1d { input, output: output.into(), bias: true };
        let layers = self.all.clone();
        self.in_layers(&layers, name, part_of(role), role, kind);
    }

    /// A norm over the hidden state in every layer.
    pub fn norm(&mut self, name: &str, parameters: &'static [&'static str]) {
        let layers = self.all.clone();
        self.norm_in(&layers, name, parameters);
    }

    /// A norm over the hidden state in some layers.
    pub fn norm_in(&mut self, layers: &IndexSet, name: &str, parameters: &'static [&'static str]) {
        let kind = Kind::Vectors { width: self.hidden, names: parameters };
        self.in_layers(layers, name, Part::Norm, Role::Norm, kind);
    }

    /// A norm of queries or keys in every layer.
    pub fn query_key_norm(&mut self, name: &str, width: u64, parameters: &'static [&'static str]) {
        let kind = Kind::Vectors { width, names: parameters };
        let layers = self.all.clone();
        self.in_layers(&layers, name, Part::Attention, Role::QueryKeyNorm, kind);
    }

    /// A norm of queries or keys that has a weight for each head, in every layer.
    pub fn headwise_norm(&mut self, name: &str, heads: SegmentKind, width: u64) {
        let (SegmentKind::QueryHeads(rows) | SegmentKind::KeyValueHeads(rows)) = heads else { return };
        let kind = Kind::Rows {
            output: vec![Segment { rows, kind: heads }],
            parameters: vec![RowParameter { name: "weight", inner: vec![width] }],
        };
        let layers = self.all.clone();
        self.in_layers(&layers, name, Part::Attention, Role::HeadwiseQueryKeyNorm, kind);
    }

    /// A norm over the hidden state outside the layers.
    pub fn single_norm(&mut self, path: impl Into<String>, at: Instances, parameters: &'static [&'static str]) {
        let kind = Kind::Vectors { width: self.hidden, names: parameters };
        self.push(module(path, at, Part::Norm, Role::Norm, kind));
    }

    /// The head, which shares the embedding's storage when `tied_to` names it.
    pub fn head(&mut self, path: &str, input: u64, vocab: u64, bias: bool, tied_to: Option<&str>) {
        let kind = Kind::Linear { input, output: vec![features(vocab)], bias };
        let head = module(path, Instances::Last, Part::LmHead, Role::LmHead, kind);
        self.push(Module { tied_to: tied_to.map(str::to_owned), ..head });
    }

    /// A rotary table with the config's scaling.
    pub fn rope(&mut self, width: u64, max_position: u64) -> Result<(), ConfigError> {
        let scaling = RopeScaling::from_config(&self.text, max_position)?;
        self.ropes.push(Rope { width, max_position, scaling });
        Ok(())
    }

    /// A rotary table with a scaling of its own.
    pub fn scaled_rope(&mut self, width: u64, max_position: u64, scaling: RopeScaling) {
        self.ropes.push(Rope { width, max_position, scaling });
    }

    /// What some layers keep; nothing when there are none.
    pub fn cache(&mut self, layers: IndexSet, cache: LayerCache) {
        if !layers.is_empty() {
            self.caches.push(CacheGroup { layers, cache });
        }
    }

    /// Full attention in every layer.
    pub fn full_caches(&mut self, attention: AttentionSizes) {
        self.cache(self.all.clone(), attention.full_cache());
    }

    /// A window of the config's `sliding_window` in `sliding` layers, full attention in the others.
    pub fn mixed_caches(&mut self, attention: AttentionSizes, sliding: IndexSet, window: u64) {
        // A window of no tokens is none.
        let sliding = if window == 0 { IndexSet::default() } else { sliding };
        let rest = IndexSet::from_indices(self.all.iter().filter(|layer| !sliding.contains(*layer)));
        self.cache(sliding, attention.sliding_cache(window));
        self.cache(rest, attention.full_cache());
    }

    /// Moves the token embedding before the decoder's layers, where classes define it and planners of placement expect it.
    fn embed_first(&mut self) {
        let layered = |m: &Module| {
            m.part != Part::Vision && matches!(m.instances, Instances::Layers(_) | Instances::Experts { .. })
        };
        let embedding = self.modules.iter().position(|m| m.role == Role::TokenEmbedding);
        if let (Some(embedding), Some(first)) = (embedding, self.modules.iter().position(layered))
            && embedding > first
        {
            let module = self.modules.remove(embedding);
            self.modules.insert(first, module);
        }
    }

    /// The model.
    pub fn finish(mut self, facts: Facts) -> Result<Model, ConfigError> {
        self.embed_first();
        Ok(Model {
            id: None,
            architecture: self.architecture,
            model_type: self.text.model_name().to_owned(),
            dtype: self.text.dtype()?,
            hidden_size: self.hidden,
            intermediate_size: facts.intermediate,
            layers: self.layers,
            attention_heads: facts.attention.heads,
            kv_heads: facts.attention.kv_heads,
            head_width: facts.attention.head_width,
            experts: self.experts,
            vocab_size: facts.vocab,
            tied_embeddings: facts.tied,
            max_position: facts.max_position,
            ropes: self.ropes,
            modules: self.modules,
            caches: self.caches,
            quantization: None,
            draft_layers: 0,
            plain: Format::plain(),
        })
    }

    /// States what its routed experts are.
    pub fn has_experts(&mut self, experts: Experts) {
        self.experts = Some(experts);
    }

    /// Path of a module in each layer.
    pub fn layer_path(&self, name: &str) -> String {
        format!("{}.{name}", self.layer)
    }

    /// A module of some layers.
    pub fn in_layers(&mut self, layers: &IndexSet, name: &str, part: Part, role: Role, kind: Kind) {
        if !layers.is_empty() {
            let path = self.layer_path(name);
            self.push(module(path, Instances::Layers(layers.clone()), part, role, kind));
        }
    }
}

/// A module in the model's own element type that shares no storage.
pub fn module(path: impl Into<String>, instances: Instances, part: Part, role: Role, kind: Kind) -> Module {
    Module { path: path.into(), instances, part, role, kind, dtype: None, tied_to: None }
}

/// The part that reports count a role of the decoder's layers under.
pub fn part_of(role: Role) -> Part {
    match role {
        Role::GateUp | Role::Up | Role::Down | Role::Activation => Part::Mlp,
        Role::ExpertGateUp | Role::ExpertUp | Role::ExpertDown => Part::Experts,
        Role::SharedExpertGateUp | Role::SharedExpertUp | Role::SharedExpertDown | Role::SharedExpertGate => {
            Part::SharedExpert
        }
        Role::Router | Role::RouterBias => Part::Router,
        Role::ExpertLatentDown | Role::ExpertLatentUp => Part::Other,
        Role::StateIn
        | Role::StateGates
        | Role::StateRank
        | Role::StateConvolution
        | Role::StateDecay
        | Role::StateHeads
        | Role::StateSelection
        | Role::StateStep
        | Role::StateNorm
        | Role::StateSharedNorm
        | Role::StateOut => Part::Ssm,
        _ => Part::Attention,
    }
}

/// Attention of `heads` query and `kv_heads` key/value heads over a hidden state.
pub fn heads(hidden: u64, heads: u64, kv_heads: u64) -> Result<AttentionSizes, ConfigError> {
    let contradiction = |text: String| Err(ConfigError::Contradiction(text));
    if heads > HEADS_LIMIT {
        return Err(ConfigError::TooLarge {
            field: "num_attention_heads".to_owned(),
            value: heads,
            limit: HEADS_LIMIT,
        });
    }
    if heads == 0 || !hidden.is_multiple_of(heads) {
        return contradiction(format!("the hidden size {hidden} is no multiple of {heads} attention heads"));
    }
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return contradiction(format!("{heads} attention heads are no multiple of {kv_heads} key/value heads"));
    }
    Ok(AttentionSizes { heads, kv_heads, head_width: hidden / heads })
}

impl AttentionSizes {
    /// Reads heads, key/value heads and head width with the defaults of a config class.
    pub fn with_defaults(fields: &Fields<'_>, heads: u64, kv_heads: u64, width: u64) -> Result<Self, ConfigError> {
        let heads = fields.u64_or(&["num_attention_heads"], heads)?;
        let kv_heads = fields.u64_or(&["num_key_value_heads"], kv_heads)?;
        let head_width = fields.u64_or(&["head_dim"], width)?;
        if head_width == 0 || heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(ConfigError::Contradiction(format!(
                "{heads} attention heads of width {head_width} do not go with {kv_heads} key/value heads"
            )));
        }
        Ok(Self { heads, kv_heads, head_width })
    }

    /// Queries, keys and values stored as one matrix, each kind in one run.
    pub fn fused(&self) -> Vec<Segment> {
        vec![self.query(), self.key_value(), self.key_value()]
    }

    /// Queries, keys and values stored as one matrix, group by group.
    pub fn interleaved(&self) -> Result<Vec<Segment>, ConfigError> {
        if self.heads > HEADS_LIMIT {
            let field = "num_attention_heads".to_owned();
            return Err(ConfigError::TooLarge { field, value: self.heads, limit: HEADS_LIMIT });
        }
        let rows = self.query_rows().saturating_add(self.kv_rows().saturating_mul(2));
        let kind = SegmentKind::HeadGroups { query_heads: self.heads, groups: self.kv_heads };
        Ok(vec![Segment { rows, kind }])
    }
}

/// The layers that see a window only: those that `layer_types` names, else all but each `every`-th.
pub fn sliding_layers(text: &Fields<'_>, layers: u32, every: u64) -> Result<IndexSet, ConfigError> {
    let types = text.strings("layer_types")?;
    if types.is_empty() {
        let every = every.max(1);
        return Ok(IndexSet::from_indices((0..layers).filter(|layer| !(u64::from(*layer) + 1).is_multiple_of(every))));
    }
    if types.len() != layers as usize {
        let text = format!("`layer_types` has {} entries for {layers} layers", types.len());
        return Err(ConfigError::Contradiction(text));
    }
    let sliding = (0..layers).zip(&types).filter(|(_, name)| **name == "sliding_attention");
    Ok(IndexSet::from_indices(sliding.map(|(layer, _)| layer)))
}
