//! DeepSeek V4: one narrow key-value vector a token, of a window in full and beyond it compressed; several hidden streams mixed at each
//! block; the first layers choose experts by token, not by score.

use super::super::config::{ConfigError, Fields};
use super::super::{
    Experts, IndexSet, Instances, Kind, LayerCache, Module, Part, Role, RopeScaling, Segment, SegmentKind,
};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, module, part_of};
use super::routed::{GATE_UP_DOWN, layers_where, others};
use crate::units::DType;

/// DeepSeek V4 Flash and Pro.
pub const DEEPSEEK_V4: Family = Family {
    architectures: &["DeepseekV4ForCausalLM"],
    model_types: &["deepseek_v4", "deepseek_ref"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let attention = attention(&mut decoder)?;
        experts(&mut decoder)?;
        decoder.llama_norms();
        streams(&mut decoder)?;
        let text = decoder.text;
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["max_position_embeddings"])?;
        decoder.llama_ends(vocab, tied);
        if let Some(max_position) = max_position {
            // Compressed layers rotate at a base of their own: two tables.
            let scaling = RopeScaling::from_config(&text, max_position)?;
            for _ in 0..2 {
                decoder.scaled_rope(text.u64(&["qk_rope_head_dim"])?, max_position, scaling);
            }
        }
        let intermediate = text.u64(&["moe_intermediate_size"])?;
        decoder.finish(Facts { attention, intermediate, vocab, tied, max_position })
    },
};

/// Queries by a low rank, one key-value vector for all heads, outputs by a low rank group by group, and what compresses the past.
fn attention(decoder: &mut Decoder<'_>) -> Result<AttentionSizes, ConfigError> {
    let (text, hidden, all) = (decoder.text, decoder.hidden, decoder.all.clone());
    let heads = text.u64(&["num_attention_heads"])?;
    let width = text.u64(&["head_dim"])?;
    let rank = text.u64(&["q_lora_rank"])?;
    let groups = text.u64(&["o_groups"])?;
    let values = heads.saturating_mul(width);
    if !values.is_multiple_of(groups) {
        return Err(ConfigError::Contradiction(format!("`o_groups` {groups} does not divide {values} features")));
    }
    let of_heads = Segment { rows: values, kind: SegmentKind::QueryHeads(heads) };
    let sinks = Segment { rows: heads, kind: SegmentKind::QueryHeads(heads) };
    decoder.rows_in(&all, "self_attn", Role::Sinks, vec![sinks], &[("sinks", &[])]);
    decoder.matrix("self_attn.q_a_proj", Role::LatentDown, hidden, [features(rank)], false);
    decoder.matrix("self_attn.kv_proj", Role::LatentDown, hidden, [features(width)], false);
    decoder.vector_in(&all, "self_attn.q_a_norm", Role::LatentNorm, rank);
    decoder.matrix("self_attn.q_b_proj", Role::LatentQuery, rank, [of_heads], false);
    decoder.vector_in(&all, "self_attn.kv_norm", Role::LatentNorm, width);
    let low_rank = groups.saturating_mul(text.u64(&["o_lora_rank"])?);
    decoder.matrix("self_attn.o_a_proj", Role::GroupedOutput, values / groups, [features(low_rank)], false);
    decoder.matrix("self_attn.o_b_proj", Role::AttentionOutput, low_rank, [features(hidden)], false);

    let window = text.u64_or(&["sliding_window"], 128)?;
    decoder.cache(all, LayerCache::Sliding { kv_heads: 1, key_width: width, value_width: 0, window });
    for (ratio, layers) in ratios(&text, decoder.layers)? {
        // Where few tokens become one, blocks overlap, and an indexer selects among the results.
        let fine = ratio <= 4;
        compressor(decoder, &layers, "self_attn.compressor", [ratio, width, if fine { 2 } else { 1 }]);
        // One vector for so many tokens.
        let shared = (width / ratio).max(1);
        decoder.cache(layers.clone(), LayerCache::Full { kv_heads: 1, key_width: shared, value_width: 0 });
        if fine {
            indexer(decoder, &layers, rank, ratio)?;
        }
    }
    Ok(AttentionSizes { heads, kv_heads: 1, head_width: width })
}

/// Layers by how many tokens they compress into one; 0 is none. The list has an entry for each draft layer besides.
fn ratios(text: &Fields<'_>, layers: u32) -> Result<Vec<(u64, IndexSet)>, ConfigError> {
    let listed = text.numbers("compress_ratios")?;
    if (listed.len() as u64) < u64::from(layers) {
        return Err(ConfigError::Contradiction(format!(
            "`compress_ratios` has {} entries for {layers} layers",
            listed.len()
        )));
    }
    let mut kinds: Vec<(u64, Vec<u32>)> = Vec::new();
    for (layer, ratio) in (0..layers).zip(listed).filter(|(_, ratio)| *ratio > 1) {
        match kinds.iter_mut().find(|(known, _)| *known == ratio) {
            Some((_, of)) => of.push(layer),
            None => kinds.push((ratio, vec![layer])),
        }
    }
    Ok(kinds.into_iter().map(|(ratio, of)| (ratio, IndexSet::from_indices(of))).collect())
}

