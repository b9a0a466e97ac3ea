//! EXAONE 3 (Llama under names of its own) and EXAONE 4 (norms after each block, three layers with a window, then one without).

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, DenseOptions, dense_decoder, features, sliding_or_full};
use super::decoder::{Decoder, Facts, WEIGHT};

/// EXAONE 3.0, 3.5 and Deep.
pub const EXAONE: Family = Family { architectures: &["ExaoneForCausalLM"], model_types: &["exaone"], build: exaone };

/// EXAONE 4.0.
pub const EXAONE4: Family = Family {
    architectures: &["Exaone4ForCausalLM"],
    model_types: &["exaone4"],
    build: |fields| {
        dense_decoder(
            fields,
            DenseOptions {
                head_norm: true,
                norms: Some(&["post_attention_layernorm", "post_feedforward_layernorm"]),
                ..DenseOptions::default()
            },
        )
    },
};

fn exaone(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder =
        Decoder::named(fields, "transformer.h.{}", &["hidden_size"], &["num_layers", "num_hidden_layers"])?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64_or(&["intermediate_size"], hidden.saturating_mul(4))?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let attention = AttentionSizes::read(&text, hidden, None)?;

    decoder.embedding("transformer.wte", vocab, hidden);
    decoder.norm("ln_1", WEIGHT);
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        decoder.matrix(&format!("attn.attention.{name}"), Role::QueryKeyValue, hidden, [segment], false);
    }
    let output = [features(hidden)];
    decoder.matrix("attn.attention.out_proj", Role::AttentionOutput, attention.query_rows(), output, false);
    decoder.norm("ln_2", WEIGHT);
    for name in ["mlp.c_fc_0", "mlp.c_fc_1"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix("mlp.c_proj", Role::Down, intermediate, [features(hidden)], false);
    decoder.single_norm("transformer.ln_f", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("transformer.wte"));

    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;
    decoder.rope(attention.head_width, max_position)?;
    for group in sliding_or_full(&text, &decoder.all, attention)? {
        decoder.cache(group.layers, group.cache);
    }
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
