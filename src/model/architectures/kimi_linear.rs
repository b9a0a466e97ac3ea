//! Kimi Linear: three layers of the gated delta rule with a gate for each channel, then one of latent attention that knows no positions.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, LayerCache, Role, Segment, SegmentKind, StateCache, StateKind};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts};
use super::deepseek::Latent;
use super::routed::{after_dense, others};
use crate::units::DType;

/// Kimi Linear 48B.
pub const KIMI_LINEAR: Family = Family {
    architectures: &["KimiLinearForCausalLM"],
    model_types: &["kimi_linear"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let text = decoder.text;
        let sizes = Latent::read(&text)?;
        let layers = text.nested("linear_attn_config").ok_or_else(|| ConfigError::Missing {
            model: "kimi_linear".to_owned(),
            field: "linear_attn_config".to_owned(),
        })?;
        // Layers are counted from 1 here.
        let listed = layers.numbers("full_attn_layers")?;
        let full = decoder.all.iter().filter(|layer| listed.contains(&(u64::from(*layer) + 1)));
        let full = IndexSet::from_indices(full);
        let linear = others(decoder.layers, &full);
        delta(&mut decoder, &linear, &layers)?;
        sizes.add(&mut decoder, &full, false);
        decoder.cache(full, sizes.cache(false));
        decoder.llama_norms();
        let intermediate = text.u64(&["intermediate_size"])?;
        let experts = Experts {
            layers: after_dense(&text, decoder.layers, 0)?,
            count: text.u64(&["num_experts"])?,
            per_token: text.u64(&["num_experts_per_token", "num_experts_per_tok"])?,
            intermediate_size: text.u64(&["moe_intermediate_size"])?,
        };
        let dense = others(decoder.layers, &experts.layers);
        decoder.gated_mlp(&dense, "mlp", intermediate, false);
        decoder.routed_experts("block_sparse_moe.experts", ["w1", "w3", "w2"], &experts)?;
        decoder.router(&experts.layers, "block_sparse_moe.gate", experts.count, false);
        decoder.router_bias(&experts.layers, "block_sparse_moe.gate", "e_score_correction_bias", experts.count);
        let shared = text.u64_or(&["num_shared_experts"], 0)?;
        if shared > 0 {
            let width = shared.saturating_mul(experts.intermediate_size);
            decoder.shared_expert(&experts.layers, "block_sparse_moe.shared_experts", width);
        }
        decoder.has_experts(experts);
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["model_max_length", "max_position_embeddings"])?;
        decoder.llama_ends(vocab, tied);
        decoder.finish(Facts { attention: sizes.sizes(), intermediate, vocab, tied, max_position })
    },
};

/// Projections, short convolutions and gates of the linear layers, and their state.
fn delta(decoder: &mut Decoder<'_>, layers: &IndexSet, fields: &Fields<'_>) -> Result<(), ConfigError> {
    let hidden = decoder.hidden;
    let (heads, width) = (fields.u64(&["num_heads"])?, fields.u64(&["head_dim"])?);
    let kernel = fields.u64_or(&["short_conv_kernel_size"], 4)?;
    let channels = heads.saturating_mul(width);
    let of_heads = |rows: u64| Segment { rows, kind: SegmentKind::ValueHeads(heads) };
    let path = |name: &str| format!("self_attn.{name}");
    for name in ["q_proj", "k_proj", "v_proj"] {
        decoder.matrix_in(layers, &path(name), Role::StateIn, hidden, [of_heads(channels)], false);
    }
    let inner = [1, kernel];
    for name in ["q_conv1d", "k_conv1d", "v_conv1d"] {
        let parameters = [("weight", &inner[..])];
        decoder.rows_in(layers, &path(name), Role::StateConvolution, vec![of_heads(channels)], &parameters);
    }
    // Both gates go through a rank of one head's width.
    for gate in ["f", "g"] {
        let (down, up) = (path(&format!("{gate}_a_proj")), path(&format!("{gate}_b_proj")));
        decoder.matrix_in(layers, &down, Role::StateRank, hidden, [features(width)], false);
        decoder.matrix_in(layers, &up, Role::StateGates, width, [of_heads(channels)], false);
    }
    decoder.rows_in(layers, "self_attn", Role::StateDecay, vec![of_heads(channels)], &[("dt_bias", &[])]);
    decoder.matrix_in(layers, &path("b_proj"), Role::StateGates, hidden, [of_heads(heads)], false);
    decoder.rows_in(layers, "self_attn", Role::StateDecay, vec![of_heads(heads)], &[("A_log", &[])]);
    decoder.vector_in(layers, &path("o_norm"), Role::StateSharedNorm, width);
    decoder.matrix_in(layers, &path("o_proj"), Role::StateOut, channels, [features(hidden)], false);
    let cache = StateCache {
        kind: StateKind::KimiDelta,
        taps: kernel.saturating_sub(1),
        channels: channels.saturating_mul(3),
        grouped_channels: 0,
        groups: 0,
        heads,
        head_elements: width.saturating_mul(width),
        // Whatever the model is (`kda_state_dtype` in `layers/mamba/mamba_utils.py` of vLLM).
        dtype: Some(DType::F32),
    };
    decoder.cache(layers.clone(), LayerCache::State(cache));
    Ok(())
}
