//! Llama 4: attention within chunks, one layer in four over everything, experts in every or every other layer, a vision tower.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, Instances, Kind, Model, Module, Part, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, WEIGHT, WEIGHT_AND_BIAS, heads, module};
use super::routed::{Attention, Stack, layers_where, others};
use super::towers::{Tower, matrix, no_fields, vision_fields};
use crate::model::Buffer;
use crate::units::DType;

/// Llama 4 Scout and Maverick.
pub const LLAMA4: Family = Family {
    architectures: &["Llama4ForConditionalGeneration"],
    model_types: &["llama4"],
    build: |fields| {
        let mut model = decoder(fields, PREFIX)?;
        let none = no_fields();
        let vision = vision_fields(fields, &none)?;
        model.modules.splice(0..0, tower(&vision, model.hidden_size)?);
        Ok(model)
    },
};

/// Llama 4 without its tower.
pub const LLAMA4_TEXT: Family = Family {
    architectures: &["Llama4ForCausalLM"],
    model_types: &["llama4_text"],
    build: |fields| decoder(fields, ""),
};

/// Path of the language model behind a tower.
const PREFIX: &str = "language_model.";

fn decoder(fields: &Fields<'_>, prefix: &str) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, format!("{prefix}model.layers.{{}}"))?;
    let text = decoder.text;
    let (all, hidden) = (decoder.all.clone(), decoder.hidden);
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, hidden, Some(128))?;
    let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.optional_u64(&["max_position_embeddings"])?;
    let intermediate = text.u64(&["intermediate_size_mlp"])?;
    let step = text.u64_or(&["interleave_moe_layer_step"], 1)?.max(1);
    let listed = text.numbers("moe_layers")?;
    let sparse =
        |layer: u64| if listed.is_empty() { (layer + 1).is_multiple_of(step) } else { listed.contains(&layer) };
    let experts = Experts {
        layers: layers_where(decoder.layers, sparse),
        count: text.u64(&["num_local_experts"])?,
        per_token: text.u64_or(&["num_experts_per_tok"], 1)?,
        intermediate_size: text.u64(&["intermediate_size"])?,
    };
    let dense = others(decoder.layers, &experts.layers);
    let embedding = format!("{prefix}model.embed_tokens");
    decoder.embedding(&embedding, vocab, hidden);
    decoder.attention_in(&all, "self_attn", &attention);
    decoder.llama_norms();
    decoder.gated_mlp(&dense, "feed_forward", intermediate, false);
    decoder.router(&experts.layers, "feed_forward.router", experts.count, false);
    decoder.shared_expert(&experts.layers, "feed_forward.shared_expert", experts.intermediate_size);
    let width = experts.intermediate_size;
    let name = "feed_forward.experts";
    let output = vec![features(width), features(width)];
    let first = Stack { parameter: "gate_up_proj", input: hidden, output, transposed: true, ..Stack::default() };
    decoder.expert_stack(name, Role::ExpertGateUp, &experts, first)?;
    let output = vec![features(hidden)];
    let last = Stack { parameter: "down_proj", input: width, output, transposed: true, ..Stack::default() };
    decoder.expert_stack(name, Role::ExpertDown, &experts, last)?;
    decoder.single_norm(format!("{prefix}model.norm"), Instances::Last, WEIGHT);
    decoder.head(&format!("{prefix}lm_head"), hidden, vocab, false, tied.then_some(embedding.as_str()));
    let unrotated = unrotated(&text, decoder.layers)?;
    let rotated = others(decoder.layers, &unrotated);
    if text.bool_or("use_qk_norm", true)? {
        // A norm without weights, over what is rotated.
        let norm = Kind::Vectors { width: attention.key_width, names: &[] };
        decoder.in_layers(&rotated, "self_attn.qk_norm", Part::Attention, Role::QueryKeyNorm, norm);
    }
    match text.optional_u64(&["attention_chunk_size"])?.filter(|chunk| *chunk > 0) {
        Some(chunk) => {
            decoder.cache(rotated, attention.chunked_cache(chunk));
            decoder.cache(unrotated, attention.full_cache());
        }
        None => decoder.full_caches(attention.sizes()),
    }
    if let Some(max_position) = max_position {
        decoder.rope(attention.key_width, max_position)?;
    }
    decoder.has_experts(experts);
    decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
}

