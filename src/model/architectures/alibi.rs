//! Decoders of the years before Llama that know positions by attention bias or by a learned table: BLOOM, OPT; and Falcon and Baichuan,
//! whose smaller members rotate.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Kind, Model, Part, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, WEIGHT, WEIGHT_AND_BIAS, heads, module};

/// BLOOM and BLOOMZ: each head's query, key and value stored side by side, a norm after the embedding.
pub const BLOOM: Family = Family { architectures: &["BloomForCausalLM"], model_types: &["bloom"], build: bloom };

/// OPT: learned positions with an offset of two.
pub const OPT: Family = Family { architectures: &["OPTForCausalLM"], model_types: &["opt"], build: opt };

/// Falcon 1 and 2: one key/value head, or groups of them stored with their queries.
pub const FALCON: Family = Family {
    architectures: &["FalconForCausalLM", "RWForCausalLM"],
    model_types: &["falcon", "RefinedWeb", "RefinedWebModel"],
    build: falcon,
};

/// Baichuan 1 and 2: queries, keys and values in one matrix.
pub const BAICHUAN: Family = Family {
    architectures: &["BaichuanForCausalLM", "BaiChuanForCausalLM"],
    model_types: &["baichuan"],
    build: baichuan,
};

fn bloom(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder =
        Decoder::named(fields, "transformer.h.{}", &["hidden_size", "n_embed"], &["n_layer", "num_hidden_layers"])?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["n_head", "num_attention_heads"])?;
    let attention = heads(hidden, query_heads, query_heads)?;
    let intermediate = hidden.saturating_mul(4);
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", true)?;

    decoder.embedding("transformer.word_embeddings", vocab, hidden);
    decoder.single_norm("transformer.word_embeddings_layernorm", Instances::First, WEIGHT_AND_BIAS);
    decoder.norm("input_layernorm", WEIGHT_AND_BIAS);
    let qkv = attention.interleaved()?;
    decoder.matrix("self_attention.query_key_value", Role::QueryKeyValue, hidden, qkv, true);
    decoder.matrix("self_attention.dense", Role::AttentionOutput, hidden, [features(hidden)], true);
    decoder.norm("post_attention_layernorm", WEIGHT_AND_BIAS);
    decoder.matrix("mlp.dense_h_to_4h", Role::Up, hidden, [features(intermediate)], true);
    decoder.matrix("mlp.dense_4h_to_h", Role::Down, intermediate, [features(hidden)], true);
    decoder.single_norm("transformer.ln_f", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("transformer.word_embeddings"));
    decoder.full_caches(attention);
    let max_position = text.optional_u64(&["seq_length"])?;
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position })
}

fn opt(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.decoder.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["num_attention_heads"])?;
    let attention = heads(hidden, query_heads, query_heads)?;
    let intermediate = text.u64(&["ffn_dim"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let bias = text.bool_or("enable_bias", true)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;
    let width = text.u64_or(&["word_embed_proj_dim"], hidden)?;
    let norm = if text.bool_or("layer_norm_elementwise_affine", true)? { WEIGHT_AND_BIAS } else { &[] };

    decoder.embedding("model.decoder.embed_tokens", vocab, width);
    // The table starts two positions early (`OPTLearnedPositionalEmbedding.offset`).
    decoder.positions("model.decoder.embed_positions", max_position.saturating_add(2));
    if width != hidden {
        let projections =
            [("project_in", Instances::First, width, hidden), ("project_out", Instances::Last, hidden, width)];
        for (name, at, input, output) in projections {
            let kind = Kind::Linear { input, output: vec![features(output)], bias: false };
            let path = format!("model.decoder.{name}");
            decoder.push(module(path, at, Part::Embedding, Role::EmbeddingProjection, kind));
        }
    }
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        decoder.matrix(&format!("self_attn.{name}"), Role::QueryKeyValue, hidden, [segment], bias);
    }
    decoder.matrix("self_attn.out_proj", Role::AttentionOutput, hidden, [features(hidden)], bias);
    decoder.norm("self_attn_layer_norm", norm);
    decoder.matrix("fc1", Role::Up, hidden, [features(intermediate)], bias);
    decoder.matrix("fc2", Role::Down, intermediate, [features(hidden)], bias);
    decoder.norm("final_layer_norm", norm);
    if text.bool_or("do_layer_norm_before", true)? && !text.bool_or("_remove_final_layer_norm", false)? {
        decoder.single_norm("model.decoder.final_layer_norm", Instances::Last, norm);
    }
    decoder.head("lm_head", width, vocab, false, tied.then_some("model.decoder.embed_tokens"));
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

fn falcon(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder =
        Decoder::named(fields, "transformer.h.{}", &["hidden_size", "n_embed"], &["num_hidden_layers", "n_layer"])?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["num_attention_heads", "n_head"])?;
    let grouped = text.bool_or("new_decoder_architecture", false)?;
    let kv_heads = match (grouped, text.bool_or("multi_query", true)?) {
        (true, _) => text.u64_or(&["num_kv_heads", "n_head_kv"], query_heads)?,
        (false, true) => 1,
        (false, false) => query_heads,
    };
    let attention = heads(hidden, query_heads, kv_heads)?;
    let intermediate = text.optional_u64(&["ffn_hidden_size"])?.unwrap_or(hidden.saturating_mul(4));
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let bias = text.bool_or("bias", false)?;

    decoder.embedding("transformer.word_embeddings", vocab, hidden);
    let qkv = attention.interleaved()?;
    decoder.matrix("self_attention.query_key_value", Role::QueryKeyValue, hidden, qkv, bias);
    decoder.matrix("self_attention.dense", Role::AttentionOutput, hidden, [features(hidden)], bias);
    decoder.matrix("mlp.dense_h_to_4h", Role::Up, hidden, [features(intermediate)], bias);
    decoder.matrix("mlp.dense_4h_to_h", Role::Down, intermediate, [features(hidden)], bias);
    // Falcon 40B and 180B norm attention and feed-forward inputs apart; Falcon 2 returned to one norm for both.
    let two_norms = grouped && text.u64_or(&["num_ln_in_parallel_attn"], 2)? == 2;
    if two_norms {
        decoder.norm("ln_attn", WEIGHT_AND_BIAS);
        decoder.norm("ln_mlp", WEIGHT_AND_BIAS);
    } else {
        decoder.norm("input_layernorm", WEIGHT_AND_BIAS);
        if !grouped && !text.bool_or("parallel_attn", true)? {
            decoder.norm("post_attention_layernorm", WEIGHT_AND_BIAS);
        }
    }
    decoder.single_norm("transformer.ln_f", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("transformer.word_embeddings"));

    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;
    if !text.bool_or("alibi", false)? {
        decoder.rope(attention.head_width, max_position)?;
    }
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

fn baichuan(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let query_heads = text.u64(&["num_attention_heads"])?;
    let attention = heads(hidden, query_heads, query_heads)?;
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    decoder.matrix("self_attn.W_pack", Role::QueryKeyValue, hidden, attention.fused(), false);
    decoder.matrix("self_attn.o_proj", Role::AttentionOutput, hidden, [features(hidden)], false);
    for name in ["mlp.gate_proj", "mlp.up_proj"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix("mlp.down_proj", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.norm("post_attention_layernorm", WEIGHT);
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["model_max_length", "max_position_embeddings"], 4096)?;
    // Both sizes have one class; the 7B rotates, the 13B has an attention bias. Engines, too, tell them apart by width.
    if hidden == 4096 {
        decoder.rope(attention.head_width, max_position)?;
    }
    decoder.full_caches(attention);
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}
