//! DBRX: queries, keys and values in one matrix; experts folded into the rows of theirs.

use super::super::config::ConfigError;
use super::super::{Experts, Instances, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, WEIGHT, heads};
use super::routed::Stack;

/// DBRX.
pub const DBRX: Family = Family {
    architectures: &["DbrxForCausalLM"],
    model_types: &["dbrx"],
    build: |fields| {
        let mut decoder = Decoder::named(fields, "transformer.blocks.{}", &["d_model"], &["n_layers"])?;
        let text = decoder.text;
        let missing = |field: &str| ConfigError::Missing { model: "dbrx".to_owned(), field: field.to_owned() };
        let attention = text.nested("attn_config").ok_or_else(|| missing("attn_config"))?;
        let feed_forward = text.nested("ffn_config").ok_or_else(|| missing("ffn_config"))?;
        let hidden = decoder.hidden;
        let attention = heads(hidden, text.u64(&["n_heads"])?, attention.u64(&["kv_n_heads"])?)?;
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["max_seq_len"])?;
        let experts = Experts {
            layers: decoder.all.clone(),
            count: feed_forward.u64(&["moe_num_experts"])?,
            per_token: feed_forward.u64(&["moe_top_k"])?,
            intermediate_size: feed_forward.u64(&["ffn_hidden_size"])?,
        };
        let width = experts.intermediate_size;
        decoder.embedding("transformer.wte", vocab, hidden);
        for name in ["norm_attn_norm.norm_1", "norm_attn_norm.norm_2"] {
            decoder.norm(name, WEIGHT);
        }
        decoder.matrix("norm_attn_norm.attn.Wqkv", Role::QueryKeyValue, hidden, attention.fused(), false);
        let output = [features(hidden)];
        let queries = attention.query_rows();
        decoder.matrix("norm_attn_norm.attn.out_proj", Role::AttentionOutput, queries, output, false);
        let all = decoder.all.clone();
        decoder.router(&all, "ffn.router.layer", experts.count, false);
        for parameter in ["w1", "v1"] {
            let stack =
                Stack { parameter, input: hidden, output: vec![features(width)], folded: true, ..Stack::default() };
            decoder.expert_stack("ffn.experts.mlp", Role::ExpertGateUp, &experts, stack)?;
        }
        // The last matrix lies as the first ones do: one row for each feature of the expert.
        let output = vec![features(hidden)];
        let last = Stack { parameter: "w2", input: width, output, transposed: true, folded: true, bias: None };
        decoder.expert_stack("ffn.experts.mlp", Role::ExpertDown, &experts, last)?;
        decoder.single_norm("transformer.norm_f", Instances::Last, WEIGHT);
        decoder.head("lm_head", hidden, vocab, false, tied.then_some("transformer.wte"));
        decoder.full_caches(attention);
        if let Some(max_position) = max_position {
            decoder.rope(attention.head_width, max_position)?;
        }
        decoder.has_experts(experts);
        decoder.finish(Facts { attention, intermediate: width, vocab, tied, max_position })
    },
};
