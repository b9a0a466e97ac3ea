//! GPT-2, StarCoder (GPTBigCode), GPT-J and GPT-NeoX.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role, RopeScaling};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT_AND_BIAS, heads};

/// GPT-2: learned positions, matrices stored transposed.
pub const GPT2: Family = Family {
    architectures: &["GPT2LMHeadModel", "GPT2Model"],
    model_types: &["gpt2"],
    build: |fields| gpt2(fields, false),
};

/// StarCoder and SantaCoder: GPT-2 with one key/value head and plain matrices.
pub const GPT_BIG_CODE: Family = Family {
    architectures: &["GPTBigCodeForCausalLM"],
    model_types: &["gpt_bigcode"],
    build: |fields| gpt2(fields, true),
};

/// GPT-J: rotary positions, one norm a layer, biases in the feed-forward matrices alone.
pub const GPT_J: Family = Family { architectures: &["GPTJForCausalLM"], model_types: &["gptj"], build: gpt_j };

/// GPT-NeoX, Pythia, RedPajama-INCITE, Dolly: each head's query, key and value stored side by side.
pub const GPT_NEOX: Family =
    Family { architectures: &["GPTNeoXForCausalLM"], model_types: &["gpt_neox"], build: gpt_neox };

fn gpt2(fields: &Fields<'_>, big_code: bool) -> Result<Model, ConfigError> {
    let mut decoder =
        Decoder::named(fields, "transformer.h.{}", &["n_embd", "hidden_size"], &["n_layer", "num_hidden_layers"])?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["n_head", "num_attention_heads"])?;
    let multi_query = big_code && text.bool_or("multi_query", true)?;
    let attention = heads(hidden, query_heads, if multi_query { 1 } else { query_heads })?;
    let intermediate = text.optional_u64(&["n_inner"])?.unwrap_or(hidden.saturating_mul(4));
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let max_position = text.u64_or(&["n_positions", "max_position_embeddings"], 1024)?;

    decoder.embedding("transformer.wte", vocab, hidden);
    decoder.positions("transformer.wpe", max_position);
    decoder.norm("ln_1", WEIGHT_AND_BIAS);
    let matrices = [
        ("attn.c_attn", Role::QueryKeyValue, hidden, attention.fused()),
        ("attn.c_proj", Role::AttentionOutput, hidden, vec![features(hidden)]),
        ("mlp.c_fc", Role::Up, hidden, vec![features(intermediate)]),
        ("mlp.c_proj", Role::Down, intermediate, vec![features(hidden)]),
    ];
    for (name, role, input, output) in matrices {
        match (big_code, role) {
            (false, _) => decoder.conv1d(name, role, input, output),
            // With as many key/value heads as query heads, SantaCoder's code stores them head by head.
            (true, Role::QueryKeyValue) if !multi_query => {
                decoder.matrix(name, role, input, attention.interleaved()?, true);
            }
            (true, _) => decoder.matrix(name, role, input, output, true),
        }
    }
    decoder.norm("ln_2", WEIGHT_AND_BIAS);
    decoder.single_norm("transformer.ln_f", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("transformer.wte"));
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

fn gpt_j(fields: &Fields<'_>) -> Result<Model, ConfigError> {
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
    for name in ["attn.q_proj", "attn.k_proj", "attn.v_proj"] {
        let segment = if name == "attn.q_proj" { attention.query() } else { attention.key_value() };
        decoder.matrix(name, Role::QueryKeyValue, hidden, [segment], false);
    }
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

fn gpt_neox(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "gpt_neox.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["num_attention_heads"])?;
    let attention: AttentionSizes = heads(hidden, query_heads, query_heads)?;
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let bias = text.bool_or("attention_bias", true)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;

    decoder.embedding("gpt_neox.embed_in", vocab, hidden);
    decoder.norm("input_layernorm", WEIGHT_AND_BIAS);
    decoder.norm("post_attention_layernorm", WEIGHT_AND_BIAS);
    decoder.matrix("attention.query_key_value", Role::QueryKeyValue, hidden, attention.interleaved()?, bias);
    decoder.matrix("attention.dense", Role::AttentionOutput, hidden, [features(hidden)], bias);
    decoder.matrix("mlp.dense_h_to_4h", Role::Up, hidden, [features(intermediate)], true);
    decoder.matrix("mlp.dense_4h_to_h", Role::Down, intermediate, [features(hidden)], true);
    decoder.single_norm("gpt_neox.final_layer_norm", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("embed_out", hidden, vocab, false, tied.then_some("gpt_neox.embed_in"));

    decoder.rope(text.rotated(attention.head_width, "rotary_pct", 0.25)?, max_position)?;
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
