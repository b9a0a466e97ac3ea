//! Decoders of Llama's shape whose feed-forward layers are experts, and which differ in names and norms: ERNIE 4.5, Hunyuan, OLMoE,
//! Phi-3.5-MoE, dots.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, Instances, Kind, Model, Role};
use super::Family;
use super::blocks::AttentionSizes;
use super::decoder::{Decoder, Facts, WEIGHT, WEIGHT_AND_BIAS, part_of};
use super::routed::{Attention, GATE_UP_DOWN, after_dense, layers_where, others};

/// ERNIE 4.5 with experts.
pub const ERNIE45_MOE: Family = Family {
    architectures: &["Ernie4_5_MoeForCausalLM", "Ernie4_5_MoEForCausalLM"],
    model_types: &["ernie4_5_moe"],
    build: ernie,
};

/// Hunyuan with experts.
pub const HUNYUAN_MOE: Family = Family {
    architectures: &["HunYuanMoEV1ForCausalLM", "HunYuanForCausalLM"],
    model_types: &["hunyuan_v1_moe", "hunyuan"],
    build: hunyuan,
};

/// OLMoE: norms over all queries and all keys of a token at once.
pub const OLMOE: Family = Family { architectures: &["OlmoeForCausalLM"], model_types: &["olmoe"], build: olmoe };

/// Phi-3.5-MoE: Mixtral's experts, norms with biases, a head with a bias.
pub const PHI_MOE: Family =
    Family { architectures: &["PhimoeForCausalLM", "PhiMoEForCausalLM"], model_types: &["phimoe"], build: phi };

/// dots.llm1: DeepSeek's experts behind ordinary attention with norms on queries and keys.
pub const DOTS1: Family = Family { architectures: &["Dots1ForCausalLM"], model_types: &["dots1"], build: dots };

fn ernie(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let text = decoder.text;
    let bias = text.bool_or("use_bias", false)?;
    let attention = Attention::read(&text, decoder.hidden, None)?;
    let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
    let intermediate = text.u64(&["intermediate_size"])?;
    let (first, every) = (text.u64_or(&["moe_layer_start_index"], 1)?, text.u64_or(&["moe_layer_interval"], 1)?.max(1));
    let last = text.optional_u64(&["moe_layer_end_index"])?.unwrap_or(u64::from(decoder.layers));
    let experts = Experts {
        layers: layers_where(decoder.layers, |layer| {
            layer >= first && layer <= last && (layer + 1).is_multiple_of(every)
        }),
        count: text.u64(&["moe_num_experts"])?,
        per_token: text.u64_or(&["moe_k"], 2)?,
        intermediate_size: text.u64(&["moe_intermediate_size"])?,
    };
    let (all, dense) = (decoder.all.clone(), others(decoder.layers, &experts.layers));
    decoder.attention_in(&all, "self_attn", &attention);
    decoder.gated_mlp(&dense, "mlp", intermediate, bias);
    // Trained by a rule of its own and yet listed with the parameters, unlike DeepSeek's buffer.
    let balance = vec![("e_score_correction_bias".to_owned(), vec![1, experts.count])];
    let kind = Kind::Tensors(balance);
    decoder.in_layers(&experts.layers, "mlp.moe_statics", part_of(Role::Router), Role::Router, kind);
    decoder.router(&experts.layers, "mlp.gate", experts.count, false);
    decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
    let shared = text.u64_or(&["moe_num_shared_experts"], 0)?;
    if shared > 0 {
        let width = shared.saturating_mul(experts.intermediate_size);
        decoder.shared_expert(&experts.layers, "mlp.shared_experts", width);
    }
    decoder.llama_norms();
    finish(decoder, attention, experts, intermediate, true)
}

/// A number that newer configs list layer by layer; the first stands for all, as they are equal in every published model.
fn first_number(text: &Fields<'_>, name: &str) -> Result<Option<u64>, ConfigError> {
    match text.get(name) {
        Some(value) if value.is_array() => Ok(text.numbers(name)?.first().copied()),
        _ => text.optional_u64(&[name]),
    }
}

fn hunyuan(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let text = decoder.text;
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, decoder.hidden, None)?;
    let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
    let width = text.u64(&["intermediate_size"])?;
    let experts = Experts {
        layers: decoder.all.clone(),
        count: first_number(&text, "num_experts")?.unwrap_or(1),
        per_token: first_number(&text, "moe_topk")?.unwrap_or(1),
        intermediate_size: first_number(&text, "moe_intermediate_size")?.unwrap_or(width),
    };
    let all = decoder.all.clone();
    decoder.attention_in(&all, "self_attn", &attention);
    if text.bool_or("use_qk_norm", true)? {
        for name in ["query_layernorm", "key_layernorm"] {
            decoder.query_key_norm(&format!("self_attn.{name}"), attention.key_width, WEIGHT);
        }
    }
    decoder.router(&all, "mlp.gate.wg", experts.count, false);
    decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
    let shared = first_number(&text, "num_shared_expert")?.unwrap_or(1);
    if text.bool_or("use_mixed_mlp_moe", true)? && shared > 0 {
        // The shared expert is as wide as the config's feed-forward layer, once for each.
        decoder.shared_expert(&all, "mlp.shared_mlp", width.saturating_mul(shared));
    }
    decoder.llama_norms();
    finish(decoder, attention, experts, width, false)
}

