//! Persimmon and the decoder of Fuyu: biases everywhere, norms on queries and keys, half of each head rotated.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, WEIGHT_AND_BIAS, heads};

/// Persimmon 8B.
pub const PERSIMMON: Family =
    Family { architectures: &["PersimmonForCausalLM"], model_types: &["persimmon"], build: persimmon };

fn persimmon(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["num_attention_heads"])?;
    let attention = heads(hidden, query_heads, query_heads)?;
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    let qkv = attention.interleaved()?;
    decoder.matrix("self_attn.query_key_value", Role::QueryKeyValue, hidden, qkv, true);
    decoder.matrix("self_attn.dense", Role::AttentionOutput, hidden, [features(hidden)], true);
    if text.bool_or("qk_layernorm", true)? {
        for name in ["self_attn.q_layernorm", "self_attn.k_layernorm"] {
            decoder.query_key_norm(name, attention.head_width, WEIGHT_AND_BIAS);
        }
    }
    decoder.matrix("mlp.dense_h_to_4h", Role::Up, hidden, [features(intermediate)], true);
    decoder.matrix("mlp.dense_4h_to_h", Role::Down, intermediate, [features(hidden)], true);
    decoder.norm("input_layernorm", WEIGHT_AND_BIAS);
    decoder.norm("post_attention_layernorm", WEIGHT_AND_BIAS);
    decoder.single_norm("model.final_layernorm", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["max_position_embeddings"], 16_384)?;
    decoder.rope(text.rotated(attention.head_width, "partial_rotary_factor", 0.5)?, max_position)?;
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
