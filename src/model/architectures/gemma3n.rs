//! Gemma 3n: several hidden streams of which one is computed, a low-rank side path, an embedding for each layer; the last layers use keys
//! and values of earlier ones.

use super::super::config::{ConfigError, Fields};
use super::super::{IndexSet, Instances, Kind, Model, Part, Role, RopeScaling};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT, module, sliding_layers};
use super::routed::layers_where;
use super::towers::matrix;

/// Gemma 3n E2B and E4B, text alone.
pub const GEMMA3N: Family =
    Family { architectures: &["Gemma3nForCausalLM"], model_types: &["gemma3n_text"], build: gemma3n };

fn gemma3n(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden, layers) = (decoder.text, decoder.hidden, decoder.layers);
    let attention = AttentionSizes::with_defaults(&text, 8, 2, 256)?;
    // One width for all layers, or one for each, all the same in what is published.
    let intermediate = match text.get("intermediate_size") {
        Some(value) if value.is_array() => text.numbers("intermediate_size")?.first().copied().unwrap_or(0),
        _ => text.u64_or(&["intermediate_size"], 16_384)?,
    };
    let vocab = text.u64_or(&["vocab_size"], 262_400)?;
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let bias = text.bool_or("attention_bias", false)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 32_768)?;
    let shared = text.u64_or(&["num_kv_shared_layers"], 15)?.min(u64::from(layers));
    let own = layers_where(layers, |layer| layer < u64::from(layers) - shared);
    let all = decoder.all.clone();

    decoder.embedding("model.embed_tokens", vocab, hidden);
    decoder.matrix("self_attn.q_proj", Role::QueryKeyValue, hidden, [attention.query()], bias);
    for name in ["k_proj", "v_proj"] {
        let path = format!("self_attn.{name}");
        decoder.matrix_in(&own, &path, Role::QueryKeyValue, hidden, [attention.key_value()], bias);
    }
    let (rows, output) = (attention.query_rows(), [features(hidden)]);
    decoder.matrix("self_attn.o_proj", Role::AttentionOutput, rows, output, bias);
    decoder.query_key_norm("self_attn.q_norm", attention.head_width, WEIGHT);
    decoder.vector_in(&own, "self_attn.k_norm", Role::QueryKeyNorm, attention.head_width);
    decoder.gated_mlp(&all, "mlp", intermediate, false);
    for name in
        ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
    {
        decoder.norm(name, WEIGHT);
    }
    streams(&mut decoder)?;
    by_layer(&mut decoder, vocab)?;
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    decoder.scaled_rope(attention.head_width, max_position, RopeScaling::None);
    decoder.scaled_rope(attention.head_width, max_position, RopeScaling::of_full_attention(&text, max_position)?);
    let window = text.u64_or(&["sliding_window"], 512)?;
    let sliding = sliding_layers(&text, layers, 5)?;
    let with = |wanted: bool| IndexSet::from_indices(own.iter().filter(|layer| sliding.contains(*layer) == wanted));
    decoder.cache(with(true), attention.sliding_cache(window));
    decoder.cache(with(false), attention.full_cache());
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

/// A module of every layer that stays whole.
fn whole(decoder: &mut Decoder<'_>, name: &str, role: Role, kind: Kind) {
    let all = decoder.all.clone();
    decoder.in_layers(&all, name, Part::Other, role, kind);
}

/// What predicts and corrects the hidden streams around each layer, and the low-rank path beside attention.
fn streams(decoder: &mut Decoder<'_>) -> Result<(), ConfigError> {
    let (text, hidden) = (decoder.text, decoder.hidden);
    let count = text.u64_or(&["altup_num_inputs"], 4)?;
    let rank = text.u64_or(&["laurel_rank"], 64)?;
    let norm = || Kind::Vectors { width: hidden, names: WEIGHT };
    let scale = Kind::Tensors(vec![("correct_output_scale".to_owned(), vec![hidden])]);
    whole(decoder, "altup", Role::StreamMix, scale);
    whole(decoder, "altup.correction_coefs", Role::StreamMix, matrix(count, count, false));
    whole(decoder, "altup.prediction_coefs", Role::StreamMix, matrix(count, count.saturating_mul(count), false));
    whole(decoder, "altup.modality_router", Role::StreamMix, matrix(hidden, count, false));
    whole(decoder, "altup.router_norm", Role::Norm, norm());
    whole(decoder, "laurel.linear_left", Role::StreamMix, matrix(hidden, rank, false));
    whole(decoder, "laurel.linear_right", Role::StreamMix, matrix(rank, hidden, false));
    whole(decoder, "laurel.post_laurel_norm", Role::Norm, norm());
    let others = u32::try_from(count.saturating_sub(1).min(64)).unwrap_or(0);
    for name in ["altup_projections", "altup_unembed_projections"] {
        // Numbered by stream, and built whatever the stage.
        let at = Instances::Tower(IndexSet::range(0..others));
        let path = format!("model.{name}.{{}}");
        decoder.push(module(path, at, Part::Other, Role::StreamMix, matrix(hidden, hidden, false)));
    }
    Ok(())
}

/// The embedding that each layer has of its own, in one table, and what brings it in.
fn by_layer(decoder: &mut Decoder<'_>, vocab: u64) -> Result<(), ConfigError> {
    let (text, hidden) = (decoder.text, decoder.hidden);
    let width = text.u64_or(&["hidden_size_per_layer_input"], 256)?;
    let rows = text.u64_or(&["vocab_size_per_layer_input"], vocab)?;
    let joint = width.saturating_mul(u64::from(decoder.layers));
    whole(decoder, "per_layer_input_gate", Role::StreamMix, matrix(hidden, width, false));
    whole(decoder, "per_layer_projection", Role::StreamMix, matrix(width, hidden, false));
    whole(decoder, "post_per_layer_input_norm", Role::Norm, Kind::Vectors { width: hidden, names: WEIGHT });
    let mut single = |name: &str, role, kind| {
        decoder.push(module(format!("model.{name}"), Instances::First, Part::Embedding, role, kind));
    };
    single("embed_tokens_per_layer", Role::LayerEmbedding, Kind::Table { rows, width: joint });
    single("per_layer_model_projection", Role::EmbeddingProjection, matrix(hidden, joint, false));
    single("per_layer_projection_norm", Role::Norm, Kind::Vectors { width, names: WEIGHT });
    Ok(())
}
