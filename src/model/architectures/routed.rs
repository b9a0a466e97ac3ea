//! Blocks of decoders with routed experts, and attention whose keys and values may differ in width.

use super::super::config::{ConfigError, Fields};
use super::super::{
    ExpertStack, Experts, IndexSet, Instances, Kind, LayerCache, Module, Role, RowParameter, Segment, SegmentKind,
};
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, WEIGHT, module, part_of};

/// Most experts of a layer that are taken.
const EXPERTS_LIMIT: u64 = 1 << 16;

/// Names of an expert's gate, up and down matrices as most checkpoints have them.
pub const GATE_UP_DOWN: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

impl Decoder<'_> {
    /// A gated feed-forward layer.
    pub fn gated_mlp(&mut self, layers: &IndexSet, name: &str, intermediate: u64, bias: bool) {
        self.gated(layers, name, (Role::GateUp, Role::Down), intermediate, bias);
    }

    /// Experts that every token visits, as one gated feed-forward layer.
    pub fn shared_expert(&mut self, layers: &IndexSet, name: &str, intermediate: u64) {
        self.gated(layers, name, (Role::SharedExpertGateUp, Role::SharedExpertDown), intermediate, false);
    }

    fn gated(&mut self, layers: &IndexSet, name: &str, (first, last): (Role, Role), intermediate: u64, bias: bool) {
        let hidden = self.hidden;
        for matrix in ["gate_proj", "up_proj"] {
            self.matrix_in(layers, &format!("{name}.{matrix}"), first, hidden, [features(intermediate)], bias);
        }
        self.matrix_in(layers, &format!("{name}.down_proj"), last, intermediate, [features(hidden)], bias);
    }

    /// The gate that chooses experts.
    pub fn router(&mut self, layers: &IndexSet, name: &str, experts: u64, bias: bool) {
        self.matrix_in(layers, name, Role::Router, self.hidden, [features(experts)], bias);
    }

    /// The buffer that balances the choice of experts: `parent.name`.
    pub fn router_bias(&mut self, layers: &IndexSet, parent: &str, name: &'static str, experts: u64) {
        self.rows_in(layers, parent, Role::RouterBias, vec![features(experts)], &[(name, &[])]);
    }

    /// Routed experts with a gate, each with matrices of its own below `name.{}`.
    pub fn routed_experts(&mut self, name: &str, matrices: [&str; 3], experts: &Experts) -> Result<(), ConfigError> {
        let (hidden, intermediate) = (self.hidden, experts.intermediate_size);
        let [gate, up, down] = matrices;
        self.expert_matrix(&format!("{name}.{{}}.{gate}"), Role::ExpertGateUp, hidden, intermediate, experts)?;
        self.expert_matrix(&format!("{name}.{{}}.{up}"), Role::ExpertGateUp, hidden, intermediate, experts)?;
        self.expert_matrix(&format!("{name}.{{}}.{down}"), Role::ExpertDown, intermediate, hidden, experts)
    }

    /// One matrix of each routed expert; `name` has a `{}` for the expert.
    pub fn expert_matrix(
        &mut self,
        name: &str,
        role: Role,
        input: u64,
        output: u64,
        experts: &Experts,
    ) -> Result<(), ConfigError> {
        if experts.layers.is_empty() {
            return Ok(());
        }
        let instances = Instances::Experts { layers: experts.layers.clone(), experts: expert_count(experts.count)? };
        let kind = Kind::Linear { input, output: vec![features(output)], bias: false };
        let path = self.layer_path(name);
        self.push(module(path, instances, part_of(role), role, kind));
        Ok(())
    }

    /// A matrix of all routed experts in one tensor.
    pub fn expert_stack(&mut self, name: &str, role: Role, experts: &Experts, stack: Stack) -> Result<(), ConfigError> {
        let Stack { parameter, input, output, bias, transposed, folded } = stack;
        let count = expert_count(experts.count)?;
        let kind =
            Kind::Stack(ExpertStack { experts: count, input, output, name: parameter, bias, transposed, folded });
        self.in_layers(&experts.layers, name, part_of(role), role, kind);
        Ok(())
    }

    /// Parameters whose first dimension has a meaning.
    pub fn rows_in(
        &mut self,
        layers: &IndexSet,
        name: &str,
        role: Role,
        output: Vec<Segment>,
        parameters: &[(&'static str, &[u64])],
    ) {
        let parameters = parameters.iter().map(|(name, inner)| RowParameter { name, inner: inner.to_vec() }).collect();
        self.in_layers(layers, name, part_of(role), role, Kind::Rows { output, parameters });
    }

    /// A vector kept whole.
    pub fn vector_in(&mut self, layers: &IndexSet, name: &str, role: Role, width: u64) {
        self.in_layers(layers, name, part_of(role), role, Kind::Vectors { width, names: WEIGHT });
    }

    /// Queries, keys, values and output of one kind of attention below `name`.
    pub fn attention_in(&mut self, layers: &IndexSet, name: &str, attention: &Attention) {
        let hidden = self.hidden;
        let segments = [("q_proj", attention.query()), ("k_proj", attention.key()), ("v_proj", attention.value())];
        for (matrix, segment) in segments {
            let path = format!("{name}.{matrix}");
            self.matrix_in(layers, &path, Role::QueryKeyValue, hidden, [segment], attention.qkv_bias);
        }
        let width = attention.heads.saturating_mul(attention.value_width);
        let path = format!("{name}.o_proj");
        self.matrix_in(layers, &path, Role::AttentionOutput, width, [features(hidden)], attention.output_bias);
        if attention.head_norm {
            for matrix in ["q_norm", "k_norm"] {
                self.vector_in(layers, &format!("{name}.{matrix}"), Role::QueryKeyNorm, attention.key_width);
            }
        }
    }

    /// The embedding and, after the layers' modules are there, the last norm and the head, under Llama's names.
    pub fn llama_ends(&mut self, vocab: u64, tied: bool) {
        let hidden = self.hidden;
        self.embedding("model.embed_tokens", vocab, hidden);
        self.single_norm("model.norm", Instances::Last, WEIGHT);
        self.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));
    }

    /// The two norms over the hidden state of Llama's layers.
    pub fn llama_norms(&mut self) {
        self.norm("input_layernorm", WEIGHT);
        self.norm("post_attention_layernorm", WEIGHT);
    }
}

