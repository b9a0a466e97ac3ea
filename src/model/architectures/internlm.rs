//! InternLM 2 and 2.5: queries, keys and values in one matrix, group by group.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT};

/// InternLM 2 and 2.5.
pub const INTERNLM2: Family =
    Family { architectures: &["InternLM2ForCausalLM"], model_types: &["internlm2"], build: internlm2 };

fn internlm2(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let attention = AttentionSizes::read(&text, hidden, None)?;
    let bias = text.bool_or("bias", false)?;

    decoder.embedding("model.tok_embeddings", vocab, hidden);
    decoder.matrix("attention.wqkv", Role::QueryKeyValue, hidden, attention.interleaved()?, bias);
    decoder.matrix("attention.wo", Role::AttentionOutput, attention.query_rows(), [features(hidden)], bias);
    for name in ["feed_forward.w1", "feed_forward.w3"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix("feed_forward.w2", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("attention_norm", WEIGHT);
    decoder.norm("ffn_norm", WEIGHT);
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("output", hidden, vocab, false, tied.then_some("model.tok_embeddings"));

    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;
    decoder.rope(attention.head_width, max_position)?;
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
