//! GPT-Neo (learned positions, every other layer local) and CodeGen (GPT-J with one matrix for queries, keys and values).

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role, RopeScaling};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, WEIGHT_AND_BIAS, heads};

/// GPT-Neo.
pub const GPT_NEO: Family = Family { architectures: &["GPTNeoForCausalLM"], model_types: &["gpt_neo"], build: gpt_neo };

/// CodeGen.
pub const CODEGEN: Family =
    Family { architectures: &["CodeGenForCausalLM"], model_types: &["codegen"], build: codegen };

fn gpt_neo(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::named(fields, "transformer.h.{}", &["hidden_size"], &["num_layers"])?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["num_heads"])?;
    let attention = heads(hidden, query_heads, query_heads)?;
    let intermediate = text.optional_u64(&["intermediate_size"])?.unwrap_or(hidden.saturating_mul(4));
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;

    decoder.embedding("transformer.wte", vocab, hidden);
    decoder.positions("transformer.wpe", max_position);
    decoder.norm("ln_1", WEIGHT_AND_BIAS);
    for (name, segment) in
        [("k_proj", attention.key_value()), ("v_proj", attention.key_value()), ("q_proj", attention.query())]
    {
        decoder.matrix(&format!("attn.attention.{name}"), Role::QueryKeyValue, hidden, [segment], false);
    }
    decoder.matrix("attn.attention.out_proj", Role::AttentionOutput, hidden, [features(hidden)], true);
    decoder.norm("ln_2", WEIGHT_AND_BIAS);
    decoder.matrix("mlp.c_fc", Role::Up, hidden, [features(intermediate)], true);
    decoder.matrix("mlp.c_proj", Role::Down, intermediate, [features(hidden)], true);
    decoder.single_norm("transformer.ln_f", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("transformer.wte"));
    // Local layers mask what is far, and keep it all the same.
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

fn codegen(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder =
        Decoder::named(fields, "transformer.h.{}", &["n_embd", "hidden_size"], &["n_layer", "num_hidden_layers"])?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["n_head", "num_attention_heads"])?;
    let attention = heads(hidden, query_heads, query_heads)?;
    let intermediate = text.optional_u64(&["n_inner"])?.unwrap_or(hidden.saturating_mul(4));
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.u64_or(&["n_positions", "max_position_embeddings"], 2048)?;

    decoder.embedding("transformer.wte", vocab, hidden);
    decoder.norm("ln_1", WEIGHT_AND_BIAS);
    decoder.matrix("attn.qkv_proj", Role::QueryKeyValue, hidden, attention.fused(), false);
    decoder.matrix("attn.out_proj", Role::AttentionOutput, hidden, [features(hidden)], false);
    decoder.matrix("mlp.fc_in", Role::Up, hidden, [features(intermediate)], true);
    decoder.matrix("mlp.fc_out", Role::Down, intermediate, [features(hidden)], true);
    decoder.single_norm("transformer.ln_f", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("lm_head", hidden, vocab, true, tied.then_some("transformer.wte"));

    let rotated = text.optional_u64(&["rotary_dim"])?.unwrap_or(attention.head_width);
    decoder.scaled_rope(rotated, max_position, RopeScaling::None);
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
