//! Ling and Ring (Bailing): queries, keys and values in one matrix, experts after the first layers, shared experts.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT};
use super::routed::{GATE_UP_DOWN, after_dense, others};

/// Ling-lite, Ling-plus; Ling 2.0 and Ring 2.0 (norms on queries and keys, a balancing bias).
pub const BAILING: Family = Family {
    architectures: &["BailingMoeForCausalLM", "BailingMoeV2ForCausalLM"],
    model_types: &["bailing_moe", "bailing_moe_v2"],
    build: bailing,
};

fn bailing(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let attention = AttentionSizes::read(&text, hidden, None)?;
    let bias = text.bool_or("use_bias", false)?;
    let qkv_bias = bias || text.bool_or("use_qkv_bias", false)?;
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 16_384)?;
    let experts = Experts {
        layers: after_dense(&text, decoder.layers, 0)?,
        count: text.u64(&["num_experts"])?,
        per_token: text.u64(&["num_experts_per_tok"])?,
        intermediate_size: text.u64(&["moe_intermediate_size"])?,
    };
    let dense = others(decoder.layers, &experts.layers);

    decoder.embedding("model.word_embeddings", vocab, hidden);
    decoder.matrix("attention.query_key_value", Role::QueryKeyValue, hidden, attention.fused(), qkv_bias);
    decoder.matrix("attention.dense", Role::AttentionOutput, attention.query_rows(), [features(hidden)], bias);
    if text.bool_or("use_qk_norm", false)? {
        for name in ["attention.query_layernorm", "attention.key_layernorm"] {
            decoder.query_key_norm(name, attention.head_width, WEIGHT);
        }
    }
    decoder.gated_mlp(&dense, "mlp", intermediate, bias);
    decoder.router(&experts.layers, "mlp.gate", experts.count, false);
    if text.bool_or("moe_router_enable_expert_bias", false)? {
        decoder.router_bias(&experts.layers, "mlp.gate", "expert_bias", experts.count);
    }
    decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
    let shared = text.u64_or(&["num_shared_experts"], 0)?;
    if shared > 0 {
        let each = text.u64_or(&["moe_shared_expert_intermediate_size"], experts.intermediate_size)?;
        decoder.shared_expert(&experts.layers, "mlp.shared_experts", each.saturating_mul(shared));
    }
    decoder.llama_norms();
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.word_embeddings"));
    let rotated = match text.optional_u64(&["rotary_dim"])? {
        Some(width) => width,
        None => text.rotated(attention.head_width, "partial_rotary_factor", 1.0)?,
    };
    decoder.rope(rotated, max_position)?;
    decoder.full_caches(attention);
    decoder.has_experts(experts);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
