//! Gemma 1 to 3: heads 256 wide, embeddings tied and scaled, from the second on norms on both sides of each block.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model, Role, RopeScaling};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT, sliding_layers};

/// Gemma 1.
pub const GEMMA: Family = Family {
    architectures: &["GemmaForCausalLM"],
    model_types: &["gemma"],
    build: |fields| gemma(fields, Generation { number: 1, heads: 16, kv_heads: 16, pattern: 1, prefix: "model" }),
};

/// Gemma 2: every other layer sees a window.
pub const GEMMA2: Family = Family {
    architectures: &["Gemma2ForCausalLM"],
    model_types: &["gemma2"],
    build: |fields| gemma(fields, Generation { number: 2, heads: 8, kv_heads: 4, pattern: 2, prefix: "model" }),
};

/// Gemma 3 without images: five layers with a window, then one without; norms on queries and keys.
pub const GEMMA3: Family = Family {
    architectures: &["Gemma3ForCausalLM"],
    model_types: &["gemma3_text"],
    build: |fields| gemma(fields, Generation { number: 3, heads: 8, kv_heads: 4, pattern: 6, prefix: "model" }),
};

/// What tells the generations apart; heads and pattern are the defaults of their config classes.
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    /// 1, 2 or 3.
    pub number: u32,
    /// Default of `num_attention_heads`.
    pub heads: u64,
    /// Default of `num_key_value_heads`.
    pub kv_heads: u64,
    /// Each so-manieth layer has full attention.
    pub pattern: u64,
    /// Path of the language model.
    pub prefix: &'static str,
}

/// The language model of a generation.
pub fn gemma(fields: &Fields<'_>, generation: Generation) -> Result<Model, ConfigError> {
    text_decoder(fields, generation).and_then(|(decoder, facts)| decoder.finish(facts))
}

/// The language model of a generation, before it is finished.
pub fn text_decoder<'a>(fields: &Fields<'a>, generation: Generation) -> Result<(Decoder<'a>, Facts), ConfigError> {
    let path = |name: &str| format!("{}.{name}", generation.prefix);
    let mut decoder = Decoder::new(fields, path("layers.{}"))?;
    let text = decoder.text;
    let (hidden, layers) = (decoder.hidden, decoder.layers);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = match generation.number {
        3 => text.u64_or(&["vocab_size"], 262_208)?,
        _ => text.u64(&["vocab_size"])?,
    };
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let attention = AttentionSizes::with_defaults(&text, generation.heads, generation.kv_heads, 256)?;
    let bias = text.bool_or("attention_bias", false)?;

    let embedding = path("embed_tokens");
    decoder.embedding(embedding.as_str(), vocab, hidden);
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        decoder.matrix(&format!("self_attn.{name}"), Role::QueryKeyValue, hidden, [segment], bias);
    }
    let output = [features(hidden)];
    decoder.matrix("self_attn.o_proj", Role::AttentionOutput, attention.query_rows(), output, bias);
    if generation.number >= 3 {
        decoder.query_key_norm("self_attn.q_norm", attention.head_width, WEIGHT);
        decoder.query_key_norm("self_attn.k_norm", attention.head_width, WEIGHT);
    }
    for name in ["mlp.gate_proj", "mlp.up_proj"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix("mlp.down_proj", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.norm("post_attention_layernorm", WEIGHT);
    if generation.number >= 2 {
        decoder.norm("pre_feedforward_layernorm", WEIGHT);
        decoder.norm("post_feedforward_layernorm", WEIGHT);
    }
    decoder.single_norm(path("norm"), Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some(embedding.as_str()));

    let max_position =
        text.u64_or(&["max_position_embeddings"], if generation.number == 3 { 131_072 } else { 8192 })?;
    let width = attention.head_width;
    if generation.number >= 3 {
        // Layers with a window rotate at another base frequency, unscaled: a table of their own.
        decoder.scaled_rope(width, max_position, RopeScaling::None);
    }
    decoder.scaled_rope(width, max_position, RopeScaling::of_full_attention(&text, max_position)?);
    if generation.number == 1 {
        decoder.full_caches(attention);
    } else {
        let every = text.u64_or(&["sliding_window_pattern", "_sliding_window_pattern"], generation.pattern)?;
        let sliding = sliding_layers(&text, layers, every)?;
        decoder.mixed_caches(attention, sliding, text.u64_or(&["sliding_window"], 4096)?);
    }
    Ok((decoder, Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) }))
}
