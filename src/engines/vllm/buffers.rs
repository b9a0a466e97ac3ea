//! Small buffers that single model classes of vLLM register beside their weights.

use super::{Release, deepseek_v4, rotary};
use crate::model::{CacheGroup, Instances, Kind, LayerCache, Model, Module, Part, Role, Rope, RopeScaling};
use crate::sharding::{Generated, Layout};
use crate::units::DType;

/// Classes that keep the factor of their embeddings as a scalar on every stage (`normalizer` in `models/gemma.py`, `gemma2.py`, `gemma3.py`, `gemma4.py`).
const SCALED_EMBEDDING: &[&str] = &[
    "GemmaForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "Gemma4ForCausalLM",
    "Gemma4ForConditionalGeneration",
];

/// Classes whose attention knows positions by a slope a head where the model does not rotate (`alibi_slopes` of `models/baichuan.py`,
/// `bloom.py`, `falcon.py`).
const SLOPES: &[&str] = &[
    "BaichuanForCausalLM",
    "BaiChuanForCausalLM",
    "BloomForCausalLM",
    "FalconForCausalLM",
    "RWForCausalLM",
    "MPTForCausalLM",
];

/// Scales that each attention layer owns whatever the cache's element type: q, k, v, probabilities and their float twins
/// (`attention/layer.py`, `Attention.__init__`).
const ATTENTION_SCALES: u64 = 7;
/// Gemma 4: its towers are Transformers' own, whole on every rank (`models/gemma4_mm.py` of 0.25.1).
const GEMMA4: &[&str] = &["Gemma4ForCausalLM", "Gemma4ForConditionalGeneration"];

/// Whether a model's tower is on every rank.
pub fn has_whole_tower(model: &Model) -> bool {
    GEMMA4.contains(&model.architecture.as_str())
}

/// Weights of norms that have none: `RMSNorm(has_weight=False)` keeps ones all the same (`layers/layernorm.py`).
fn constant_norms(model: &Model, dtype: DType) -> Vec<Generated> {
    let constant = |name: &str, instances: &Instances, part, shape| Generated {
        name: name.to_owned(),
        instances: instances.clone(),
        part,
        dtype,
        shape,
        copies: 1,
    };
    let mut list = Vec::new();
    for group in &model.caches {
        let layers = Instances::Layers(group.layers.clone());
        if let LayerCache::Full { value_width, .. } | LayerCache::Sliding { value_width, .. } = group.cache {
            let name = "model.layers.{}.self_attn.v_norm.weight";
            list.push(constant(name, &layers, Part::Attention, vec![value_width]));
        }
    }
    for module in &model.modules {
        match (&module.kind, module.role) {
            (Kind::Linear { input, .. }, Role::Router) => {
                let at = &module.instances;
                list.push(constant("model.layers.{}.router.norm.weight", at, Part::Router, vec![*input]));
                list.push(constant("model.layers.{}.router.root_size", at, Part::Router, Vec::new()));
            }
            (Kind::Linear { input, .. }, Role::Projector) if module.path.ends_with("embedding_projection") => {
                let name = "embed_vision.embedding_pre_projection_norm.weight";
                list.push(constant(name, &module.instances, Part::Vision, vec![*input]));
            }
            _ => {}
        }
    }
    list
}

/// The buffers of a model's class.
pub fn of_class(model: &Model, layout: Layout, dtype: DType, release: Release) -> Vec<Generated> {
    if deepseek_v4::is(model) {
        return deepseek_v4::of_class(model);
    }
    let mut buffers = scales(model);
    buffers.extend(tables(model, dtype, release));
    buffers.extend(model.modules.iter().filter_map(ones));
    if release.indexer_bias {
        buffers.extend(model.modules.iter().filter_map(|module| indexer_bias(module, dtype)));
    }
    if model.ropes.is_empty() && SLOPES.contains(&model.architecture.as_str()) {
        buffers.extend(model.caches.iter().map(|group| Generated {
            name: "model.layers.{}.self_attn.attn.alibi_slopes".to_owned(),
            instances: Instances::Layers(group.layers.clone()),
            part: Part::Attention,
            dtype: DType::F32,
            shape: vec![model.attention_heads / u64::from(layout.tp.max(1))],
            copies: 1,
        }));
    }
    if GEMMA4.contains(&model.architecture.as_str()) {
        buffers.extend(constant_norms(model, dtype));
    }
    if SCALED_EMBEDDING.contains(&model.architecture.as_str()) {
        buffers.push(Generated {
            name: "model.normalizer".to_owned(),
            instances: Instances::First,
            // vLLM's own listing counts it beside the norms.
            part: Part::Norm,
            dtype,
            shape: Vec::new(),
            copies: 1,
        });
    }
    buffers
}

