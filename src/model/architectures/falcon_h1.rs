//! Falcon-H1: attention and Mamba 2 side by side in every layer, their outputs added.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model};
use super::Family;
use super::decoder::{Decoder, Facts, WEIGHT};
use super::routed::Attention;
use super::state_space::Mamba2;

/// Falcon-H1.
pub const FALCON_H1: Family =
    Family { architectures: &["FalconH1ForCausalLM"], model_types: &["falcon_h1"], build: falcon };

fn falcon(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden, all) = (decoder.text, decoder.hidden, decoder.all.clone());
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, hidden, None)?;
    let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 8192)?;
    let heads = text.u64_or(&["mamba_n_heads"], 128)?;
    let expanded = hidden.saturating_mul(text.u64_or(&["mamba_expand"], 2)?);
    let channels = text.u64_or(&["mamba_d_ssm"], expanded)?;
    let state = text.u64_or(&["mamba_d_state"], 256)?;
    let layer = Mamba2 {
        bias: text.bool_or("mamba_proj_bias", false)?,
        convolution_bias: text.bool_or("mamba_conv_bias", true)?,
        norm: text.bool_or("mamba_rms_norm", false)?,
        ..Mamba2::sized(&text, [heads, channels / heads.max(1), state, text.u64_or(&["mamba_n_groups"], 1)?])?
    };

    decoder.embedding("model.embed_tokens", vocab, hidden);
    decoder.gated_mlp(&all, "feed_forward", intermediate, text.bool_or("mlp_bias", false)?);
    layer.add(&mut decoder, &all, "mamba")?;
    decoder.attention_in(&all, "self_attn", &attention);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.norm("pre_ff_layernorm", WEIGHT);
    decoder.single_norm("model.final_layernorm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));
    decoder.rope(attention.key_width, max_position)?;
    decoder.cache(all, attention.full_cache());
    let facts = Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position: Some(max_position) };
    decoder.finish(facts)
}
