//! LFM2: short gated convolutions with a few layers of attention; with experts after the first layers in the larger one.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, Instances, LayerCache, Model, Role, StateCache, StateKind};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT};
use super::routed::{layers_named, layers_where, others};

/// LFM2, dense.
pub const LFM2: Family =
    Family { architectures: &["Lfm2ForCausalLM"], model_types: &["lfm2"], build: |fields| lfm2(fields, false) };

/// LFM2 with experts.
pub const LFM2_MOE: Family =
    Family { architectures: &["Lfm2MoeForCausalLM"], model_types: &["lfm2_moe"], build: |fields| lfm2(fields, true) };

fn lfm2(fields: &Fields<'_>, routed: bool) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden, layers) = (decoder.text, decoder.hidden, decoder.layers);
    let attention = AttentionSizes::read(&text, hidden, None)?;
    let attended = attended(&text, layers)?;
    let convolved = others(layers, &attended);
    let intermediate = if routed { text.u64(&["intermediate_size"])? } else { feed_forward(&text)? };
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_embedding", text.bool_or("tie_word_embeddings", true)?)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 128_000)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    convolution(&mut decoder, &convolved)?;
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        decoder.matrix_in(&attended, &format!("self_attn.{name}"), Role::QueryKeyValue, hidden, [segment], false);
    }
    let (width, output) = (attention.query_rows(), [features(hidden)]);
    decoder.matrix_in(&attended, "self_attn.out_proj", Role::AttentionOutput, width, output, false);
    for name in ["q_layernorm", "k_layernorm"] {
        decoder.vector_in(&attended, &format!("self_attn.{name}"), Role::QueryKeyNorm, attention.head_width);
    }
    let dense = if routed { experts(&mut decoder)? } else { decoder.all.clone() };
    for name in ["feed_forward.w1", "feed_forward.w3"] {
        decoder.matrix_in(&dense, name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix_in(&dense, "feed_forward.w2", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("operator_norm", WEIGHT);
    decoder.norm("ffn_norm", WEIGHT);
    decoder.single_norm("model.embedding_norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));
    decoder.rope(attention.head_width, max_position)?;
    decoder.cache(attended, attention.full_cache());
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

/// Layers of attention: `layer_types`, in the first configs `full_attn_idxs`.
fn attended(text: &Fields<'_>, layers: u32) -> Result<IndexSet, ConfigError> {
    if let Some(attended) = layers_named(text, "layer_types", layers, "full_attention")? {
        return Ok(attended);
    }
    let listed = text.numbers("full_attn_idxs")?;
    Ok(layers_where(layers, |layer| listed.contains(&layer)))
}

/// Two thirds of the stated width, scaled and rounded up to a multiple, unless told to take it as it is (`Lfm2MLP`).
fn feed_forward(text: &Fields<'_>) -> Result<u64, ConfigError> {
    let stated = text.u64(&["block_ff_dim", "intermediate_size"])?;
    if !text.bool_or("block_auto_adjust_ff_dim", true)? {
        return Ok(stated);
    }
    let multiplier = text.optional_f64("block_ffn_dim_multiplier")?.unwrap_or(1.0).clamp(0.0, 64.0);
    let adjusted = ((stated.saturating_mul(2) / 3) as f64 * multiplier) as u64;
    let multiple = text.u64_or(&["block_multiple_of"], 256)?.max(1);
    Ok(adjusted.div_ceil(multiple).saturating_mul(multiple))
}

/// Gate in, gate out and the convolved channels in one matrix, a kernel a channel.
fn convolution(decoder: &mut Decoder<'_>, layers: &IndexSet) -> Result<(), ConfigError> {
    let hidden = decoder.hidden;
    let kernel = decoder.text.u64_or(&["conv_L_cache"], 3)?;
    let bias = decoder.text.bool_or("conv_bias", false)?;
    let mut parameters: Vec<(&'static str, &[u64])> = vec![("weight", &[])];
    let inner = [1, kernel];
    parameters[0].1 = &inner;
    if bias {
        parameters.push(("bias", &[]));
    }
    decoder.rows_in(layers, "conv.conv", Role::StateConvolution, vec![features(hidden)], &parameters);
    decoder.matrix_in(layers, "conv.in_proj", Role::StateIn, hidden, [features(hidden); 3], bias);
    decoder.matrix_in(layers, "conv.out_proj", Role::StateOut, hidden, [features(hidden)], bias);
    let cache = StateCache {
        kind: StateKind::ShortConvolution,
        taps: kernel.saturating_sub(1),
        channels: hidden,
        grouped_channels: 0,
        groups: 0,
        heads: 0,
        head_elements: 0,
        dtype: None,
    };
    decoder.cache(layers.clone(), LayerCache::State(cache));
    Ok(())
}

/// The experts; returns the layers without.
fn experts(decoder: &mut Decoder<'_>) -> Result<IndexSet, ConfigError> {
    let text = decoder.text;
    let first = text.u64_or(&["num_dense_layers"], 2)?;
    let experts = Experts {
        layers: layers_where(decoder.layers, |layer| layer >= first),
        count: text.u64(&["num_experts"])?,
        per_token: text.u64(&["num_experts_per_tok"])?,
        intermediate_size: text.u64(&["moe_intermediate_size"])?,
    };
    let dense = others(decoder.layers, &experts.layers);
    decoder.router(&experts.layers, "feed_forward.gate", experts.count, false);
    if text.bool_or("use_expert_bias", true)? {
        decoder.router_bias(&experts.layers, "feed_forward", "expert_bias", experts.count);
    }
    decoder.routed_experts("feed_forward.experts", ["w1", "w3", "w2"], &experts)?;
    decoder.has_experts(experts);
    Ok(dense)
}
