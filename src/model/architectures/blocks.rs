//! The blocks that decoders are built of.

use super::super::config::{ConfigError, Fields};
use super::super::{
    CacheGroup, Format, IndexSet, Instances, Kind, LayerCache, Model, Module, Part, Role, Rope, RopeScaling, Segment,
    SegmentKind,
};

/// What distinguishes one dense decoder from another.
#[derive(Debug, Clone, Copy, Default)]
pub struct DenseOptions {
    /// Queries, keys and values have biases.
    pub qkv_bias: bool,
    /// The attention output has a bias.
    pub output_bias: bool,
    /// The feed-forward matrices have biases.
    pub mlp_bias: bool,
    /// Queries and keys are normed per head.
    pub head_norm: bool,
    /// Names of those norms, where they are not `q_norm` and `k_norm`.
    pub head_norm_names: Option<[&'static str; 2]>,
    /// Names of a layer's norms, where they are not Llama's.
    pub norms: Option<&'static [&'static str]>,
    /// Parameters of each norm over the hidden state, where it is not a weight alone.
    pub norm: Option<&'static [&'static str]>,
    /// The feed-forward layer has no gate.
    pub ungated: bool,
    /// Default of `partial_rotary_factor` in the model's config class, where it is not the whole head.
    pub rotated: Option<f64>,
    /// Default of `tie_word_embeddings` in the model's config class.
    pub tied: bool,
    /// Default of `head_dim` in the model's config class, where it is not hidden size ÷ heads.
    pub head_width: Option<u64>,
}

/// Sizes of grouped-query attention.
#[derive(Debug, Clone, Copy)]
pub struct AttentionSizes {
    /// Query heads.
    pub heads: u64,
    /// Key/value heads.
    pub kv_heads: u64,
    /// Width of a head.
    pub head_width: u64,
}

impl AttentionSizes {
    /// Reads heads, key/value heads and head width.
    pub fn read(fields: &Fields<'_>, hidden: u64, default_width: Option<u64>) -> Result<Self, ConfigError> {
        let heads = fields.u64(&["num_attention_heads"])?;
        // Absent means multi-head attention in every config class that has the field.
        let kv_heads = fields.u64_or(&["num_key_value_heads"], heads)?;
        if kv_heads == 0 || kv_heads > heads || !heads.is_multiple_of(kv_heads) {
            return Err(ConfigError::Contradiction(format!(
                "`num_attention_heads` is {heads}, which is no multiple of `num_key_value_heads` {kv_heads}"
            )));
        }
        let head_width = match fields.optional_u64(&["head_dim"])?.or(default_width) {
            Some(0) => return Err(ConfigError::Contradiction("`head_dim` is 0".to_owned())),
            Some(width) => width,
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                return Err(ConfigError::Contradiction(format!(
                    "`hidden_size` {hidden} is no multiple of `num_attention_heads` {heads}, and `head_dim` is absent"
                )));
            }
        };
        Ok(Self { heads, kv_heads, head_width })
    }

    /// Output features of the query projection.
    pub const fn query_rows(&self) -> u64 {
        self.heads.saturating_mul(self.head_width)
    }

    /// Output features of the key (or value) projection.
    pub const fn kv_rows(&self) -> u64 {
        self.kv_heads.saturating_mul(self.head_width)
    }

    /// Query segment.
    pub const fn query(&self) -> Segment {
        Segment { rows: self.query_rows(), kind: SegmentKind::QueryHeads(self.heads) }
    }

    /// Key or value segment.
    pub const fn key_value(&self) -> Segment {
        Segment { rows: self.kv_rows(), kind: SegmentKind::KeyValueHeads(self.kv_heads) }
    }

    /// Cache of full attention.
    pub const fn full_cache(&self) -> LayerCache {
        LayerCache::Full { kv_heads: self.kv_heads, key_width: self.head_width, value_width: self.head_width }
    }

    /// Cache of sliding-window attention.
    pub const fn sliding_cache(&self, window: u64) -> LayerCache {
        LayerCache::Sliding {
            kv_heads: self.kv_heads,
            key_width: self.head_width,
            value_width: self.head_width,
            window,
        }
    }
}

/// Output features without structure.
pub const fn features(rows: u64) -> Segment {
    Segment { rows, kind: SegmentKind::Features }
}