/// Layers without rotation, which see everything: zeros of `no_rope_layers`, else each `no_rope_layer_interval`-th.
fn unrotated(text: &Fields<'_>, layers: u32) -> Result<IndexSet, ConfigError> {
    let listed = text.numbers("no_rope_layers")?;
    if listed.is_empty() {
        let every = text.u64_or(&["no_rope_layer_interval"], 4)?.max(1);
        return Ok(layers_where(layers, |layer| (layer + 1).is_multiple_of(every)));
    }
    super::routed::check_length("no_rope_layers", listed.len(), layers)?;
    Ok(IndexSet::from_indices((0u32..).zip(listed).filter(|(_, rotated)| *rotated == 0).map(|(layer, _)| layer)))
}

/// The tower: patches as a matrix, a class token, learned positions, and pixels shuffled together before the projector.
fn tower(vision: &Fields<'_>, text_width: u64) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["hidden_size"], 768)?;
    let intermediate = vision.u64_or(&["intermediate_size"], 5632)?;
    let (image, patch) = (vision.u64_or(&["image_size"], 448)?, vision.u64_or(&["patch_size"], 14)?);
    let channels = vision.u64_or(&["num_channels"], 3)?;
    let head_count = vision.u64_or(&["num_attention_heads"], 16)?;
    let attention = heads(width, head_count, head_count)?;
    let depth = vision.u64_or(&["num_hidden_layers"], 34)?;
    let side = image / patch.max(1);
    let positions = side.saturating_mul(side).saturating_add(1);
    let mut tower = Tower::new("vision_model", "model.layers.{}", depth, width)?;
    let whole = |name: &str, shape: Vec<u64>| Kind::Tensors(vec![(name.to_owned(), shape)]);
    let bare = |kind: Kind| module("vision_model", Instances::First, Part::Vision, Role::TowerEmbedding, kind);
    let embeddings =
        [bare(whole("class_embedding", vec![width])), bare(whole("positional_embedding_vlm", vec![positions, width]))];
    let pixels = channels.saturating_mul(patch).saturating_mul(patch);
    tower.single("patch_embedding.linear", Role::Up, matrix(pixels, width, false));
    tower.single_norm("layernorm_pre", width, WEIGHT_AND_BIAS);
    tower.single_norm("layernorm_post", width, WEIGHT_AND_BIAS);
    for name in ["q_proj", "k_proj", "v_proj"] {
        let segment = if name == "q_proj" { attention.query() } else { attention.key_value() };
        let kind = Kind::Linear { input: width, output: vec![segment], bias: true };
        tower.every(&format!("self_attn.{name}"), Role::QueryKeyValue, kind);
    }
    tower.matrix("self_attn.o_proj", Role::AttentionOutput, width, width, true);
    tower.matrix("mlp.fc1", Role::Up, width, intermediate, true);
    tower.matrix("mlp.fc2", Role::Down, intermediate, width, true);
    tower.norm("input_layernorm", WEIGHT_AND_BIAS);
    tower.norm("post_attention_layernorm", WEIGHT_AND_BIAS);
    // A ratio of one half makes one position of two by two.
    let ratio = vision.optional_f64("pixel_shuffle_ratio")?.unwrap_or(0.5).clamp(0.01, 1.0);
    let shuffled = (width as f64 / (ratio * ratio)).round() as u64;
    let (input, output) =
        (vision.u64_or(&["projector_input_dim"], 4096)?, vision.u64_or(&["projector_output_dim"], 4096)?);
    tower.single("vision_adapter.mlp.fc1", Role::Up, matrix(shuffled, input, false));
    tower.single("vision_adapter.mlp.fc2", Role::Down, matrix(input, output, false));
    // One complex number a position and pair of features.
    let shape = vec![positions, attention.head_width / 2, 2];
    tower.buffer("rotary_embedding", Buffer { name: "freqs_ci", dtype: DType::F32, shape });
    let mut modules: Vec<Module> = embeddings.into_iter().chain(tower.finish()).collect();
    let vision_output = vision.u64_or(&["vision_output_dim"], 4096)?;
    let bias = vision.bool_or("multi_modal_projector_bias", false)?;
    let projector = matrix(vision_output, text_width, bias);
    let path = "multi_modal_projector.linear_1";
    modules.push(module(path, Instances::First, Part::Vision, Role::Up, projector));
    Ok(modules)
}
