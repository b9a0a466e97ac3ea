//! MPT: no biases at all, positions by attention bias, embeddings always tied.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, WEIGHT, WEIGHT_AND_BIAS, heads};

/// MPT 7B and 30B.
pub const MPT: Family =
    Family { architectures: &["MPTForCausalLM", "MptForCausalLM"], model_types: &["mpt"], build: mpt };

fn mpt(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::named(fields, "transformer.blocks.{}", &["d_model"], &["n_layers"])?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["n_heads"])?;
    let attention_fields = text.nested("attn_config");
    // Key/value heads of their own came after the 7B and 30B, which do not name them.
    let kv_heads = match attention_fields {
        Some(fields) => fields.optional_u64(&["kv_n_heads"])?.unwrap_or(query_heads),
        None => query_heads,
    };
    let attention = heads(hidden, query_heads, kv_heads)?;
    let intermediate = hidden.saturating_mul(text.u64_or(&["expansion_ratio"], 4)?);
    let vocab = text.u64(&["vocab_size"])?;
    let bias = !text.bool_or("no_bias", true)?;
    let norm = if bias { WEIGHT_AND_BIAS } else { WEIGHT };

    decoder.embedding("transformer.wte", vocab, hidden);
    decoder.norm("norm_1", norm);
    decoder.matrix("attn.Wqkv", Role::QueryKeyValue, hidden, attention.fused(), bias);
    decoder.matrix("attn.out_proj", Role::AttentionOutput, hidden, [features(hidden)], bias);
    if attention_fields.is_some_and(|fields| fields.get("qk_ln").is_some_and(|v| v.as_bool() == Some(true))) {
        decoder.query_key_norm("attn.q_ln", attention.query_rows(), norm);
        decoder.query_key_norm("attn.k_ln", attention.kv_rows(), norm);
    }
    decoder.norm("norm_2", norm);
    decoder.matrix("ffn.up_proj", Role::Up, hidden, [features(intermediate)], bias);
    decoder.matrix("ffn.down_proj", Role::Down, intermediate, [features(hidden)], bias);
    decoder.single_norm("transformer.norm_f", Instances::Last, norm);
    decoder.head("lm_head", hidden, vocab, false, Some("transformer.wte"));
    decoder.full_caches(attention);
    let max_position = text.u64_or(&["max_seq_len"], 2048)?;
    decoder.finish(Facts { attention, intermediate, vocab, tied: true, max_position: Some(max_position) })
}
