//! Mixtral: a Mistral whose feed-forward layers are eight experts.

use super::super::Experts;
use super::Family;
use super::decoder::{Decoder, Facts};
use super::routed::Attention;

/// Mixtral 8x7B and 8x22B.
pub const MIXTRAL: Family = Family {
    architectures: &["MixtralForCausalLM"],
    model_types: &["mixtral"],
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
            per_token: text.u64_or(&["num_experts_per_tok"], 2)?,
            intermediate_size: text.u64(&["intermediate_size"])?,
        };
        decoder.llama_norms();
        let all = decoder.all.clone();
        decoder.attention_in(&all, "self_attn", &attention);
        decoder.router(&all, "block_sparse_moe.gate", experts.count, false);
        decoder.routed_experts("block_sparse_moe.experts", ["w1", "w3", "w2"], &experts)?;
        decoder.llama_ends(vocab, tied);
        let window = text.optional_u64(&["sliding_window"])?.unwrap_or(0);
        let sliding = if window > 0 { all } else { Default::default() };
        decoder.mixed_caches(attention.sizes(), sliding, window);
        if let Some(max_position) = max_position {
            decoder.rope(attention.key_width, max_position)?;
        }
        let intermediate = experts.intermediate_size;
        decoder.has_experts(experts);
        decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
    },
};
