//! Qwen 3-Next and Qwen 3.5: three gated-delta layers, then one of gated attention.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, Model, RopeScaling};
use super::Family;
use super::decoder::{Decoder, Facts};
use super::delta::GatedDelta;
use super::qwen_moe::{expert_stacks, gated_shared_expert, sparse_layers};
use super::routed::{Attention, GATE_UP_DOWN, layers_named, layers_where, others};
use super::towers::{join, no_fields, qwen3, vision_fields};

/// Qwen 3-Next.
pub const QWEN3_NEXT: Family = Family {
    architectures: &["Qwen3NextForCausalLM"],
    model_types: &["qwen3_next"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let (experts, dense) = sparse_layers(&decoder.text, decoder.layers, &["num_experts"])?;
        decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
        hybrid(decoder, Some(experts), &dense, true)
    },
};

/// Qwen 3.5 and 3.6, dense.
pub const QWEN3_5: Family = Family {
    architectures: &["Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"],
    model_types: &["qwen3_5", "qwen3_5_text"],
    build: |fields| {
        let decoder = Decoder::new(fields, "model.layers.{}")?;
        let all = decoder.all.clone();
        with_tower(fields, hybrid(decoder, None, &all, false)?)
    },
};

/// Qwen 3.5 and 3.6 with experts: those of a layer in two tensors.
pub const QWEN3_5_MOE: Family = Family {
    architectures: &["Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeForCausalLM"],
    model_types: &["qwen3_5_moe", "qwen3_5_moe_text"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let (experts, dense) = sparse_layers(&decoder.text, decoder.layers, &["num_experts"])?;
        expert_stacks(&mut decoder, &experts, false)?;
        with_tower(fields, hybrid(decoder, Some(experts), &dense, false)?)
    },
};

/// Joins the tower where the config has one.
fn with_tower(fields: &Fields<'_>, model: Model) -> Result<Model, ConfigError> {
    if fields.get("vision_config").is_none() {
        return Ok(model);
    }
    let none = no_fields();
    Ok(join(model, "model.language_model", qwen3(&vision_fields(fields, &none)?, 0)?))
}

/// What all have in common; routed experts are there already.
fn hybrid(
    mut decoder: Decoder<'_>,
    experts: Option<Experts>,
    dense: &IndexSet,
    joint: bool,
) -> Result<Model, ConfigError> {
    let text = decoder.text;
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, decoder.hidden, Some(256))?;
    // Qwen 3-Next always has the gate and does not name it.
    let gated = text.bool_or("attn_output_gate", true)?;
    let attention = Attention { gated, head_norm: true, qkv_bias: bias, output_bias: bias, ..attention };
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.optional_u64(&["max_position_embeddings"])?;
    let every = text.u64_or(&["full_attention_interval"], 4)?.max(1);
    let full = match layers_named(&text, "layer_types", decoder.layers, "full_attention")? {
        Some(full) => full,
        None => layers_where(decoder.layers, |layer| (layer + 1).is_multiple_of(every)),
    };
    let linear = others(decoder.layers, &full);
    GatedDelta::read(&decoder)?.add(&mut decoder, &linear, joint)?;
    decoder.attention_in(&full, "self_attn", &attention);
    decoder.cache(full, attention.full_cache());
    decoder.llama_norms();
    let mut intermediate = 0;
    if !dense.is_empty() {
        intermediate = text.u64(&["intermediate_size"])?;
        decoder.gated_mlp(dense, "mlp", intermediate, false);
    }
    if let Some(experts) = experts {
        intermediate = intermediate.max(experts.intermediate_size);
        decoder.router(&experts.layers, "mlp.gate", experts.count, false);
        gated_shared_expert(&mut decoder, &experts)?;
        decoder.has_experts(experts);
    }
    decoder.llama_ends(vocab, tied);
    if let Some(max_position) = max_position {
        let scaling = RopeScaling::from_config(&text, max_position)?;
        let width = rotated(&text, attention.key_width)?;
        decoder.scaled_rope(width, max_position, scaling);
    }
    decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
}

/// Rotated share of a head: newer configs keep the factor with the other rotary parameters.
fn rotated(text: &Fields<'_>, width: u64) -> Result<u64, ConfigError> {
    match text.get("partial_rotary_factor") {
        None => text.nested("rope_parameters").unwrap_or(*text).rotated(width, "partial_rotary_factor", 0.25),
        Some(_) => text.rotated(width, "partial_rotary_factor", 0.25),
    }
}
