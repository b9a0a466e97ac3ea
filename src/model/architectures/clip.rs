//! CLIP and InternViT, the towers of LLaVA and InternVL.

use super::super::config::{ConfigError, Fields};
use super::super::{Buffer, Kind, Module, Role};
use super::decoder::{WEIGHT, WEIGHT_AND_BIAS, heads};
use super::towers::Tower;
use crate::units::DType;

/// CLIP, at `path`: a class token, learned positions, norms before and after.
pub fn clip(vision: &Fields<'_>, path: &str) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["hidden_size"], 768)?;
    let intermediate = vision.u64_or(&["intermediate_size"], 3072)?;
    let (image, patch) = (vision.u64_or(&["image_size"], 224)?, vision.u64_or(&["patch_size"], 32)?);
    let channels = vision.u64_or(&["num_channels"], 3)?;
    let head_count = vision.u64_or(&["num_attention_heads"], 12)?;
    let attention = heads(width, head_count, head_count)?;
    let mut tower = Tower::new(path, "encoder.layers.{}", vision.u64_or(&["num_hidden_layers"], 12)?, width)?;
    let side = image / patch.max(1);
    let positions = side.saturating_mul(side).saturating_add(1);
    let token = Kind::Tensors(vec![("class_embedding".to_owned(), vec![width])]);
    tower.single("embeddings", Role::TowerEmbedding, token);
    tower.patches("embeddings.patch_embedding", vec![channels, patch, patch], false);
    tower.single("embeddings.position_embedding", Role::TowerEmbedding, Kind::Table { rows: positions, width });
    tower.buffer("embeddings", Buffer { name: "position_ids", dtype: DType::I64, shape: vec![1, positions] });
    // The name is misspelt in the class itself.
    tower.single_norm("pre_layrnorm", width, WEIGHT_AND_BIAS);
    for name in ["k_proj", "v_proj", "q_proj"] {
        let segment = if name == "q_proj" { attention.query() } else { attention.key_value() };
        let kind = Kind::Linear { input: width, output: vec![segment], bias: true };
        tower.every(&format!("self_attn.{name}"), Role::QueryKeyValue, kind);
    }
    tower.matrix("self_attn.out_proj", Role::AttentionOutput, width, width, true);
    tower.norm("layer_norm1", WEIGHT_AND_BIAS);
    tower.matrix("mlp.fc1", Role::Up, width, intermediate, true);
    tower.matrix("mlp.fc2", Role::Down, intermediate, width, true);
    tower.norm("layer_norm2", WEIGHT_AND_BIAS);
    tower.single_norm("post_layernorm", width, WEIGHT_AND_BIAS);
    Ok(tower.finish())
}

/// A number that newer configs give for both sides of an image.
fn side(vision: &Fields<'_>, name: &str, default: u64) -> Result<u64, ConfigError> {
    match vision.get(name) {
        Some(value) if value.is_array() => Ok(vision.numbers(name)?.first().copied().unwrap_or(default)),
        _ => vision.u64_or(&[name], default),
    }
}

/// Names of one module under Transformers' class and under the publisher's own.
struct Names {
    block: &'static str,
    token: (&'static str, &'static str),
    positions: &'static str,
    patches: &'static str,
    /// One matrix for queries, keys and values.
    joint: bool,
    output: &'static str,
    norms: [&'static str; 2],
    scales: [&'static str; 2],
}

const CONVERTED: Names = Names {
    block: "encoder.layer.{}",
    token: ("embeddings", "cls_token"),
    positions: "position_embeddings",
    patches: "embeddings.patch_embeddings.projection",
    joint: false,
    output: "attention.projection_layer",
    norms: ["layernorm_before", "layernorm_after"],
    scales: ["lambda_1", "lambda_2"],
};

const PUBLISHED: Names = Names {
    block: "encoder.layers.{}",
    token: ("embeddings", "class_embedding"),
    positions: "position_embedding",
    patches: "embeddings.patch_embedding",
    joint: true,
    output: "attn.proj",
    norms: ["norm1", "norm2"],
    scales: ["ls1", "ls2"],
};

/// InternViT, at `path`: a scale for each feature after each block.
pub fn intern_vit(vision: &Fields<'_>, path: &str, converted: bool) -> Result<Vec<Module>, ConfigError> {
    let names = if converted { CONVERTED } else { PUBLISHED };
    let width = vision.u64_or(&["hidden_size"], if converted { 1024 } else { 3200 })?;
    let intermediate = vision.u64_or(&["intermediate_size"], if converted { 4096 } else { 12_800 })?;
    let (image, patch) =
        (side(vision, "image_size", if converted { 224 } else { 448 })?, side(vision, "patch_size", 14)?);
    let head_count = vision.u64_or(&["num_attention_heads"], if converted { 16 } else { 25 })?;
    let attention = heads(width, head_count, head_count)?;
    let depth = vision.u64_or(&["num_hidden_layers"], if converted { 24 } else { 48 })?;
    let bias = match converted {
        true => vision.bool_or("attention_bias", false)?,
        false => vision.bool_or("qkv_bias", true)?,
    };
    let mut tower = Tower::new(path, names.block, depth, width)?;
    let side = image / patch.max(1);
    let positions = side.saturating_mul(side).saturating_add(1);
    let bare = |name: &str, shape: Vec<u64>| Kind::Tensors(vec![(name.to_owned(), shape)]);
    let (embeddings, token) = names.token;
    tower.single(embeddings, Role::TowerEmbedding, bare(token, vec![1, 1, width]));
    tower.single(embeddings, Role::TowerEmbedding, bare(names.positions, vec![1, positions, width]));
    tower.patches(names.patches, vec![3, patch, patch], true);
    for scale in names.scales {
        tower.every("", Role::TowerEmbedding, bare(scale, vec![width]));
    }
    let normed = vision.bool_or(if converted { "use_qk_norm" } else { "qk_normalization" }, false)?;
    if names.joint {
        let kind = Kind::Linear { input: width, output: attention.fused(), bias };
        tower.every("attn.qkv", Role::QueryKeyValue, kind);
    } else {
        for name in ["q_proj", "k_proj", "v_proj"] {
            let segment = if name == "q_proj" { attention.query() } else { attention.key_value() };
            let kind = Kind::Linear { input: width, output: vec![segment], bias };
            tower.every(&format!("attention.{name}"), Role::QueryKeyValue, kind);
        }
    }
    if normed {
        let parent = if names.joint { "attn" } else { "attention" };
        for norm in ["q_norm", "k_norm"] {
            let kind = Kind::Vectors { width, names: WEIGHT };
            tower.every(&format!("{parent}.{norm}"), Role::QueryKeyNorm, kind);
        }
    }
    tower.matrix(names.output, Role::AttentionOutput, width, width, true);
    tower.matrix("mlp.fc1", Role::Up, width, intermediate, true);
    tower.matrix("mlp.fc2", Role::Down, intermediate, width, true);
    let root = vision.optional_str("norm_type")? == Some("rms_norm");
    for norm in names.norms {
        tower.norm(norm, if root { WEIGHT } else { WEIGHT_AND_BIAS });
    }
    Ok(tower.finish())
}
