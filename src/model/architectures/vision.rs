//! Dense decoders with a vision tower: Qwen 2-VL, 2.5-VL and 3-VL, Gemma 3, Mistral 3 and Pixtral.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Kind, Model, Module, Part, Role};
use super::Family;
use super::blocks::{DenseOptions, dense_decoder};
use super::decoder::{WEIGHT, module};
use super::deepseek::MISTRAL4;
use super::gemma::{Generation, gemma};
use super::towers::{join, matrix, no_fields, pixtral, qwen2, qwen2_5, qwen3, siglip, vision_fields};

/// Qwen 2-VL.
pub const QWEN2_VL: Family = Family {
    architectures: &["Qwen2VLForConditionalGeneration"],
    model_types: &["qwen2_vl"],
    build: |fields| qwen(fields, false, qwen2),
};

/// Qwen 2.5-VL.
pub const QWEN2_5_VL: Family = Family {
    architectures: &["Qwen2_5_VLForConditionalGeneration"],
    model_types: &["qwen2_5_vl"],
    build: |fields| qwen(fields, false, qwen2_5),
};

/// Qwen 3-VL, dense.
pub const QWEN3_VL: Family = Family {
    architectures: &["Qwen3VLForConditionalGeneration"],
    model_types: &["qwen3_vl"],
    build: |fields| qwen(fields, true, |vision| qwen3(vision, 3)),
};

/// Gemma 3 with images.
pub const GEMMA3_VISION: Family =
    Family { architectures: &["Gemma3ForConditionalGeneration"], model_types: &["gemma3"], build: gemma3 };

/// Mistral Small 3.1 and later, Ministral 3, and Pixtral in Transformers' form.
pub const MISTRAL3: Family =
    Family { architectures: &["Mistral3ForConditionalGeneration"], model_types: &["mistral3"], build: mistral3 };

/// Where Transformers' wrappers keep the decoder.
const DECODER: &str = "model.language_model";

fn qwen(
    fields: &Fields<'_>,
    third: bool,
    tower: fn(&Fields<'_>) -> Result<Vec<Module>, ConfigError>,
) -> Result<Model, ConfigError> {
    let bias = third && fields.text().bool_or("attention_bias", false)?;
    let options = DenseOptions {
        qkv_bias: !third || bias,
        output_bias: bias,
        head_norm: third,
        head_width: third.then_some(128),
        ..DenseOptions::default()
    };
    let none = no_fields();
    Ok(join(dense_decoder(fields, options)?, DECODER, tower(&vision_fields(fields, &none)?)?))
}

fn gemma3(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let generation = Generation { number: 3, heads: 8, kv_heads: 4, pattern: 6, prefix: "model" };
    let decoder = gemma(fields, generation)?;
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    let width = vision.u64_or(&["hidden_size"], 1152)?;
    let mut modules = siglip(&vision, "model.vision_tower.vision_model")?;
    let single = |path: &str, role, kind| module(path, Instances::First, Part::Vision, role, kind);
    // A bare parameter of the projector, stored `input × output`.
    let projection = ("mm_input_projection_weight".to_owned(), vec![width, decoder.hidden_size]);
    modules.push(single("model.multi_modal_projector", Role::Projector, Kind::Tensors(vec![projection])));
    let norm = Kind::Vectors { width, names: WEIGHT };
    modules.push(single("model.multi_modal_projector.mm_soft_emb_norm", Role::Norm, norm));
    Ok(join(decoder, DECODER, modules))
}

fn mistral3(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let decoder = if fields.text().model_name() == "mistral4" {
        (MISTRAL4.build)(fields)?
    } else {
        let bias = fields.text().bool_or("attention_bias", false)?;
        dense_decoder(fields, DenseOptions { qkv_bias: bias, output_bias: bias, ..DenseOptions::default() })?
    };
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    let width = vision.u64_or(&["hidden_size"], 1024)?;
    let merge = fields.u64_or(&["spatial_merge_size"], 2)?;
    let merged = width.saturating_mul(merge).saturating_mul(merge);
    let projector_bias = fields.bool_or("multimodal_projector_bias", false)?;
    let mut modules = pixtral(&vision, "model.vision_tower")?;
    let mut single = |name: &str, role, kind| {
        modules.push(module(format!("model.multi_modal_projector.{name}"), Instances::First, Part::Vision, role, kind));
    };
    single("norm", Role::Norm, Kind::Vectors { width, names: WEIGHT });
    single("patch_merger.merging_layer", Role::Projector, matrix(merged, width, false));
    single("linear_1", Role::Up, matrix(width, decoder.hidden_size, projector_bias));
    single("linear_2", Role::Down, matrix(decoder.hidden_size, decoder.hidden_size, projector_bias));
    Ok(join(decoder, DECODER, modules))
}
