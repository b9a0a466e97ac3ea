//! Whisper, and decoders that hear through its encoder: Qwen 2-Audio and Voxtral.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Kind, LayerCache, Model, Module, Part, Role, RowParameter};
use super::Family;
use super::blocks::{DenseOptions, dense_decoder, features};
use super::decoder::{Decoder, Facts, WEIGHT_AND_BIAS, heads, module};
use super::towers::{Tower, matrix};

/// Whisper.
pub const WHISPER: Family =
    Family { architectures: &["WhisperForConditionalGeneration"], model_types: &["whisper"], build: whisper };

/// Qwen 2-Audio.
pub const QWEN2_AUDIO: Family = Family {
    architectures: &["Qwen2AudioForConditionalGeneration"],
    model_types: &["qwen2_audio"],
    build: |fields| {
        let model = dense_decoder(fields, DenseOptions { qkv_bias: true, ..DenseOptions::default() })?;
        let audio = audio_fields(fields)?;
        let mut modules = encoder(&audio, "audio_tower")?;
        let projector = matrix(audio_width(&audio)?, model.hidden_size, true);
        modules.push(single("multi_modal_projector.linear", projector));
        Ok(below(model, modules))
    },
};

/// Voxtral: several frames side by side before the projector.
pub const VOXTRAL: Family = Family {
    architectures: &["VoxtralForConditionalGeneration"],
    model_types: &["voxtral"],
    build: |fields| {
        let model = dense_decoder(fields, DenseOptions::default())?;
        let audio = audio_fields(fields)?;
        let mut modules = encoder(&audio, "audio_tower")?;
        let (frames, hidden) = (audio.u64_or(&["intermediate_size"], 5120)?, model.hidden_size);
        modules.push(single("multi_modal_projector.linear_1", matrix(frames, hidden, false)));
        modules.push(single("multi_modal_projector.linear_2", matrix(hidden, hidden, false)));
        Ok(below(model, modules))
    },
};

fn single(path: &str, kind: Kind) -> Module {
    module(path, Instances::First, Part::Vision, Role::Projector, kind)
}

fn audio_fields<'a>(fields: &Fields<'a>) -> Result<Fields<'a>, ConfigError> {
    let missing = || ConfigError::Missing { model: fields.model_name().to_owned(), field: "audio_config".to_owned() };
    let audio = fields.get("audio_config").ok_or_else(missing)?;
    Fields::new(audio).map_err(|_| missing())
}

fn audio_width(audio: &Fields<'_>) -> Result<u64, ConfigError> {
    audio.u64(&["d_model", "hidden_size"])
}

/// Puts a decoder below `language_model`, its tower before it.
fn below(mut model: Model, tower: Vec<Module>) -> Model {
    let nest = |path: &str| format!("language_model.{path}");
    for module in &mut model.modules {
        module.path = nest(&module.path);
        module.tied_to = module.tied_to.as_deref().map(nest);
    }
    model.modules.splice(0..0, tower);
    model
}

/// Queries, keys (without a bias) and values.
fn projections(width: u64, head_count: u64) -> Result<[(&'static str, Kind); 3], ConfigError> {
    let attention = heads(width, head_count, head_count)?;
    let of = |segment, bias| Kind::Linear { input: width, output: vec![segment], bias };
    Ok([
        ("q_proj", of(attention.query(), true)),
        ("k_proj", of(attention.key_value(), false)),
        ("v_proj", of(attention.key_value(), true)),
    ])
}

/// Whisper's encoder, at `path`: two convolutions over the spectrum, fixed positions, blocks with norms before them.
fn encoder(audio: &Fields<'_>, path: &str) -> Result<Vec<Module>, ConfigError> {
    let width = audio_width(audio)?;
    let depth = audio.u64(&["encoder_layers", "num_hidden_layers"])?;
    let head_count = audio.u64(&["encoder_attention_heads", "num_attention_heads"])?;
    let intermediate = audio.u64(&["encoder_ffn_dim", "intermediate_size"])?;
    let mut tower = Tower::new(path, "layers.{}", depth, width)?;
    let convolution = |inputs: u64| Kind::Rows {
        output: vec![features(width)],
        parameters: vec![
            RowParameter { name: "weight", inner: vec![inputs, 3] },
            RowParameter { name: "bias", inner: Vec::new() },
        ],
    };
    tower.single("conv1", Role::TowerEmbedding, convolution(audio.u64_or(&["num_mel_bins"], 80)?));
    tower.single("conv2", Role::TowerEmbedding, convolution(width));
    let rows = audio.u64_or(&["max_source_positions"], 1500)?;
    tower.single("embed_positions", Role::TowerEmbedding, Kind::Table { rows, width });
    for (name, kind) in projections(width, head_count)? {
        tower.every(&format!("self_attn.{name}"), Role::QueryKeyValue, kind);
    }
    tower.matrix("self_attn.out_proj", Role::AttentionOutput, width, width, true);
    tower.norm("self_attn_layer_norm", WEIGHT_AND_BIAS);
    tower.matrix("fc1", Role::Up, width, intermediate, true);
    tower.matrix("fc2", Role::Down, intermediate, width, true);
    tower.norm("final_layer_norm", WEIGHT_AND_BIAS);
    tower.single_norm("layer_norm", width, WEIGHT_AND_BIAS);
    Ok(tower.finish())
}

fn whisper(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::named(fields, "model.decoder.layers.{}", &["d_model"], &["decoder_layers"])?;
    let (text, hidden, all) = (decoder.text, decoder.hidden, decoder.all.clone());
    let head_count = text.u64(&["decoder_attention_heads"])?;
    let attention = heads(hidden, head_count, head_count)?;
    let intermediate = text.u64(&["decoder_ffn_dim"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let positions = text.u64_or(&["max_target_positions"], 448)?;
    for module in encoder(&text, "model.encoder")? {
        decoder.push(module);
    }
    decoder.embedding("model.decoder.embed_tokens", vocab, hidden);
    decoder.positions("model.decoder.embed_positions", positions);
    for (name, norm) in [("self_attn", "self_attn_layer_norm"), ("encoder_attn", "encoder_attn_layer_norm")] {
        for (matrix, kind) in projections(hidden, head_count)? {
            decoder.in_layers(&all, &format!("{name}.{matrix}"), Part::Attention, Role::QueryKeyValue, kind);
        }
        let output = [features(hidden)];
        decoder.matrix(&format!("{name}.out_proj"), Role::AttentionOutput, hidden, output, true);
        decoder.norm(norm, WEIGHT_AND_BIAS);
    }
    decoder.matrix("fc1", Role::Up, hidden, [features(intermediate)], true);
    decoder.matrix("fc2", Role::Down, intermediate, [features(hidden)], true);
    decoder.norm("final_layer_norm", WEIGHT_AND_BIAS);
    decoder.single_norm("model.decoder.layer_norm", Instances::Last, WEIGHT_AND_BIAS);
    decoder.head("proj_out", hidden, vocab, false, Some("model.decoder.embed_tokens"));
    decoder.full_caches(attention);
    let width = attention.head_width;
    decoder.cache(all, LayerCache::Cross { kv_heads: head_count, key_width: width, value_width: width });
    decoder.finish(Facts { attention, intermediate, vocab, tied: true, max_position: Some(positions) })
}
