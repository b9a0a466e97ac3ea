//! Jamba: Mamba layers with one of attention in eight, and experts in every other layer.

use super::super::{Experts, Instances, Role};
use super::Family;
use super::decoder::{Decoder, Facts, WEIGHT};
use super::routed::{Attention, GATE_UP_DOWN, layers_where, others};
use super::state_space::Mamba1;

/// Jamba 1.5 and later.
pub const JAMBA: Family = Family {
    architectures: &["JambaForCausalLM"],
    model_types: &["jamba"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let text = decoder.text;
        let hidden = decoder.hidden;
        let attention = Attention::read(&text, hidden, None)?;
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["max_position_embeddings"])?;
        let intermediate = text.u64(&["intermediate_size"])?;
        let (period, offset) =
            (text.u64_or(&["attn_layer_period"], 8)?.max(1), text.u64_or(&["attn_layer_offset"], 4)?);
        let attended = layers_where(decoder.layers, |layer| layer % period == offset);
        let folded = others(decoder.layers, &attended);
        let (period, offset) =
            (text.u64_or(&["expert_layer_period"], 2)?.max(1), text.u64_or(&["expert_layer_offset"], 1)?);
        let count = text.u64_or(&["num_experts"], 16)?;
        let experts = Experts {
            layers: layers_where(decoder.layers, |layer| count > 1 && layer % period == offset),
            count,
            per_token: text.u64_or(&["num_experts_per_tok"], 2)?,
            intermediate_size: intermediate,
        };
        let dense = others(decoder.layers, &experts.layers);
        let layer = Mamba1 {
            channels: hidden.saturating_mul(text.u64_or(&["mamba_expand"], 2)?),
            state: text.u64_or(&["mamba_d_state"], 16)?,
            kernel: text.u64_or(&["mamba_d_conv"], 4)?,
            // `auto` is a sixteenth of the hidden state.
            step_rank: match text.get("mamba_dt_rank").and_then(|rank| rank.as_str()) {
                Some("auto") => hidden.div_ceil(16),
                _ => text.u64_or(&["mamba_dt_rank"], hidden.div_ceil(16))?,
            },
            bias: text.bool_or("mamba_proj_bias", false)?,
            convolution_bias: text.bool_or("mamba_conv_bias", true)?,
            norms: true,
        };
        decoder.embedding("model.embed_tokens", vocab, hidden);
        layer.add(&mut decoder, &folded, "mamba");
        decoder.attention_in(&attended, "self_attn", &attention);
        decoder.cache(attended, attention.full_cache());
        decoder.norm("input_layernorm", WEIGHT);
        decoder.norm("pre_ff_layernorm", WEIGHT);
        decoder.gated_mlp(&dense, "feed_forward", intermediate, false);
        if !experts.layers.is_empty() {
            decoder.matrix_in(
                &experts.layers,
                "feed_forward.router",
                Role::Router,
                hidden,
                [super::blocks::features(experts.count)],
                false,
            );
            decoder.routed_experts("feed_forward.experts", GATE_UP_DOWN, &experts)?;
            decoder.has_experts(experts);
        }
        decoder.single_norm("model.final_layernorm", Instances::Last, WEIGHT);
        decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));
        decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
    },
};
