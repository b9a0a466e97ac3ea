//! GLM-4 in Transformers' own form (Glm, Glm4), and ChatGLM 2 and 3, which GLM-4-9B's first release follows.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT, heads};

/// GLM-4-9B, converted.
pub const GLM: Family =
    Family { architectures: &["GlmForCausalLM"], model_types: &["glm"], build: |fields| glm(fields, false) };

/// GLM-4-0414: norms on both sides of each block.
pub const GLM4: Family =
    Family { architectures: &["Glm4ForCausalLM"], model_types: &["glm4"], build: |fields| glm(fields, true) };

/// ChatGLM 2 and 3.
pub const CHATGLM: Family = Family {
    architectures: &["ChatGLMModel", "ChatGLMForConditionalGeneration"],
    model_types: &["chatglm"],
    build: chatglm,
};

fn glm(fields: &Fields<'_>, sandwich: bool) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let attention = AttentionSizes::read(&text, hidden, Some(128))?;
    let bias = text.bool_or("attention_bias", true)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        decoder.matrix(&format!("self_attn.{name}"), Role::QueryKeyValue, hidden, [segment], bias);
    }
    let output = [features(hidden)];
    decoder.matrix("self_attn.o_proj", Role::AttentionOutput, attention.query_rows(), output, false);
    decoder.matrix("mlp.gate_up_proj", Role::GateUp, hidden, [features(intermediate); 2], false);
    decoder.matrix("mlp.down_proj", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.norm("post_attention_layernorm", WEIGHT);
    if sandwich {
        decoder.norm("post_self_attn_layernorm", WEIGHT);
        decoder.norm("post_mlp_layernorm", WEIGHT);
    }
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["max_position_embeddings"], 131_072)?;
    decoder.rope(text.rotated(attention.head_width, "partial_rotary_factor", 0.5)?, max_position)?;
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

fn chatglm(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::named(fields, "transformer.encoder.layers.{}", &["hidden_size"], &["num_layers"])?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["ffn_hidden_size"])?;
    let vocab = text.u64(&["padded_vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let query_heads = text.u64(&["num_attention_heads"])?;
    let kv_heads = match text.bool_or("multi_query_attention", false)? {
        true => text.u64(&["multi_query_group_num"])?,
        false => query_heads,
    };
    let head_width = text.u64_or(&["kv_channels"], 128)?;
    let attention = AttentionSizes { head_width, ..heads(query_heads, query_heads, kv_heads)? };
    let linear_bias = text.bool_or("add_bias_linear", false)?;
    let qkv_bias = linear_bias || text.bool_or("add_qkv_bias", false)?;

    decoder.embedding("transformer.embedding.word_embeddings", vocab, hidden);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.matrix("self_attention.query_key_value", Role::QueryKeyValue, hidden, attention.fused(), qkv_bias);
    let output = [features(hidden)];
    decoder.matrix("self_attention.dense", Role::AttentionOutput, attention.query_rows(), output, linear_bias);
    decoder.norm("post_attention_layernorm", WEIGHT);
    decoder.matrix("mlp.dense_h_to_4h", Role::GateUp, hidden, [features(intermediate); 2], linear_bias);
    decoder.matrix("mlp.dense_4h_to_h", Role::Down, intermediate, [features(hidden)], linear_bias);
    if text.bool_or("post_layer_norm", true)? {
        decoder.single_norm("transformer.encoder.final_layernorm", Instances::Last, WEIGHT);
    }
    let shared = tied.then_some("transformer.embedding.word_embeddings");
    decoder.head("transformer.output_layer", hidden, vocab, false, shared);

    let max_position = text.u64_or(&["seq_length"], 2048)?;
    // Half of each head is rotated.
    decoder.rope(attention.head_width / 2, max_position)?;
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
