//! Command-R, Command-R+, Aya (Cohere) and Command-R7B (Cohere 2): one norm a layer, attention and feed-forward side by side, embeddings tied.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT, sliding_layers};

/// Command-R, Command-R+, Aya.
pub const COHERE: Family =
    Family { architectures: &["CohereForCausalLM"], model_types: &["cohere"], build: |fields| cohere(fields, false) };

/// Command-R7B and later: three layers with a window, then one without.
pub const COHERE2: Family =
    Family { architectures: &["Cohere2ForCausalLM"], model_types: &["cohere2"], build: |fields| cohere(fields, true) };

fn cohere(fields: &Fields<'_>, windows: bool) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let attention = AttentionSizes::read(&text, hidden, None)?;
    let bias = text.bool_or("attention_bias", false)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        decoder.matrix(&format!("self_attn.{name}"), Role::QueryKeyValue, hidden, [segment], bias);
    }
    let output = [features(hidden)];
    decoder.matrix("self_attn.o_proj", Role::AttentionOutput, attention.query_rows(), output, bias);
    if text.bool_or("use_qk_norm", false)? {
        for (name, segment) in [("q_norm", attention.query()), ("k_norm", attention.key_value())] {
            decoder.headwise_norm(&format!("self_attn.{name}"), segment.kind, attention.head_width);
        }
    }
    for name in ["mlp.gate_proj", "mlp.up_proj"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix("mlp.down_proj", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    // `max_position_embeddings` is what the attention mask was sized for; the context is `model_max_length` where it is stated.
    let max_position = text.optional_u64(&["model_max_length", "max_position_embeddings"])?.unwrap_or(8192);
    decoder.rope(attention.head_width, max_position)?;
    if windows {
        let sliding = sliding_layers(&text, decoder.layers, text.u64_or(&["sliding_window_pattern"], 4)?)?;
        decoder.mixed_caches(attention, sliding, text.u64_or(&["sliding_window"], 4096)?);
    } else {
        decoder.full_caches(attention);
    }
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
