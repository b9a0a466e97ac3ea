//! gpt-oss: attention sinks, biases everywhere, every other layer with a window, experts of a layer in one tensor.

use super::super::{Experts, Role, Segment, SegmentKind};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, sliding_layers};
use super::routed::{Attention, Stack};

/// gpt-oss 20B and 120B.
pub const GPT_OSS: Family = Family {
    architectures: &["GptOssForCausalLM"],
    model_types: &["gpt_oss"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let text = decoder.text;
        let bias = text.bool_or("attention_bias", true)?;
        let attention = Attention::read(&text, decoder.hidden, Some(64))?;
        let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["max_position_embeddings"])?;
        let experts = Experts {
            layers: decoder.all.clone(),
            count: text.u64(&["num_local_experts", "num_experts"])?,
            per_token: text.u64_or(&["num_experts_per_tok", "experts_per_token"], 4)?,
            intermediate_size: text.u64(&["intermediate_size"])?,
        };
        let (all, hidden, width) = (decoder.all.clone(), decoder.hidden, experts.intermediate_size);
        decoder.attention_in(&all, "self_attn", &attention);
        let heads = Segment { rows: attention.heads, kind: SegmentKind::QueryHeads(attention.heads) };
        decoder.rows_in(&all, "self_attn", Role::Sinks, vec![heads], &[("sinks", &[])]);
        decoder.llama_norms();
        decoder.router(&all, "mlp.router", experts.count, true);
        // Rows of gate and up alternate, so that any even slice has both.
        let first = Stack {
            parameter: "gate_up_proj",
            input: hidden,
            output: vec![features(width.saturating_mul(2))],
            bias: Some("gate_up_proj_bias"),
            transposed: true,
            folded: false,
        };
        decoder.expert_stack("mlp.experts", Role::ExpertGateUp, &experts, first)?;
        let last = Stack {
            parameter: "down_proj",
            input: width,
            output: vec![features(hidden)],
            bias: Some("down_proj_bias"),
            transposed: true,
            folded: false,
        };
        decoder.expert_stack("mlp.experts", Role::ExpertDown, &experts, last)?;
        decoder.llama_ends(vocab, tied);
        let window = text.u64_or(&["sliding_window"], 128)?;
        let sliding = sliding_layers(&text, decoder.layers, 2)?;
        decoder.mixed_caches(attention.sizes(), sliding, window);
        if let Some(max_position) = max_position {
            decoder.rope(attention.key_width, max_position)?;
        }
        decoder.has_experts(experts);
        decoder.finish(Facts { attention: attention.sizes(), intermediate: width, vocab, tied, max_position })
    },
};
