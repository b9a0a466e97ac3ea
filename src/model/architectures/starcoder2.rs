//! StarCoder 2: biases everywhere, a feed-forward layer without gate, a window in every layer.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, features, sliding_or_full};
use super::decoder::{Decoder, Facts, WEIGHT_AND_BIAS};

/// StarCoder 2.
pub const STARCODER2: Family =
    Family { architectures: &["Starcoder2ForCausalLM"], model_types: &["starcoder2"], build: starcoder2 };

fn starcoder2(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let attention = AttentionSizes::read(&text, hidden, None)?;
    let bias = text.bool_or("use_bias", true)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        decoder.matrix(&format!("self_attn.{name}"), Role::QueryKeyValue, hidden, [segment], bias);
    }
    let output = [features(hidden)];
    decoder.matrix("self_attn.o_proj", Role::AttentionOutput, attention.query_rows(), output, bias);
    decoder.matrix("mlp.c_fc", Role::Up, hidden, [features(intermediate)], bias);
    decoder.matrix("mlp.c_proj", Role::Down, intermediate, [features(hidden)], bias);
    decoder.norm("input_layernorm", WEIGHT_AND_BIAS);
    decoder.norm("post_attention_layernorm", WEIGHT_AND_BIAS);
    decoder.single_norm("model.norm", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["max_position_embeddings"], 4096)?;
    decoder.rope(attention.head_width, max_position)?;
    for group in sliding_or_full(&text, &decoder.all, attention)? {
        decoder.cache(group.layers, group.cache);
    }
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
