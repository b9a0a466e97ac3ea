//! Small buffers that single model classes of vLLM register beside their weights.

use crate::model::{Instances, Model, Module, Part, Role};
use crate::sharding::{Generated, Layout};
use crate::units::DType;

/// Classes that keep the factor of their embeddings as a scalar on every stage (`normalizer` in `models/gemma.py`, `gemma2.py`, `gemma3.py`).
const SCALED_EMBEDDING: &[&str] =
    &["GemmaForCausalLM", "Gemma2ForCausalLM", "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"];

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

/// The buffers of a model's class.
pub fn of_class(model: &Model, layout: Layout, dtype: DType) -> Vec<Generated> {
    let mut buffers = Vec::new();
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

/// What early decoder layers take from a vision tower, one hidden state a token and level (`deepstack_input_embeds` in
/// `models/qwen3_vl.py`).
pub fn of_batch(model: &Model, batched_tokens: u64, dtype: DType) -> Option<Generated> {
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
