//! Nemotron-NAS (DeciLM): a Llama whose layers were searched one by one; some have no attention or no feed-forward layer, the others differ
//! in width.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::config::{ConfigError, Fields};
use super::super::{IndexSet, Instances, Model, Role};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT, heads};
use crate::units::round_up;

/// Nemotron-NAS: Llama-3.1-Nemotron-51B, Llama-3.3-Nemotron-Super-49B, Llama-3.1-Nemotron-Ultra-253B.
pub const NEMOTRON_NAS: Family =
    Family { architectures: &["DeciLMForCausalLM"], model_types: &["nemotron-nas"], build: nemotron_nas };

/// Widths of feed-forward layers are rounded up to a multiple of this (`_ffn_mult_to_intermediate_size`).
const WIDTH_MULTIPLE: u64 = 256;

/// What one layer has.
struct Block {
    /// Key/value heads; `None` without attention.
    kv_heads: Option<u64>,
    /// Width of the feed-forward layer; `None` without one.
    intermediate: Option<u64>,
}

fn nemotron_nas(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden, all) = (decoder.text, decoder.hidden, decoder.all.clone());
    let query_heads = text.u64(&["num_attention_heads"])?;
    let blocks = blocks(&text, hidden, query_heads, decoder.layers)?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let attention_bias = text.bool_or("attention_bias", false)?;
    let mlp_bias = text.bool_or("mlp_bias", false)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    let by_kv_heads = groups(&blocks, |block| block.kv_heads);
    let mut attention = heads(hidden, query_heads, query_heads)?;
    for (kv_heads, layers) in &by_kv_heads {
        attention = heads(hidden, query_heads, *kv_heads)?;
        let projections =
            [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())];
        for (name, segment) in projections {
            let name = format!("self_attn.{name}");
            decoder.matrix_in(layers, &name, Role::QueryKeyValue, hidden, [segment], attention_bias);
        }
        let output = [features(hidden)];
        decoder.matrix_in(layers, "self_attn.o_proj", Role::AttentionOutput, hidden, output, attention_bias);
        decoder.cache(layers.clone(), attention.full_cache());
    }
    let by_width = groups(&blocks, |block| block.intermediate);
    for (width, layers) in &by_width {
        for name in ["mlp.gate_proj", "mlp.up_proj"] {
            decoder.matrix_in(layers, name, Role::GateUp, hidden, [features(*width)], mlp_bias);
        }
        decoder.matrix_in(layers, "mlp.down_proj", Role::Down, *width, [features(hidden)], mlp_bias);
    }
    let having = |has: fn(&Block) -> bool| {
        IndexSet::from_indices(all.iter().zip(&blocks).filter(|(_, b)| has(b)).map(|(i, _)| i))
    };
    decoder.norm_in(&having(|b| b.kv_heads.is_some()), "input_layernorm", WEIGHT);
    decoder.norm_in(&having(|b| b.intermediate.is_some()), "post_attention_layernorm", WEIGHT);
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;
    decoder.rope(attention.head_width, max_position)?;
    // Engines check divisibility against the most key/value heads of a layer.
    let kv_heads = by_kv_heads.keys().max().copied().unwrap_or(query_heads);
    let intermediate = by_width.keys().max().copied().unwrap_or(0);
    let attention = AttentionSizes { kv_heads, ..attention };
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

/// Layers by what they have, in ascending order of it.
fn groups(blocks: &[Block], size: fn(&Block) -> Option<u64>) -> BTreeMap<u64, IndexSet> {
    let mut groups: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (layer, block) in (0u32..).zip(blocks) {
        if let Some(size) = size(block) {
            groups.entry(size).or_default().push(layer);
        }
    }
    groups.into_iter().map(|(size, layers)| (size, IndexSet::from_indices(layers))).collect()
}

fn blocks(text: &Fields<'_>, hidden: u64, query_heads: u64, layers: u32) -> Result<Vec<Block>, ConfigError> {
    let missing = || ConfigError::Missing { model: text.model_name().to_owned(), field: "block_configs".to_owned() };
    let list = text.get("block_configs").and_then(Value::as_array).ok_or_else(missing)?;
    if list.len() != layers as usize {
        let text = format!("`block_configs` has {} entries for {layers} layers", list.len());
        return Err(ConfigError::Contradiction(text));
    }
    list.iter().map(|value| block(text, value, hidden, query_heads)).collect()
}

fn block(text: &Fields<'_>, value: &Value, hidden: u64, query_heads: u64) -> Result<Block, ConfigError> {
    let missing = |field: &str| ConfigError::Missing {
        model: text.model_name().to_owned(),
        field: format!("block_configs.{field}"),
    };
    let part = |name: &str| value.get(name).and_then(|v| Fields::new(v).ok()).ok_or_else(|| missing(name));
    let (attention, ffn) = (part("attention")?, part("ffn")?);
    for (name, fields) in [("attention", &attention), ("ffn", &ffn)] {
        if fields.bool_or("replace_with_linear", false)? {
            let found = format!("block_configs.{name}.replace_with_linear");
            let expected = "false: the shape of the linear layer in its place is not known";
            return Err(ConfigError::Wrong { field: found, found: "true".to_owned(), expected });
        }
    }
    let kv_heads = match attention.bool_or("no_op", false)? {
        true => None,
        false => {
            let group = attention.optional_u64(&["n_heads_in_group"])?.ok_or_else(|| missing("n_heads_in_group"))?;
            if group == 0 || !query_heads.is_multiple_of(group) {
                let text = format!("`n_heads_in_group` {group} does not divide {query_heads} attention heads");
                return Err(ConfigError::Contradiction(text));
            }
            Some(query_heads / group)
        }
    };
    let intermediate = match ffn.bool_or("no_op", false)? {
        true => None,
        false => {
            let factor = ffn.optional_f64("ffn_mult")?.ok_or_else(|| missing("ffn_mult"))?;
            if !(0.0..=1024.0).contains(&factor) {
                let expected = "a factor between 0 and 1024";
                let field = "block_configs.ffn.ffn_mult".to_owned();
                return Err(ConfigError::Wrong { field, found: factor.to_string(), expected });
            }
            Some(round_up((2.0 * factor * hidden as f64 / 3.0) as u64, WIDTH_MULTIPLE))
        }
    };
    Ok(Block { kv_heads, intermediate })
}
