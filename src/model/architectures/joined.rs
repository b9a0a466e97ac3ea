//! A decoder of any family behind a tower: LLaVA, PaliGemma, Aya Vision, Command A Vision, Idefics 3, SmolVLM, InternVL.

use serde_json::Value;

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Kind, Model, Module, Part, Role};
use super::clip::{clip, intern_vit};
use super::decoder::{WEIGHT_AND_BIAS, module};
use super::towers::{join, matrix, no_fields, pixtral, siglip, vision_fields};
use super::{FAMILIES, Family};

/// LLaVA 1.5, LLaVA-NeXT and LLaVA-OneVision; Pixtral in its first converted form.
pub const LLAVA: Family = Family {
    architectures: &[
        "LlavaForConditionalGeneration",
        "LlavaNextForConditionalGeneration",
        "LlavaNextVideoForConditionalGeneration",
        "LlavaOnevisionForConditionalGeneration",
    ],
    model_types: &["llava", "llava_next", "llava_next_video", "llava_onevision"],
    build: llava,
};

/// PaliGemma 1 and 2.
pub const PALIGEMMA: Family =
    Family { architectures: &["PaliGemmaForConditionalGeneration"], model_types: &["paligemma"], build: paligemma };

/// Aya Vision and Command A Vision: four patches side by side, then a gated projector.
pub const COHERE_VISION: Family = Family {
    architectures: &["AyaVisionForConditionalGeneration", "Cohere2VisionForConditionalGeneration"],
    model_types: &["aya_vision", "cohere2_vision"],
    build: cohere,
};

/// Idefics 3 and SmolVLM.
pub const IDEFICS3: Family = Family {
    architectures: &["Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration"],
    model_types: &["idefics3", "smolvlm"],
    build: idefics,
};

/// InternVL 2, 2.5, 3 and 3.5, published or converted.
pub const INTERNVL: Family = Family {
    architectures: &["InternVLForConditionalGeneration", "InternVLChatModel"],
    model_types: &["internvl", "internvl_chat"],
    build: internvl,
};

/// Where Transformers' wrappers keep the decoder.
const DECODER: &str = "model.language_model";
/// Sizes that `LlamaConfig` and `MistralConfig` give a model that states none: the first LLaVA leaves them out.
const FIRST_LLAMA: &[(&str, u64)] = &[
    ("hidden_size", 4096),
    ("intermediate_size", 11_008),
    ("num_hidden_layers", 32),
    ("num_attention_heads", 32),
    ("vocab_size", 32_000),
];

/// The decoder by the family of the nested config, with the outer class's name.
fn decoder(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let text = fields.text();
    // The outer config's own `model_type` stands in where the nested one states none.
    let named = text.optional_str("model_type")?.unwrap_or_default();
    let by_class = text.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str).unwrap_or_default();
    let family = FAMILIES
        .iter()
        .find(|family| family.model_types.contains(&named))
        .or_else(|| FAMILIES.iter().find(|family| family.architectures.contains(&by_class)))
        .filter(|family| !family.architectures.iter().any(|class| Some(*class) == fields.architecture()))
        .ok_or_else(|| ConfigError::UnknownArchitecture(format!("{named} below {}", fields.model_name())))?;
    (family.build)(fields)
}

fn single(path: &str, role: Role, kind: Kind) -> Module {
    module(path, Instances::First, Part::Vision, role, kind)
}

/// The tower that a config names.
fn tower(vision: &Fields<'_>, path: &str) -> Result<Vec<Module>, ConfigError> {
    match vision.optional_str("model_type")?.unwrap_or("clip_vision_model") {
        "clip_vision_model" => clip(vision, &format!("{path}.vision_model")),
        "siglip_vision_model" => siglip(vision, &format!("{path}.vision_model")),
        "pixtral" => pixtral(vision, path),
        other => Err(ConfigError::UnknownArchitecture(other.to_owned())),
    }
}

/// Width of a tower, with its own class's default.
fn width(vision: &Fields<'_>) -> Result<u64, ConfigError> {
    let pixtral = vision.optional_str("model_type")? == Some("pixtral");
    vision.u64_or(&["hidden_size"], if pixtral { 1024 } else { 768 })
}