/// Scales of attention layers; states and indexers have none.
fn scales(model: &Model) -> Vec<Generated> {
    let attends = |cache: &LayerCache| !matches!(cache, LayerCache::State(_) | LayerCache::Indexer { .. });
    let of = |group: &CacheGroup| Generated {
        name: "model.layers.{}.self_attn.attn.scales".to_owned(),
        instances: Instances::Layers(group.layers.clone()),
        part: Part::Attention,
        dtype: DType::F32,
        shape: Vec::new(),
        copies: ATTENTION_SCALES,
    };
    model.caches.iter().filter(|group| attends(&group.cache)).map(of).collect()
}

/// Rotary tables, one for each distinct embedding.
fn tables(model: &Model, dtype: DType, release: Release) -> Vec<Generated> {
    let has = |wanted: fn(&LayerCache) -> bool| model.caches.iter().any(|group| wanted(&group.cache));
    let latent = has(|cache| matches!(cache, LayerCache::Latent { .. }));
    let indexer = has(|cache| matches!(cache, LayerCache::Indexer { .. }));
    // DeepSeek's indexer rotates halves, its attention pairs; GLM's both pairs.
    let apart = release.indexer_table_apart && indexer && model.architecture == "DeepseekV32ForCausalLM";
    let of = |rope: &Rope| {
        let yarn = matches!(rope.scaling, RopeScaling::Yarn { .. });
        let float = yarn && (model.architecture == "GptOssForCausalLM" || latent && release.latent_yarn_in_f32);
        Generated {
            name: "model.rotary_emb.cos_sin_cache".to_owned(),
            instances: Instances::First,
            part: Part::Rotary,
            dtype: if float { DType::F32 } else { dtype },
            shape: rotary::shape(rope),
            copies: if apart { 2 } else { 1 },
        }
    };
    model.ropes.iter().map(of).collect()
}

/// A norm without weights is built with float32 ones (`layers/layernorm.py`, `RMSNorm` with `has_weight=False`).
fn ones(module: &Module) -> Option<Generated> {
    match &module.kind {
        Kind::Vectors { width, names: [] } => Some(Generated {
            name: format!("{}.weight", module.path),
            instances: module.instances.clone(),
            part: module.part,
            dtype: DType::F32,
            shape: vec![*width],
            copies: 1,
        }),
        _ => None,
    }
}

/// The bias of an indexer's weights, built because nobody said otherwise.
fn indexer_bias(module: &Module, dtype: DType) -> Option<Generated> {
    match (&module.kind, module.role) {
        (Kind::Linear { output, bias: false, .. }, Role::IndexerWeights) => Some(Generated {
            name: format!("{}.bias", module.path),
            instances: module.instances.clone(),
            part: module.part,
            dtype,
            shape: vec![output.iter().map(|segment| segment.rows).fold(0, u64::saturating_add)],
            copies: 1,
        }),
        _ => None,
    }
}

/// Buffers whose size follows the tokens of a step.
pub fn of_batch(model: &Model, batched_tokens: u64, dtype: DType, release: Release) -> Vec<Generated> {
    if deepseek_v4::is(model) {
        return deepseek_v4::of_batch(model, batched_tokens, dtype);
    }
    image_levels(model, batched_tokens, dtype).into_iter().chain(choices(model, batched_tokens, release)).collect()
}

/// What the indexer of sparse attention chooses, one row a token, shared by all layers (`models/deepseek_v2.py`, `topk_indices_buffer`).
fn choices(model: &Model, batched_tokens: u64, release: Release) -> Option<Generated> {
    let chosen = model.caches.iter().find_map(|group| match group.cache {
        LayerCache::Indexer { chosen, .. } => Some(chosen),
        _ => None,
    })?;
    Some(Generated {
        name: "model.topk_indices_buffer".to_owned(),
        instances: Instances::First,
        part: Part::Attention,
        dtype: DType::I32,
        shape: vec![release.index_buffer_rows.unwrap_or(batched_tokens), chosen],
        copies: 1,
    })
}

/// What early decoder layers take from a vision tower, one hidden state a token and level (`deepstack_input_embeds` in
/// `models/qwen3_vl.py`).
fn image_levels(model: &Model, batched_tokens: u64, dtype: DType) -> Option<Generated> {
    let merger = |m: &&Module| m.role == Role::Norm && m.path.contains("deepstack_merger_list");
    let levels = model.modules.iter().find(merger)?.instances.count();
    Some(Generated {
        name: "deepstack_input_embeds".to_owned(),
        instances: Instances::First,
        part: Part::Vision,
        dtype,
        shape: vec![batched_tokens, model.hidden_size],
        copies: levels,
    })
}
