//! GLM-4.5 and 4.6.

use super::super::Experts;
use super::Family;
use super::decoder::{Decoder, Facts};
use super::routed::{Attention, GATE_UP_DOWN, after_dense, others};

/// GLM-4.5, 4.5-Air and 4.6.
pub const GLM4_MOE: Family = Family {
    architectures: &["Glm4MoeForCausalLM"],
    model_types: &["glm4_moe"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let text = decoder.text;
        let attention = Attention::read(&text, decoder.hidden, Some(128))?;
        let attention = Attention {
            qkv_bias: text.bool_or("attention_bias", false)?,
            head_norm: text.bool_or("use_qk_norm", false)?,
            ..attention
        };
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["max_position_embeddings"])?;
        let intermediate = text.u64(&["intermediate_size"])?;
        let experts = Experts {
            layers: after_dense(&text, decoder.layers, 1)?,
            count: text.u64(&["n_routed_experts"])?,
            per_token: text.u64(&["num_experts_per_tok"])?,
            intermediate_size: text.u64(&["moe_intermediate_size"])?,
        };
        let all = decoder.all.clone();
        let dense = others(decoder.layers, &experts.layers);
        decoder.attention_in(&all, "self_attn", &attention);
        decoder.llama_norms();
        decoder.gated_mlp(&dense, "mlp", intermediate, false);
        decoder.router(&experts.layers, "mlp.gate", experts.count, false);
        decoder.router_bias(&experts.layers, "mlp.gate", "e_score_correction_bias", experts.count);
        decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
        let shared = text.u64_or(&["n_shared_experts"], 1)?;
        if shared > 0 {
            let width = shared.saturating_mul(experts.intermediate_size);
            decoder.shared_expert(&experts.layers, "mlp.shared_experts", width);
        }
        decoder.llama_ends(vocab, tied);
        decoder.full_caches(attention.sizes());
        if let Some(max_position) = max_position {
            decoder.rope(text.rotated(attention.key_width, "partial_rotary_factor", 0.5)?, max_position)?;
        }
        decoder.has_experts(experts);
        decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
    },
};