fn olmoe(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let text = decoder.text;
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, decoder.hidden, None)?;
    let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
    let experts = all_layers(&decoder, &["num_experts"], 8)?;
    let all = decoder.all.clone();
    let AttentionSizes { heads, kv_heads, head_width } = attention.sizes();
    decoder.attention_in(&all, "self_attn", &attention);
    decoder.query_key_norm("self_attn.q_norm", heads.saturating_mul(head_width), WEIGHT);
    decoder.query_key_norm("self_attn.k_norm", kv_heads.saturating_mul(head_width), WEIGHT);
    decoder.router(&all, "mlp.gate", experts.count, false);
    decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
    decoder.llama_norms();
    let width = experts.intermediate_size;
    finish(decoder, attention, experts, width, false)
}

fn phi(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, hidden, None)?;
    let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
    let experts = all_layers(&decoder, &["num_local_experts"], 2)?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 131_072)?;
    let all = decoder.all.clone();
    decoder.embedding("model.embed_tokens", vocab, hidden);
    decoder.attention_in(&all, "self_attn", &attention);
    decoder.router(&all, "block_sparse_moe.gate", experts.count, false);
    decoder.routed_experts("block_sparse_moe.experts", ["w1", "w3", "w2"], &experts)?;
    for name in ["input_layernorm", "post_attention_layernorm"] {
        decoder.norm(name, WEIGHT_AND_BIAS);
    }
    decoder.single_norm("model.norm", Instances::Last, WEIGHT_AND_BIAS);
    let head_bias = text.bool_or("lm_head_bias", false)?;
    decoder.head("lm_head", hidden, vocab, head_bias, tied.then_some("model.embed_tokens"));
    decoder.rope(attention.key_width, max_position)?;
    let window = text.optional_u64(&["sliding_window"])?.unwrap_or(0);
    let sliding = if window > 0 { all } else { IndexSet::default() };
    decoder.mixed_caches(attention.sizes(), sliding, window);
    let width = experts.intermediate_size;
    decoder.has_experts(experts);
    let facts =
        Facts { attention: attention.sizes(), intermediate: width, vocab, tied, max_position: Some(max_position) };
    decoder.finish(facts)
}

fn dots(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let text = decoder.text;
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, decoder.hidden, None)?;
    let attention = Attention { head_norm: true, qkv_bias: bias, output_bias: bias, ..attention };
    let intermediate = text.u64(&["intermediate_size"])?;
    let experts = Experts {
        layers: after_dense(&text, decoder.layers, 0)?,
        count: text.u64(&["n_routed_experts"])?,
        per_token: text.u64(&["num_experts_per_tok"])?,
        intermediate_size: text.u64(&["moe_intermediate_size"])?,
    };
    let (all, dense) = (decoder.all.clone(), others(decoder.layers, &experts.layers));
    decoder.attention_in(&all, "self_attn", &attention);
    decoder.gated_mlp(&dense, "mlp", intermediate, false);
    decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
    decoder.router(&experts.layers, "mlp.gate", experts.count, false);
    if text.optional_str("topk_method")?.is_none_or(|method| method == "noaux_tc") {
        decoder.router_bias(&experts.layers, "mlp.gate", "e_score_correction_bias", experts.count);
    }
    let shared = text.u64_or(&["n_shared_experts"], 0)?;
    if shared > 0 {
        let width = shared.saturating_mul(experts.intermediate_size);
        decoder.shared_expert(&experts.layers, "mlp.shared_experts", width);
    }
    decoder.llama_norms();
    finish(decoder, attention, experts, intermediate, false)
}

/// Experts in every layer, as wide as the config's feed-forward layer.
fn all_layers(decoder: &Decoder<'_>, count: &[&str], per_token: u64) -> Result<Experts, ConfigError> {
    let text = &decoder.text;
    Ok(Experts {
        layers: decoder.all.clone(),
        count: text.u64(count)?,
        per_token: text.u64_or(&["num_experts_per_tok"], per_token)?,
        intermediate_size: text.u64(&["intermediate_size"])?,
    })
}

/// Ends, rotation and caches under Llama's names.
fn finish(
    mut decoder: Decoder<'_>,
    attention: Attention,
    experts: Experts,
    intermediate: u64,
    tied: bool,
) -> Result<Model, ConfigError> {
    let text = decoder.text;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", tied)?;
    let max_position = text.optional_u64(&["max_position_embeddings"])?;
    decoder.llama_ends(vocab, tied);
    decoder.full_caches(attention.sizes());
    if let Some(max_position) = max_position {
        decoder.rope(attention.key_width, max_position)?;
    }
    if experts.count > 1 {
        decoder.has_experts(experts);
    }
    decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
}
