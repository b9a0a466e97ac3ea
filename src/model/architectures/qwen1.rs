//! Qwen 1: queries, keys and values in one matrix with a bias; the config's feed-forward width counts gate and up together.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, WEIGHT, heads};

/// Qwen 1.8B, 7B, 14B and 72B.
pub const QWEN1: Family = Family { architectures: &["QWenLMHeadModel"], model_types: &["qwen"], build: qwen };

fn qwen(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "transformer.h.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["num_attention_heads"])?;
    let attention = heads(hidden, query_heads, query_heads)?;
    let intermediate = text.u64(&["intermediate_size"])? / 2;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let bias = !text.bool_or("no_bias", true)?;

    decoder.embedding("transformer.wte", vocab, hidden);
    decoder.norm("ln_1", WEIGHT);
    decoder.matrix("attn.c_attn", Role::QueryKeyValue, hidden, attention.fused(), true);
    decoder.matrix("attn.c_proj", Role::AttentionOutput, hidden, [features(hidden)], bias);
    decoder.norm("ln_2", WEIGHT);
    for name in ["mlp.w1", "mlp.w2"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], bias);
    }
    decoder.matrix("mlp.c_proj", Role::Down, intermediate, [features(hidden)], bias);
    decoder.single_norm("transformer.ln_f", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("transformer.wte"));

    let max_position = text.u64_or(&["max_position_embeddings", "seq_length"], 8192)?;
    decoder.rope(attention.head_width, max_position)?;
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
