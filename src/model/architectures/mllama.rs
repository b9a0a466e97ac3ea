//! Llama 3.2 Vision: some layers attend to the image instead of to the text.

use super::super::config::{ConfigError, Fields};
use super::super::{IndexSet, Instances, Kind, LayerCache, Model, Module, Part, Role};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT, WEIGHT_AND_BIAS, heads, module};
use super::towers::{Tower, matrix, no_fields, vision_fields};

/// Llama 3.2 Vision.
pub const MLLAMA: Family =
    Family { architectures: &["MllamaForConditionalGeneration"], model_types: &["mllama"], build: mllama };

/// Entries of the embedding past the vocabulary: the image token and its like (`MllamaTextModel.__init__`).
const EXTRA_TOKENS: u64 = 8;

const LAYER: &str = "model.language_model.layers.{}";

fn mllama(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, LAYER)?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let attention = AttentionSizes::read(&text, hidden, None)?;
    let cross = cross_layers(&text, decoder.layers)?;
    let own = IndexSet::from_indices(decoder.all.iter().filter(|layer| !cross.contains(*layer)));

    decoder.extend(tower(fields, hidden)?);
    let embedding = "model.language_model.embed_tokens";
    decoder.embedding(embedding, vocab.saturating_add(EXTRA_TOKENS), hidden);
    projections(&mut decoder, &own, "self_attn", attention);
    projections(&mut decoder, &cross, "cross_attn", attention);
    if !cross.is_empty() {
        for name in ["q_norm", "k_norm"] {
            let kind = Kind::Vectors { width: attention.head_width, names: WEIGHT };
            let (path, at) = (format!("{LAYER}.cross_attn.{name}"), Instances::Layers(cross.clone()));
            decoder.push(module(path, at, Part::Attention, Role::QueryKeyNorm, kind));
        }
        let gates = ["cross_attn_attn_gate", "cross_attn_mlp_gate"].map(|name| (name.to_owned(), vec![1]));
        let at = Instances::Layers(cross.clone());
        decoder.push(module(LAYER, at, Part::Other, Role::Unknown, Kind::Tensors(gates.to_vec())));
    }
    for name in ["mlp.gate_proj", "mlp.up_proj"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix("mlp.down_proj", Role::Down, intermediate, [features(hidden)], false);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.norm("post_attention_layernorm", WEIGHT);
    decoder.single_norm("model.language_model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some(embedding));

    let max_position = text.u64_or(&["max_position_embeddings"], 131_072)?;
    decoder.rope(attention.head_width, max_position)?;
    let AttentionSizes { kv_heads, head_width, .. } = attention;
    decoder.cache(own, attention.full_cache());
    decoder.cache(cross, LayerCache::Cross { kv_heads, key_width: head_width, value_width: head_width });
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position: Some(max_position) })
}

/// The layers that attend to the image.
fn cross_layers(text: &Fields<'_>, layers: u32) -> Result<IndexSet, ConfigError> {
    let Some(value) = text.get("cross_attention_layers") else {
        // The default of the config class, cut to the layers there are.
        return Ok(IndexSet::from_indices([3, 8, 13, 18, 23, 28, 33, 38].into_iter().filter(|layer| *layer < layers)));
    };
    let wrong = || ConfigError::Wrong {
        field: "cross_attention_layers".to_owned(),
        found: value.to_string().chars().take(60).collect(),
        expected: "a list of layer numbers",
    };
    let list = value.as_array().ok_or_else(wrong)?;
    let number = |v: &serde_json::Value| v.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n < layers);
    let numbers: Option<Vec<u32>> = list.iter().map(number).collect();
    numbers.map(IndexSet::from_indices).ok_or_else(wrong)
}

fn projections(decoder: &mut Decoder<'_>, layers: &IndexSet, name: &str, attention: AttentionSizes) {
    let hidden = decoder.hidden;
    let all = [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())];
    for (projection, segment) in all {
        let name = format!("{name}.{projection}");
        decoder.matrix_in(layers, &name, Role::QueryKeyValue, hidden, [segment], false);
    }
    let name = format!("{name}.o_proj");
    decoder.matrix_in(layers, &name, Role::AttentionOutput, attention.query_rows(), [features(hidden)], false);
}

