//! OLMo 1 (norms without weights) and OLMo 2 and 3: norms after each block instead of before it, and over all queries and keys of a token at
//! once; in OLMo 3 three layers with a window, then one without.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, DenseOptions, dense_decoder, features};
use super::decoder::{Decoder, Facts, WEIGHT, sliding_layers};

/// OLMo 1.
pub const OLMO: Family = Family {
    architectures: &["OlmoForCausalLM"],
    model_types: &["olmo"],
    build: |fields| {
        let bias = fields.text().bool_or("attention_bias", false)?;
        dense_decoder(
            fields,
            DenseOptions { qkv_bias: bias, output_bias: bias, norm: Some(&[]), ..DenseOptions::default() },
        )
    },
};

/// OLMo 2.
pub const OLMO2: Family =
    Family { architectures: &["Olmo2ForCausalLM"], model_types: &["olmo2"], build: |fields| olmo2(fields, false) };

/// OLMo 3.
pub const OLMO3: Family =
    Family { architectures: &["Olmo3ForCausalLM"], model_types: &["olmo3"], build: |fields| olmo2(fields, true) };

fn olmo2(fields: &Fields<'_>, windows: bool) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
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
    decoder.query_key_norm("self_attn.q_norm", attention.query_rows(), WEIGHT);
    decoder.query_key_norm("self_attn.k_norm", attention.kv_rows(), WEIGHT);
    for name in ["mlp.gate_proj", "mlp.up_proj"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix("mlp.down_proj", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("post_attention_layernorm", WEIGHT);
    decoder.norm("post_feedforward_layernorm", WEIGHT);
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;
    decoder.rope(attention.head_width, max_position)?;
    if windows {
        let sliding = sliding_layers(&text, decoder.layers, 4)?;
        decoder.mixed_caches(attention, sliding, text.u64_or(&["sliding_window"], 4096)?);
    } else {
        decoder.full_caches(attention);
    }
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
