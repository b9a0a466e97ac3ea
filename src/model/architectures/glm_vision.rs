//! GLM-4.1V and GLM-4.5V: GLM decoders behind a tower whose patches are merged by a convolution.

use super::super::config::{ConfigError, Fields};
use super::super::{Buffer, Kind, Module, Role, RowParameter};
use super::Family;
use super::blocks::features;
use super::decoder::{WEIGHT, WEIGHT_AND_BIAS, heads};
use super::glm::GLM4;
use super::glm_moe::GLM4_MOE;
use super::towers::{Tower, join, matrix, no_fields, vision_fields};
use crate::units::DType;

/// GLM-4.1V, dense.
pub const GLM4V: Family = Family {
    architectures: &["Glm4vForConditionalGeneration"],
    model_types: &["glm4v"],
    build: |fields| {
        let none = no_fields();
        Ok(join((GLM4.build)(fields)?, DECODER, tower(&vision_fields(fields, &none)?)?))
    },
};

/// GLM-4.5V, with experts.
pub const GLM4V_MOE: Family = Family {
    architectures: &["Glm4vMoeForConditionalGeneration"],
    model_types: &["glm4v_moe"],
    build: |fields| {
        let none = no_fields();
        Ok(join((GLM4_MOE.build)(fields)?, DECODER, tower(&vision_fields(fields, &none)?)?))
    },
};

const DECODER: &str = "model.language_model";

fn tower(vision: &Fields<'_>) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["hidden_size"], 1536)?;
    let output = vision.u64_or(&["out_hidden_size"], 4096)?;
    let context = vision.u64_or(&["intermediate_size"], 13_696)?;
    let (image, patch) = (vision.u64_or(&["image_size"], 336)?, vision.u64_or(&["patch_size"], 14)?);
    let channels = vision.u64_or(&["in_channels", "num_channels"], 3)?;
    let frames = vision.u64_or(&["temporal_patch_size"], 2)?;
    let merge = vision.u64_or(&["spatial_merge_size"], 2)?;
    let head_count = vision.u64_or(&["num_heads"], 12)?;
    let attention = heads(width, head_count, head_count)?;
    let bias = vision.bool_or("attention_bias", false)?;
    let mut tower = Tower::new("model.visual", "blocks.{}", vision.u64_or(&["depth"], 24)?, width)?;
    let side = image / patch.max(1);
    let positions = side.saturating_mul(side);
    tower.single("embeddings.position_embedding", Role::TowerEmbedding, Kind::Table { rows: positions, width });
    tower.buffer("embeddings", Buffer { name: "position_ids", dtype: DType::I64, shape: vec![1, positions] });
    tower.patches("patch_embed.proj", vec![channels, frames, patch, patch], true);
    let shape = vec![attention.head_width / 4];
    tower.buffer("rotary_pos_emb", Buffer { name: "inv_freq", dtype: DType::F32, shape });
    tower.norm("norm1", WEIGHT);
    tower.norm("norm2", WEIGHT);
    tower.every("attn.qkv", Role::QueryKeyValue, Kind::Linear { input: width, output: attention.fused(), bias });
    tower.matrix("attn.proj", Role::AttentionOutput, width, width, false);
    // Blocks are as wide inside as the decoder's hidden state.
    tower.matrix("mlp.gate_proj", Role::GateUp, width, output, false);
    tower.matrix("mlp.up_proj", Role::GateUp, width, output, false);
    tower.matrix("mlp.down_proj", Role::Down, output, width, false);
    tower.single("merger.proj", Role::Projector, matrix(output, output, false));
    tower.single_norm("merger.post_projection_norm", output, WEIGHT_AND_BIAS);
    tower.single("merger.gate_proj", Role::GateUp, matrix(output, context, false));
    tower.single("merger.up_proj", Role::GateUp, matrix(output, context, false));
    tower.single("merger.down_proj", Role::Down, matrix(context, output, false));
    tower.single_norm("post_conv_layernorm", width, WEIGHT);
    let kernel = RowParameter { name: "weight", inner: vec![width, merge, merge] };
    let parameters = vec![kernel, RowParameter { name: "bias", inner: Vec::new() }];
    tower.single("downsample", Role::TowerEmbedding, Kind::Rows { output: vec![features(output)], parameters });
    tower.single_norm("post_layernorm", width, WEIGHT);
    Ok(tower.finish())
}