/// The tower with its local and its global blocks, and the projector.
fn tower(fields: &Fields<'_>, hidden: u64) -> Result<Vec<Module>, ConfigError> {
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    let width = vision.u64_or(&["hidden_size"], 1280)?;
    let (image, patch) = (vision.u64_or(&["image_size"], 448)?, vision.u64_or(&["patch_size"], 14)?);
    let channels = vision.u64_or(&["num_channels"], 3)?;
    let tiles = vision.u64_or(&["max_num_tiles"], 4)?;
    // One entry for each way to cut an image into tiles, and one for none; without a list, those of four tiles.
    let ratios = match vision.get("supported_aspect_ratios").and_then(serde_json::Value::as_array) {
        Some(list) => list.len() as u64,
        None => 8,
    };
    let ratios = ratios.saturating_add(1);
    let side = image / patch.max(1);
    let patches = side.saturating_mul(side).saturating_add(1);

    let mut tower =
        Tower::new("model.vision_model", "transformer.layers.{}", vision.u64_or(&["num_hidden_layers"], 32)?, width)?;
    let raw = |name: &str, shape: Vec<u64>| (name.to_owned(), shape);
    tower.single("", Role::TowerEmbedding, Kind::Tensors(vec![raw("class_embedding", vec![width])]));
    tower.patches("patch_embedding", vec![channels, patch, patch], false);
    let gated = vec![raw("gate", vec![1]), raw("embedding", vec![patches, width])];
    tower.single("gated_positional_embedding", Role::TowerEmbedding, Kind::Tensors(gated));
    let entry = tiles.saturating_mul(patches).saturating_mul(width);
    let table = |width| Kind::Table { rows: ratios, width };
    tower.single("gated_positional_embedding.tile_embedding", Role::TowerEmbedding, table(entry));
    for name in ["pre_tile_positional_embedding", "post_tile_positional_embedding"] {
        tower.single(name, Role::TowerEmbedding, Kind::Tensors(vec![raw("gate", vec![1])]));
        tower.single(&format!("{name}.embedding"), Role::TowerEmbedding, table(tiles.saturating_mul(width)));
    }
    tower.single_norm("layernorm_pre", width, WEIGHT_AND_BIAS);
    tower.single_norm("layernorm_post", width, WEIGHT_AND_BIAS);
    blocks(&mut tower, &vision, width)?;
    let mut modules = tower.finish();

    let depth = vision.u64_or(&["num_global_layers"], 8)?;
    let mut global = Tower::new("model.vision_model", "global_transformer.layers.{}", depth, width)?;
    global.every("", Role::TowerEmbedding, Kind::Tensors(vec![raw("gate_attn", vec![1]), raw("gate_ffn", vec![1])]));
    blocks(&mut global, &vision, width)?;
    modules.extend(global.finish());

    // The projector is a bare matrix.
    let output = vision.u64_or(&["vision_output_dim"], 7680)?;
    modules.push(module(
        "model.multi_modal_projector",
        Instances::First,
        Part::Vision,
        Role::Projector,
        matrix(output, hidden, true),
    ));
    Ok(modules)
}

fn blocks(tower: &mut Tower, vision: &Fields<'_>, width: u64) -> Result<(), ConfigError> {
    let head_count = vision.u64_or(&["attention_heads", "num_attention_heads"], 16)?;
    let attention = heads(width, head_count, head_count)?;
    let intermediate = vision.u64_or(&["intermediate_size"], 5120)?;
    for (name, segment) in
        [("q_proj", attention.query()), ("k_proj", attention.key_value()), ("v_proj", attention.key_value())]
    {
        let kind = Kind::Linear { input: width, output: vec![segment], bias: false };
        tower.every(&format!("self_attn.{name}"), Role::QueryKeyValue, kind);
    }
    tower.matrix("self_attn.o_proj", Role::AttentionOutput, width, width, false);
    tower.matrix("mlp.fc1", Role::Up, width, intermediate, true);
    tower.matrix("mlp.fc2", Role::Down, intermediate, width, true);
    tower.norm("input_layernorm", WEIGHT_AND_BIAS);
    tower.norm("post_attention_layernorm", WEIGHT_AND_BIAS);
    Ok(())
}