/// How a checkpoint keeps one matrix of all experts.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// Parameter suffix.
    pub parameter: &'static str,
    /// Input features.
    pub input: u64,
    /// Output features by meaning.
    pub output: Vec<Segment>,
    /// Suffix of the bias.
    pub bias: Option<&'static str>,
    /// Stored `input × output`.
    pub transposed: bool,
    /// Experts folded into the rows.
    pub folded: bool,
}

/// Grouped-query attention as its matrices have it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attention {
    /// Query heads.
    pub heads: u64,
    /// Key/value heads.
    pub kv_heads: u64,
    /// Width of a query or key.
    pub key_width: u64,
    /// Width of a value.
    pub value_width: u64,
    /// Whether the query projection also yields an output gate of the same size.
    pub gated: bool,
    /// Whether queries and keys are normed per head.
    pub head_norm: bool,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the output has a bias.
    pub output_bias: bool,
}

impl Attention {
    /// Heads and widths as most configs state them.
    pub fn read(text: &Fields<'_>, hidden: u64, default_width: Option<u64>) -> Result<Self, ConfigError> {
        AttentionSizes::read(text, hidden, default_width).map(Self::of)
    }

    /// Attention whose keys and values are as wide as its queries.
    pub fn of(sizes: AttentionSizes) -> Self {
        Self {
            heads: sizes.heads,
            kv_heads: sizes.kv_heads,
            key_width: sizes.head_width,
            value_width: sizes.head_width,
            ..Self::default()
        }
    }

    /// Heads and width for a model's summary.
    pub const fn sizes(&self) -> AttentionSizes {
        AttentionSizes { heads: self.heads, kv_heads: self.kv_heads, head_width: self.key_width }
    }

    const fn query(&self) -> Segment {
        let rows = self.heads.saturating_mul(self.key_width).saturating_mul(if self.gated { 2 } else { 1 });
        Segment { rows, kind: SegmentKind::QueryHeads(self.heads) }
    }

    const fn key(&self) -> Segment {
        let rows = self.kv_heads.saturating_mul(self.key_width);
        Segment { rows, kind: SegmentKind::KeyValueHeads(self.kv_heads) }
    }