/// Keys and gates of a compressor, a bias for each position in a block, a norm.
fn compressor(decoder: &mut Decoder<'_>, layers: &IndexSet, path: &str, [ratio, width, blocks]: [u64; 3]) {
    let hidden = decoder.hidden;
    let rows = width.saturating_mul(blocks);
    let name = |part: &str| format!("{path}.{part}");
    let bias = Kind::Tensors(vec![("position_bias".to_owned(), vec![ratio, rows])]);
    let at = Instances::Layers(layers.clone());
    let bias = module(decoder.layer_path(path), at, Part::Attention, Role::Compressor, bias);
    decoder.push(Module { dtype: Some(DType::F32), ..bias });
    for matrix in ["kv_proj", "gate_proj"] {
        decoder.matrix_in(layers, &name(matrix), Role::Compressor, hidden, [features(rows)], false);
    }
    decoder.vector_in(layers, &name("kv_norm"), Role::LatentNorm, width);
}

/// The indexer of finely compressed layers: queries from the low-rank ones, keys by a compressor of its own, a weight a head.
fn indexer(decoder: &mut Decoder<'_>, layers: &IndexSet, rank: u64, ratio: u64) -> Result<(), ConfigError> {
    let (text, hidden) = (decoder.text, decoder.hidden);
    let (heads, width) = (text.u64(&["index_n_heads"])?, text.u64(&["index_head_dim"])?);
    let chosen = text.u64_or(&["index_topk"], 512)?;
    let path = |name: &str| format!("self_attn.compressor.indexer.{name}");
    compressor(decoder, layers, "self_attn.compressor.indexer", [ratio, width, 2]);
    let queries = [features(heads.saturating_mul(width))];
    decoder.matrix_in(layers, &path("q_b_proj"), Role::IndexerQuery, rank, queries, false);
    let weights = [features(heads)];
    decoder.matrix_in(layers, &path("scorer.weights_proj"), Role::IndexerWeights, hidden, weights, false);
    decoder.cache(layers.clone(), LayerCache::Indexer { width: (width / ratio).max(1), chosen });
    Ok(())
}

/// Experts of every layer; the first layers choose them by a table of tokens, the others by scores with a bias.
fn experts(decoder: &mut Decoder<'_>) -> Result<(), ConfigError> {
    let (text, all) = (decoder.text, decoder.all.clone());
    let experts = Experts {
        layers: all.clone(),
        count: text.u64(&["n_routed_experts"])?,
        per_token: text.u64(&["num_experts_per_tok"])?,
        intermediate_size: text.u64(&["moe_intermediate_size"])?,
    };
    decoder.router(&all, "mlp.gate", experts.count, false);
    let first = text.u64_or(&["num_hash_layers"], 0)?;
    let by_token = layers_where(decoder.layers, |layer| layer < first);
    if !by_token.is_empty() {
        let table = vec![("tid2eid".to_owned(), vec![text.u64(&["vocab_size"])?, experts.per_token])];
        let at = Instances::Layers(by_token.clone());
        let path = decoder.layer_path("mlp.gate");
        let table = module(path, at, part_of(Role::Router), Role::RouterTable, Kind::Tensors(table));
        decoder.push(Module { dtype: Some(DType::I64), ..table });
    }
    let by_score = others(decoder.layers, &by_token);
    decoder.router_bias(&by_score, "mlp.gate", "e_score_correction_bias", experts.count);
    decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
    let shared = text.u64_or(&["n_shared_experts"], 1)?;
    if shared > 0 {
        let width = shared.saturating_mul(experts.intermediate_size);
        decoder.shared_expert(&all, "mlp.shared_experts", width);
    }
    decoder.has_experts(experts);
    Ok(())
}

/// What mixes the hidden streams before and after each block, and into one before the head.
fn streams(decoder: &mut Decoder<'_>) -> Result<(), ConfigError> {
    let count = decoder.text.u64_or(&["hc_mult"], 4)?;
    let width = count.saturating_mul(decoder.hidden);
    // Weights of each stream going in and coming out, and of each with each.
    let mixes = count.saturating_mul(count.saturating_add(2));
    let tensors = |names: [&str; 3], rows: u64, scales: u64| {
        let shapes = [vec![rows, width], vec![rows], vec![scales]];
        Kind::Tensors(names.iter().map(|name| (*name).to_owned()).zip(shapes).collect())
    };
    let layers = Instances::Layers(decoder.all.clone());
    let places = [
        (decoder.layer_path("attn_hc"), layers.clone(), tensors(["fn", "base", "scale"], mixes, 3)),
        (decoder.layer_path("ffn_hc"), layers, tensors(["fn", "base", "scale"], mixes, 3)),
        // Every stage builds the last one.
        ("model.hc_head".to_owned(), Instances::First, tensors(["hc_fn", "hc_base", "hc_scale"], count, 1)),
    ];
    for (path, at, kind) in places {
        let streams = module(path, at, Part::Other, Role::StreamMix, kind);
        decoder.push(Module { dtype: Some(DType::F32), ..streams });
    }
    Ok(())
}
