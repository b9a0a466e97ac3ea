//! Phi 1.5 and 2 (parallel blocks, biases everywhere) and Phi 3 to 4 (Llama with fused matrices).

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, features, sliding_or_full};
use super::decoder::{Decoder, Facts, WEIGHT, WEIGHT_AND_BIAS};

/// Phi 1, 1.5 and 2.
pub const PHI: Family = Family { architectures: &["PhiForCausalLM"], model_types: &["phi"], build: phi };

/// Phi 3, 3.5, 4 and 4-mini.
pub const PHI3: Family = Family { architectures: &["Phi3ForCausalLM"], model_types: &["phi3"], build: phi3 };

fn phi(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let attention = AttentionSizes::read(&text, hidden, None)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        decoder.matrix(&format!("self_attn.{name}"), Role::QueryKeyValue, hidden, [segment], true);
    }
    let output = [features(hidden)];
    decoder.matrix("self_attn.dense", Role::AttentionOutput, attention.query_rows(), output, true);
    if text.bool_or("qk_layernorm", false)? {
        for name in ["self_attn.q_layernorm", "self_attn.k_layernorm"] {
            decoder.query_key_norm(name, attention.head_width, WEIGHT_AND_BIAS);
        }
    }
    decoder.matrix("mlp.fc1", Role::Up, hidden, [features(intermediate)], true);
    decoder.matrix("mlp.fc2", Role::Down, intermediate, [features(hidden)], true);
    decoder.norm("input_layernorm", WEIGHT_AND_BIAS);
    decoder.single_norm("model.final_layernorm", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("lm_head", hidden, vocab, true, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;
    decoder.rope(text.rotated(attention.head_width, "partial_rotary_factor", 0.5)?, max_position)?;
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

fn phi3(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let attention = AttentionSizes::read(&text, hidden, None)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    let output = [features(hidden)];
    decoder.matrix("self_attn.o_proj", Role::AttentionOutput, attention.query_rows(), output, false);
    decoder.matrix("self_attn.qkv_proj", Role::QueryKeyValue, hidden, attention.fused(), false);
    decoder.matrix("mlp.gate_up_proj", Role::GateUp, hidden, [features(intermediate); 2], false);
    decoder.matrix("mlp.down_proj", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.norm("post_attention_layernorm", WEIGHT);
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["max_position_embeddings"], 4096)?;
    decoder.rope(text.rotated(attention.head_width, "partial_rotary_factor", 1.0)?, max_position)?;
    for group in sliding_or_full(&text, &decoder.all, attention)? {
        decoder.cache(group.layers, group.cache);
    }
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