/// A matrix in each of `layers`.
pub fn linear(
    path: &str,
    layers: &IndexSet,
    part: Part,
    role: Role,
    input: u64,
    output: Segment,
    bias: bool,
) -> Module {
    let kind = Kind::Linear { input, output: vec![output], bias };
    Module {
        path: path.to_owned(),
        instances: Instances::Layers(layers.clone()),
        part,
        role,
        kind,
        dtype: None,
        tied_to: None,
    }
}

/// A norm without bias.
pub fn norm(path: &str, instances: Instances, part: Part, role: Role, width: u64) -> Module {
    let kind = Kind::Vectors { width, names: &["weight"] };
    Module { path: path.to_owned(), instances, part, role, kind, dtype: None, tied_to: None }
}

/// Token embedding and head, tied or not.
pub fn embedding_and_head(vocab: u64, hidden: u64, tied: bool) -> (Module, Module) {
    let embedding = Module {
        path: "model.embed_tokens".to_owned(),
        instances: Instances::First,
        part: Part::Embedding,
        role: Role::TokenEmbedding,
        kind: Kind::Table { rows: vocab, width: hidden },
        dtype: None,
        tied_to: None,
    };
    let head = Module {
        path: "lm_head".to_owned(),
        instances: Instances::Last,
        part: Part::LmHead,
        role: Role::LmHead,
        kind: Kind::Linear { input: hidden, output: vec![features(vocab)], bias: false },
        dtype: None,
        tied_to: tied.then(|| embedding.path.clone()),
    };
    (embedding, head)
}

/// The decoder that Llama made common: norms before attention and a gated feed-forward layer, rotary positions.
pub fn dense_decoder(fields: &Fields<'_>, options: DenseOptions) -> Result<Model, ConfigError> {
    let text = fields.text();
    let hidden = text.u64(&["hidden_size"])?;
    let layers = text.layer_count(&["num_hidden_layers"])?;
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let attention = AttentionSizes::read(&text, hidden, options.head_width)?;
    let tied = text.bool_or("tie_word_embeddings", options.tied)?;
    let max_position = text.optional_u64(&["max_position_embeddings"])?;

    let all = IndexSet::range(0..layers);
    let (embedding, head) = embedding_and_head(vocab, hidden, tied);
    let mut modules = vec![embedding];
    let attn = |name: &str| format!("model.layers.{{}}.self_attn.{name}");
    let projection = |name: &str, segment| {
        linear(&attn(name), &all, Part::Attention, Role::QueryKeyValue, hidden, segment, options.qkv_bias)
    };
    modules.push(projection("q_proj", attention.query()));
    modules.push(projection("k_proj", attention.key_value()));
    modules.push(projection("v_proj", attention.key_value()));
    modules.push(linear(
        &attn("o_proj"),
        &all,
        Part::Attention,
        Role::AttentionOutput,
        attention.query_rows(),
        features(hidden),
        options.output_bias,
    ));
    if options.head_norm {
        for name in options.head_norm_names.unwrap_or(["q_norm", "k_norm"]) {
            let instances = Instances::Layers(all.clone());
            modules.push(norm(&attn(name), instances, Part::Attention, Role::QueryKeyNorm, attention.head_width));
        }
    }
    let mlp = |name: &str, role, input, output| {
        let path = format!("model.layers.{{}}.mlp.{name}");
        linear(&path, &all, Part::Mlp, role, input, features(output), options.mlp_bias)
    };
    if options.ungated {
        modules.push(mlp("up_proj", Role::Up, hidden, intermediate));
    } else {
        modules.push(mlp("gate_proj", Role::GateUp, hidden, intermediate));
        modules.push(mlp("up_proj", Role::GateUp, hidden, intermediate));
    }
    modules.push(mlp("down_proj", Role::Down, intermediate, hidden));
    let layer_norm = |path: &str, instances| {
        let names = options.norm.unwrap_or(&["weight"]);
        let kind = Kind::Vectors { width: hidden, names };
        Module { kind, ..norm(path, instances, Part::Norm, Role::Norm, hidden) }
    };
    for name in options.norms.unwrap_or(&["input_layernorm", "post_attention_layernorm"]) {
        modules.push(layer_norm(&format!("model.layers.{{}}.{name}"), Instances::Layers(all.clone())));
    }
    modules.push(layer_norm("model.norm", Instances::Last));
    modules.push(head);

    // A share of each head can stay unrotated.
    let rotated = text.rotated(attention.head_width, "partial_rotary_factor", options.rotated.unwrap_or(1.0))?;
    let ropes = match max_position {
        Some(max_position) => {
            vec![Rope { width: rotated, max_position, scaling: RopeScaling::from_config(&text, max_position)? }]
        }
        None => Vec::new(),
    };
    Ok(Model {
        id: None,
        architecture: fields.architecture().unwrap_or(text.model_name()).to_owned(),
        model_type: text.model_name().to_owned(),
        dtype: text.dtype()?,
        hidden_size: hidden,
        intermediate_size: intermediate,
        layers,
        attention_heads: attention.heads,
        kv_heads: attention.kv_heads,
        head_width: attention.head_width,
        experts: None,
        vocab_size: vocab,
        tied_embeddings: tied,
        max_position,
        ropes,
        modules,
        caches: sliding_or_full(&text, &all, attention)?,
        quantization: None,
        draft_layers: 0,
        plain: Format::plain(),
    })
}

