//! MiniMax M2.

use super::super::{Experts, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts};
use super::routed::Attention;

/// MiniMax M2, M2.5 and M2.7: norms over all query and all key heads at once.
pub const MINIMAX_M2: Family = Family {
    architectures: &["MiniMaxM2ForCausalLM"],
    model_types: &["minimax_m2"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let text = decoder.text;
        let attention = Attention::read(&text, decoder.hidden, None)?;
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["max_position_embeddings"])?;
        let experts = Experts {
            layers: decoder.all.clone(),
            count: text.u64(&["num_local_experts"])?,
            per_token: text.u64(&["num_experts_per_tok"])?,
            intermediate_size: text.u64(&["intermediate_size"])?,
        };
        let all = decoder.all.clone();
        decoder.attention_in(&all, "self_attn", &attention);
        if text.bool_or("use_qk_norm", true)? {
            let Attention { heads, kv_heads, key_width, .. } = attention;
            // Divided evenly even where key heads are repeated: the sum over all ranks is what is normed.
            for (name, count) in [("q_norm", heads), ("k_norm", kv_heads)] {
                let output = vec![features(count.saturating_mul(key_width))];
                let path = format!("self_attn.{name}");
                decoder.rows_in(&all, &path, Role::HeadwiseQueryKeyNorm, output, &[("weight", &[])]);
            }
        }
        decoder.llama_norms();
        decoder.router(&all, "block_sparse_moe.gate", experts.count, false);
        if text.bool_or("use_routing_bias", true)? {
            decoder.router_bias(&all, "block_sparse_moe", "e_score_correction_bias", experts.count);
        }
        decoder.routed_experts("block_sparse_moe.experts", ["w1", "w3", "w2"], &experts)?;
        decoder.llama_ends(vocab, tied);
        decoder.full_caches(attention.sizes());
        if let Some(max_position) = max_position {
            decoder.rope(text.u64_or(&["rotary_dim"], attention.key_width)?, max_position)?;
        }
        let intermediate = experts.intermediate_size;
        decoder.has_experts(experts);
        decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
    },
};