    const fn value(&self) -> Segment {
        let rows = self.kv_heads.saturating_mul(self.value_width);
        Segment { rows, kind: SegmentKind::KeyValueHeads(self.kv_heads) }
    }

    /// Cache of full attention.
    pub const fn full_cache(&self) -> LayerCache {
        LayerCache::Full { kv_heads: self.kv_heads, key_width: self.key_width, value_width: self.value_width }
    }

    /// Cache of sliding-window attention.
    pub const fn sliding_cache(&self, window: u64) -> LayerCache {
        LayerCache::Sliding {
            kv_heads: self.kv_heads,
            key_width: self.key_width,
            value_width: self.value_width,
            window,
        }
    }

    /// Cache of attention within chunks.
    pub const fn chunked_cache(&self, chunk: u64) -> LayerCache {
        LayerCache::Chunked { kv_heads: self.kv_heads, key_width: self.key_width, value_width: self.value_width, chunk }
    }
}

/// The modules with stacks of experts taken apart, as quantisers store them: a matrix an expert. MXFP4 keeps its stacks.
pub fn unstacked(modules: Vec<Module>) -> Vec<Module> {
    let mut apart = Vec::with_capacity(modules.len());
    for module in modules {
        let (Kind::Stack(stack), Instances::Layers(layers)) = (&module.kind, &module.instances) else {
            apart.push(module);
            continue;
        };
        let names: &[&str] = match (module.role, stack.output.len()) {
            (Role::ExpertGateUp, 2) => &["gate_proj", "up_proj"],
            (Role::ExpertUp, 1) => &["up_proj"],
            (Role::ExpertDown, 1) => &["down_proj"],
            _ => &[],
        };
        if names.is_empty() || stack.bias.is_some() || stack.folded {
            apart.push(module);
            continue;
        }
        for (name, output) in names.iter().zip(&stack.output) {
            apart.push(Module {
                path: format!("{}.{{}}.{name}", module.path),
                instances: Instances::Experts { layers: layers.clone(), experts: stack.experts },
                kind: Kind::Linear { input: stack.input, output: vec![*output], bias: false },
                ..module.clone()
            });
        }
    }
    apart
}

/// A number of experts, within what any model has.
pub fn expert_count(count: u64) -> Result<u32, ConfigError> {
    match u32::try_from(count) {
        Ok(n) if (1..=EXPERTS_LIMIT).contains(&count) => Ok(n),
        _ => {
            let field = "number of experts".to_owned();
            Err(ConfigError::TooLarge { field, value: count, limit: EXPERTS_LIMIT })
        }
    }
}

/// The layers for which `pick` holds.
pub fn layers_where(layers: u32, pick: impl Fn(u64) -> bool) -> IndexSet {
    IndexSet::from_indices((0..layers).filter(|layer| pick(u64::from(*layer))))
}

/// The layers that `some` leaves out.
pub fn others(layers: u32, some: &IndexSet) -> IndexSet {
    IndexSet::from_indices((0..layers).filter(|layer| !some.contains(*layer)))
}

/// The layers whose entry in a list of the config is `wanted`; `None` when there is no such list.
pub fn layers_named(text: &Fields<'_>, list: &str, layers: u32, wanted: &str) -> Result<Option<IndexSet>, ConfigError> {
    let names = text.strings(list)?;
    if names.is_empty() {
        return Ok(None);
    }
    check_length(list, names.len(), layers)?;
    Ok(Some(IndexSet::from_indices((0u32..).zip(names).filter(|(_, name)| *name == wanted).map(|(layer, _)| layer))))
}

/// A list must have one entry a layer.
pub fn check_length(list: &str, length: usize, layers: u32) -> Result<(), ConfigError> {
    if length == layers as usize {
        return Ok(());
    }
    Err(ConfigError::Contradiction(format!("`{list}` has {length} entries for {layers} layers")))
}

/// Layers with experts after the first dense ones: those of `first_k_dense_replace`, of them each `moe_layer_freq`-th.
pub fn after_dense(text: &Fields<'_>, layers: u32, default_first: u64) -> Result<IndexSet, ConfigError> {
    let first = text.u64_or(&["first_k_dense_replace"], default_first)?;
    let every = text.u64_or(&["moe_layer_freq"], 1)?.max(1);
    Ok(layers_where(layers, |layer| layer >= first && layer.is_multiple_of(every)))
}
