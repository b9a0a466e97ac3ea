//! MiniMax-Text-01, MiniMax-VL-01's decoder and MiniMax-M1: seven layers of linear attention, then one of softmax attention; experts throughout.

use super::super::config::{ConfigError, Fields};
use super::super::{
    Experts, IndexSet, Kind, LayerCache, Model, Part, Role, Segment, SegmentKind, StateCache, StateKind,
};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts};
use super::routed::{Attention, check_length, layers_named, others};
use super::state_space::state_dtype;

/// Text-01 and M1, by their own code or by Transformers'.
pub const MINIMAX_TEXT: Family = Family {
    architectures: &["MiniMaxText01ForCausalLM", "MiniMaxM1ForCausalLM", "MiniMaxForCausalLM"],
    model_types: &["minimax_text_01", "minimax_m1", "minimax"],
    build: minimax,
};

/// Tokens of a block that Transformers' class computes at once; its tables of decay are that long.
const BLOCK: u64 = 256;

fn minimax(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let text = decoder.text;
    let (hidden, all) = (decoder.hidden, decoder.all.clone());
    let attention = Attention::read(&text, hidden, None)?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.optional_u64(&["max_position_embeddings"])?;
    let full = full_layers(&text, decoder.layers)?;
    let linear = others(decoder.layers, &full);
    let experts = Experts {
        layers: all.clone(),
        count: text.u64(&["num_local_experts"])?,
        per_token: text.u64_or(&["num_experts_per_tok"], 2)?,
        intermediate_size: text.u64(&["intermediate_size"])?,
    };
    lightning(&mut decoder, &linear, &attention, fields.architecture() == Some("MiniMaxForCausalLM"))?;
    decoder.attention_in(&full, "self_attn", &attention);
    decoder.cache(full, attention.full_cache());
    decoder.llama_norms();
    decoder.router(&all, "block_sparse_moe.gate", experts.count, false);
    decoder.routed_experts("block_sparse_moe.experts", ["w1", "w3", "w2"], &experts)?;
    decoder.llama_ends(vocab, tied);
    if let Some(max_position) = max_position {
        decoder.rope(text.u64_or(&["rotary_dim"], attention.key_width)?, max_position)?;
    }
    let intermediate = experts.intermediate_size;
    decoder.has_experts(experts);
    decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
}

/// Layers of softmax attention: `layer_types`, or the ones of `attn_type_list`.
fn full_layers(text: &Fields<'_>, layers: u32) -> Result<IndexSet, ConfigError> {
    if let Some(full) = layers_named(text, "layer_types", layers, "full_attention")? {
        return Ok(full);
    }
    let listed = text.numbers("attn_type_list")?;
    check_length("attn_type_list", listed.len(), layers)?;
    Ok(IndexSet::from_indices((0u32..).zip(listed).filter(|(_, kind)| *kind == 1).map(|(layer, _)| layer)))
}

/// Linear attention: one matrix in, a gate, a norm over all heads, and a matrix a head as state. `saved` adds the tables of decay that
/// Transformers keeps in its checkpoints.
fn lightning(
    decoder: &mut Decoder<'_>,
    layers: &IndexSet,
    attention: &Attention,
    saved: bool,
) -> Result<(), ConfigError> {
    let hidden = decoder.hidden;
    let Attention { heads, key_width: width, .. } = *attention;
    let channels = heads.saturating_mul(width);
    let of_heads = |rows: u64| Segment { rows, kind: SegmentKind::ValueHeads(heads) };
    let joint = [of_heads(channels), of_heads(channels), of_heads(channels)];
    decoder.matrix_in(layers, "self_attn.qkv_proj", Role::StateIn, hidden, joint, false);
    decoder.matrix_in(layers, "self_attn.output_gate", Role::StateGates, hidden, [of_heads(channels)], false);
    let norm = vec![of_heads(channels)];
    decoder.rows_in(layers, "self_attn.norm", Role::StateNorm, norm, &[("weight", &[])]);
    decoder.matrix_in(layers, "self_attn.out_proj", Role::StateOut, channels, [features(hidden)], false);
    if saved {
        let decay = |name: &str, shape: Vec<u64>| (name.to_owned(), shape);
        let tables = Kind::Tensors(vec![
            decay("slope_rate", vec![heads, 1, 1]),
            decay("query_decay", vec![heads, BLOCK, 1]),
            decay("key_decay", vec![heads, BLOCK, 1]),
            decay("diagonal_decay", vec![1, heads, BLOCK, BLOCK]),
        ]);
        decoder.in_layers(layers, "self_attn", Part::Ssm, Role::Constant, tables);
    }
    let cache = StateCache {
        kind: StateKind::Lightning,
        taps: 0,
        channels: 0,
        grouped_channels: 0,
        groups: 0,
        heads,
        head_elements: width.saturating_mul(width),
        dtype: state_dtype(&decoder.text)?,
    };
    decoder.cache(layers.clone(), LayerCache::State(cache));
    Ok(())
}
