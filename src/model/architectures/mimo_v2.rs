//! MiMo-V2-Flash: five layers with a window and attention sinks, then one without; keys wider than values.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, Role, RopeScaling, Segment, SegmentKind};
use super::Family;
use super::decoder::{Decoder, Facts};
use super::routed::{Attention, GATE_UP_DOWN, check_length, others};

/// MiMo-V2-Flash.
pub const MIMO_V2: Family = Family {
    architectures: &["MiMoV2FlashForCausalLM"],
    model_types: &["mimo_v2_flash"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let text = decoder.text;
        let bias = text.bool_or("attention_bias", false)?;
        let full = Attention { qkv_bias: bias, ..attention(&text, "")? };
        let windowed = Attention { qkv_bias: bias, ..attention(&text, "swa_")? };
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["max_position_embeddings"])?;
        let intermediate = text.u64(&["intermediate_size"])?;
        let sliding = marked(&text, "hybrid_layer_pattern", decoder.layers)?;
        let rest = others(decoder.layers, &sliding);
        let experts = Experts {
            layers: marked(&text, "moe_layer_freq", decoder.layers)?,
            count: text.u64(&["n_routed_experts"])?,
            per_token: text.u64(&["num_experts_per_tok"])?,
            intermediate_size: text.u64(&["moe_intermediate_size"])?,
        };
        let dense = others(decoder.layers, &experts.layers);
        let kinds = [
            (&rest, full, text.bool_or("add_full_attention_sink_bias", false)?),
            (&sliding, windowed, text.bool_or("add_swa_attention_sink_bias", false)?),
        ];
        for (layers, attention, sinks) in kinds {
            decoder.attention_in(layers, "self_attn", &attention);
            if sinks {
                let heads = Segment { rows: attention.heads, kind: SegmentKind::QueryHeads(attention.heads) };
                let sink = [("attention_sink_bias", &[][..])];
                decoder.rows_in(layers, "self_attn", Role::Sinks, vec![heads], &sink);
            }
        }
        decoder.llama_norms();
        decoder.gated_mlp(&dense, "mlp", intermediate, false);
        decoder.router(&experts.layers, "mlp.gate", experts.count, false);
        decoder.router_bias(&experts.layers, "mlp.gate", "e_score_correction_bias", experts.count);
        decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
        let shared = text.u64_or(&["n_shared_experts"], 0)?;
        if shared > 0 {
            decoder.shared_expert(&experts.layers, "mlp.shared_experts", shared * experts.intermediate_size);
        }
        decoder.llama_ends(vocab, tied);
        decoder.cache(rest, full.full_cache());
        let window = text.u64_or(&["sliding_window", "sliding_window_size"], 128)?;
        decoder.cache(sliding, windowed.sliding_cache(window));
        if let Some(max_position) = max_position {
            // The two kinds of layer rotate at different speeds: two tables.
            for attention in [full, windowed] {
                let width = text.rotated(attention.key_width, "partial_rotary_factor", 1.0)?;
                decoder.scaled_rope(width / 2 * 2, max_position, RopeScaling::None);
            }
        }
        decoder.has_experts(experts);
        decoder.finish(Facts { attention: full.sizes(), intermediate, vocab, tied, max_position })
    },
};

/// Attention of one kind of layer: the fields of the other kind carry a prefix, and fall back to the plain ones.
fn attention(text: &Fields<'_>, prefix: &str) -> Result<Attention, ConfigError> {
    let field = |name: &str| {
        let own = format!("{prefix}{name}");
        text.u64(&[own.as_str(), name])
    };
    let (heads, kv_heads) = (field("num_attention_heads")?, field("num_key_value_heads")?);
    if !heads.is_multiple_of(kv_heads) {
        return Err(ConfigError::Contradiction(format!(
            "`{prefix}num_attention_heads` {heads} is no multiple of `{prefix}num_key_value_heads` {kv_heads}"
        )));
    }
    let (key_width, value_width) = (field("head_dim")?, field("v_head_dim")?);
    Ok(Attention { heads, kv_heads, key_width, value_width, ..Attention::default() })
}

/// Layers with a 1 in a list of zeros and ones.
fn marked(text: &Fields<'_>, list: &str, layers: u32) -> Result<IndexSet, ConfigError> {
    let marks = text.numbers(list)?;
    check_length(list, marks.len(), layers)?;
    Ok(IndexSet::from_indices((0u32..).zip(marks).filter(|(_, mark)| *mark != 0).map(|(layer, _)| layer)))
}
