//! Qwen 1.5-MoE, Qwen 2-MoE and Qwen 3-MoE, the last also with a vision tower.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, Model, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts};
use super::routed::{Attention, GATE_UP_DOWN, Stack, layers_where, others};
use super::towers::{join, no_fields, qwen3, vision_fields};

/// Qwen 1.5-MoE and 2-MoE: biases on queries, keys and values; a shared expert behind a gate.
pub const QWEN2_MOE: Family = Family {
    architectures: &["Qwen2MoeForCausalLM"],
    model_types: &["qwen2_moe"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let mut attention = Attention::read(&decoder.text, decoder.hidden, None)?;
        attention.qkv_bias = decoder.text.bool_or("qkv_bias", true)?;
        let (experts, dense) = sparse_layers(&decoder.text, decoder.layers, &["num_experts"])?;
        decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
        gated_shared_expert(&mut decoder, &experts)?;
        qwen_moe(decoder, &attention, experts, &dense)
    },
};

/// Qwen 3-MoE: norms on queries and keys, no shared expert.
pub const QWEN3_MOE: Family = Family {
    architectures: &["Qwen3MoeForCausalLM"],
    model_types: &["qwen3_moe"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let (experts, dense) = sparse_layers(&decoder.text, decoder.layers, &["num_experts"])?;
        decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
        let attention = third_attention(&decoder)?;
        qwen_moe(decoder, &attention, experts, &dense)
    },
};

/// Qwen 3-VL-MoE: experts of a layer in one tensor, stored `input × output`.
pub const QWEN3_VL_MOE: Family = Family {
    architectures: &["Qwen3VLMoeForConditionalGeneration"],
    model_types: &["qwen3_vl_moe"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let (experts, dense) = sparse_layers(&decoder.text, decoder.layers, &["num_experts"])?;
        expert_stacks(&mut decoder, &experts, true)?;
        let attention = third_attention(&decoder)?;
        let model = qwen_moe(decoder, &attention, experts, &dense)?;
        let none = no_fields();
        Ok(join(model, "model.language_model", qwen3(&vision_fields(fields, &none)?, 3)?))
    },
};

/// Attention of Qwen 3: heads 128 wide unless stated.
fn third_attention(decoder: &Decoder<'_>) -> Result<Attention, ConfigError> {
    let bias = decoder.text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&decoder.text, decoder.hidden, Some(128))?;
    Ok(Attention { head_norm: true, qkv_bias: bias, output_bias: bias, ..attention })
}

/// Layers with experts and layers without: each `decoder_sparse_step`-th has them, unless it is one of `mlp_only_layers`.
pub fn sparse_layers(text: &Fields<'_>, layers: u32, count: &[&str]) -> Result<(Experts, IndexSet), ConfigError> {
    let step = text.u64_or(&["decoder_sparse_step"], 1)?.max(1);
    let dense_only = text.numbers("mlp_only_layers")?;
    let count = text.u64(count)?;
    let sparse = layers_where(layers, |layer| (layer + 1).is_multiple_of(step) && !dense_only.contains(&layer));
    let dense = others(layers, &sparse);
    let experts = Experts {
        layers: sparse,
        count,
        per_token: text.u64(&["num_experts_per_tok"])?,
        intermediate_size: text.u64(&["moe_intermediate_size"])?,
    };
    Ok((experts, dense))
}

/// A shared expert whose output is scaled by a gate of one feature.
pub fn gated_shared_expert(decoder: &mut Decoder<'_>, experts: &Experts) -> Result<(), ConfigError> {
    let Some(width) = decoder.text.optional_u64(&["shared_expert_intermediate_size"])?.filter(|width| *width > 0)
    else {
        return Ok(());
    };
    let hidden = decoder.hidden;
    decoder.shared_expert(&experts.layers, "mlp.shared_expert", width);
    let role = Role::SharedExpertGate;
    decoder.matrix_in(&experts.layers, "mlp.shared_expert_gate", role, hidden, [features(1)], false);
    Ok(())
}

/// Experts of a layer in two tensors, gate and up one after the other.
pub fn expert_stacks(decoder: &mut Decoder<'_>, experts: &Experts, transposed: bool) -> Result<(), ConfigError> {
    let (hidden, width) = (decoder.hidden, experts.intermediate_size);
    let gate_up = vec![features(width), features(width)];
    let first = Stack { parameter: "gate_up_proj", input: hidden, output: gate_up, transposed, ..Stack::default() };
    decoder.expert_stack("mlp.experts", Role::ExpertGateUp, experts, first)?;
    let output = vec![features(hidden)];
    let last = Stack { parameter: "down_proj", input: width, output, transposed, ..Stack::default() };
    decoder.expert_stack("mlp.experts", Role::ExpertDown, experts, last)
}

/// What all have in common; the experts' matrices are there already.
fn qwen_moe(
    mut decoder: Decoder<'_>,
    attention: &Attention,
    experts: Experts,
    dense: &IndexSet,
) -> Result<Model, ConfigError> {
    let text = decoder.text;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.optional_u64(&["max_position_embeddings"])?;
    let intermediate = text.u64_or(&["intermediate_size"], experts.intermediate_size)?;
    let all = decoder.all.clone();
    decoder.attention_in(&all, "self_attn", attention);
    decoder.llama_norms();
    decoder.router(&experts.layers, "mlp.gate", experts.count, false);
    if !dense.is_empty() {
        decoder.gated_mlp(dense, "mlp", intermediate, false);
    }
    decoder.llama_ends(vocab, tied);
    let window = match text.bool_or("use_sliding_window", false)? {
        true => text.optional_u64(&["sliding_window"])?.unwrap_or(0),
        false => 0,
    };
    // Windows begin at `max_window_layers`.
    let first = text.u64_or(&["max_window_layers"], 0)?;
    let sliding = if window > 0 { layers_where(decoder.layers, |layer| layer >= first) } else { IndexSet::default() };
    decoder.mixed_caches(attention.sizes(), sliding, window);
    if let Some(max_position) = max_position {
        decoder.rope(attention.key_width, max_position)?;
    }
    decoder.has_experts(experts);
    decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
}