/// Which layers see a window only: `layer_types` where the config lists them, else all layers when `sliding_window` is set and not
/// switched off, for Qwen from layer `max_window_layers` on.
pub fn sliding_or_full(
    text: &Fields<'_>,
    all: &IndexSet,
    attention: AttentionSizes,
) -> Result<Vec<CacheGroup>, ConfigError> {
    let full = |layers: IndexSet| CacheGroup { layers, cache: attention.full_cache() };
    let window = text.optional_u64(&["sliding_window"])?.filter(|w| *w > 0);
    // Qwen's classes state a window and leave it unused unless told (`Qwen2Config`, `Qwen3Config`).
    let used = text.bool_or("use_sliding_window", !text.model_name().starts_with("qwen"))?;
    let Some(window) = window.filter(|_| used) else {
        return Ok(vec![full(all.clone())]);
    };
    let sliding = |layers: IndexSet| CacheGroup { layers, cache: attention.sliding_cache(window) };
    let types = text.strings("layer_types")?;
    if !types.is_empty() {
        if types.len() as u64 != all.len() {
            return Err(ConfigError::Contradiction(format!(
                "`layer_types` has {} entries for {} layers",
                types.len(),
                all.len()
            )));
        }
        let pick = |name: &str| {
            IndexSet::from_indices((0u32..).zip(&types).filter(|(_, t)| **t == name).map(|(layer, _)| layer))
        };
        let groups = [full(pick("full_attention")), sliding(pick("sliding_attention"))];
        return Ok(groups.into_iter().filter(|g| !g.layers.is_empty()).collect());
    }
    // Of Qwen's layers those from `max_window_layers` on have the window.
    let first = match text.model_name().starts_with("qwen") {
        true => text.u64_or(&["max_window_layers"], 28)?,
        false => 0,
    };
    let (early, late): (Vec<u32>, Vec<u32>) = all.iter().partition(|layer| u64::from(*layer) < first);
    let groups = [full(IndexSet::from_indices(early)), sliding(IndexSet::from_indices(late))];
    Ok(groups.into_iter().filter(|g| !g.layers.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn windows(extra: &Value) -> Vec<(u64, Option<u64>)> {
        let mut config = json!({"model_type": "qwen2", "num_attention_heads": 2, "sliding_window": 64});
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let fields = Fields::new(&config).unwrap();
        let attention = AttentionSizes { heads: 2, kv_heads: 1, head_width: 8 };
        let groups = sliding_or_full(&fields, &IndexSet::range(0..6), attention).unwrap();
        groups.iter().map(|g| (g.layers.len(), g.cache.window())).collect()
    }

    #[test]
    fn a_window_counts_where_the_class_uses_it() {
        assert_eq!(windows(&json!({})), [(6, None)]);
        assert_eq!(windows(&json!({"use_sliding_window": true, "max_window_layers": 4})), [(4, None), (2, Some(64))]);
        assert_eq!(windows(&json!({"use_sliding_window": true, "max_window_layers": 0})), [(6, Some(64))]);
        assert_eq!(windows(&json!({"model_type": "mistral"})), [(6, Some(64))]);
        let types = json!({"model_type": "mistral", "layer_types": ["full_attention", "sliding_attention",
            "full_attention", "sliding_attention", "full_attention", "sliding_attention"]});
        assert_eq!(windows(&types), [(3, None), (3, Some(64))]);
    }
}