fn llava(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let llama = fields.text().optional_str("model_type")?.is_some_and(|name| name == "llama");
    let filled = if llama { fields.with_nested_defaults("text_config", FIRST_LLAMA) } else { Value::Null };
    let fields = if llama { &Fields::new(&filled)? } else { fields };
    let model = decoder(fields)?;
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    // Several of the tower's layers can feed the projector side by side.
    let levels = match fields.get("vision_feature_layer").and_then(Value::as_array) {
        Some(list) => list.len().max(1) as u64,
        None => 1,
    };
    let (input, hidden) = (width(&vision)?.saturating_mul(levels), model.hidden_size);
    let bias = fields.bool_or("multimodal_projector_bias", true)?;
    let mut modules = tower(&vision, "model.vision_tower")?;
    if fields.architecture().is_some_and(|class| class != "LlavaForConditionalGeneration") {
        let newline = Kind::Tensors(vec![("image_newline".to_owned(), vec![hidden])]);
        modules.insert(0, single("model", Role::TowerEmbedding, newline));
    }
    modules.push(single("model.multi_modal_projector.linear_1", Role::Up, matrix(input, hidden, bias)));
    modules.push(single("model.multi_modal_projector.linear_2", Role::Down, matrix(hidden, hidden, bias)));
    Ok(join(model, DECODER, modules))
}

fn paligemma(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let model = decoder(fields)?;
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    let output = vision.u64_or(&["projection_dim"], model.hidden_size)?;
    let mut modules = siglip(&vision, "model.vision_tower.vision_model")?;
    let projector = matrix(width(&vision)?, output, true);
    modules.push(single("model.multi_modal_projector.linear", Role::Projector, projector));
    Ok(join(model, DECODER, modules))
}

fn cohere(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let model = decoder(fields)?;
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    let factor = fields.u64_or(&["downsample_factor"], 2)?;
    let input = width(&vision)?.saturating_mul(factor).saturating_mul(factor);
    let aya = fields.model_name() == "aya_vision";
    let default = if aya { model.hidden_size } else { 36_864 };
    let inner = fields.u64_or(&["alignment_intermediate_size"], default)?;
    let mut modules = siglip(&vision, "model.vision_tower.vision_model")?;
    let path = |name: &str| format!("model.multi_modal_projector.{name}");
    if aya {
        modules.push(single(&path("layernorm"), Role::Norm, Kind::Vectors { width: input, names: WEIGHT_AND_BIAS }));
    }
    modules.push(single(&path("linear_1"), Role::Up, matrix(input, inner, true)));
    modules.push(single(&path("linear_2"), Role::Down, matrix(inner / 2, model.hidden_size, true)));
    Ok(join(model, DECODER, modules))
}

fn idefics(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let model = decoder(fields)?;
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    let factor = fields.u64_or(&["scale_factor"], 2)?;
    let input = vision.u64_or(&["hidden_size"], 1152)?.saturating_mul(factor).saturating_mul(factor);
    // Numbers of positions are counted anew for each image.
    let mut modules = siglip(&vision, "model.vision_model")?;
    modules.retain(|module| !matches!(module.kind, Kind::Buffers(_)));
    let projector = matrix(input, model.hidden_size, false);
    modules.push(single("model.connector.modality_projection.proj", Role::Projector, projector));
    Ok(join(model, "model.text_model", modules))
}

fn internvl(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let converted = fields.architecture() != Some("InternVLChatModel");
    let mut model = decoder(fields)?;
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    let ratio = fields.optional_f64("downsample_ratio")?.unwrap_or(0.5).clamp(0.01, 1.0);
    let shuffled = vision.u64_or(&["hidden_size"], if converted { 1024 } else { 3200 })?;
    let shuffled = (shuffled as f64 / (ratio * ratio)).round() as u64;
    let hidden = model.hidden_size;
    let names = match converted {
        true => ["layer_norm", "linear_1", "linear_2"].map(|name| format!("model.multi_modal_projector.{name}")),
        false => ["0", "1", "3"].map(|name| format!("mlp1.{name}")),
    };
    let path = if converted { "model.vision_tower" } else { "vision_model" };
    let mut modules = intern_vit(&vision, path, converted)?;
    let norm = Kind::Vectors { width: shuffled, names: WEIGHT_AND_BIAS };
    modules.push(single(&names[0], Role::Norm, norm));
    modules.push(single(&names[1], Role::Projector, matrix(shuffled, hidden, true)));
    modules.push(single(&names[2], Role::Projector, matrix(hidden, hidden, true)));
    if converted {
        return Ok(join(model, DECODER, modules));
    }
    let nest = |path: &str| format!("language_model.{path}");
    for module in &mut model.modules {
        module.path = nest(&module.path);
        module.tied_to = module.tied_to.as_deref().map(nest);
    }
    model.modules.splice(0..0, modules);
    Ok(model)
}
