//! Vision towers, and how they are joined to a decoder.

use serde_json::{Map, Value};

use super::super::config::{ConfigError, Fields};
use super::super::{Buffer, IndexSet, Instances, Kind, Model, Module, Part, Role, RowParameter};
use super::blocks::features;
use super::decoder::{WEIGHT, WEIGHT_AND_BIAS, heads, module};
use crate::units::DType;

/// Most blocks of a tower that are taken.
const BLOCKS_LIMIT: u64 = 4096;

/// A vision tower under construction.
#[derive(Debug)]
pub struct Tower {
    path: String,
    /// Path of a block, `{}` for its number.
    block: String,
    blocks: IndexSet,
    width: u64,
    modules: Vec<Module>,
}

impl Tower {
    /// A tower of `depth` blocks of `width` features.
    pub fn new(path: &str, block: &str, depth: u64, width: u64) -> Result<Self, ConfigError> {
        let limit = BLOCKS_LIMIT;
        match u32::try_from(depth) {
            Ok(blocks) if depth <= limit => Ok(Self {
                path: path.to_owned(),
                block: format!("{path}.{block}"),
                blocks: IndexSet::range(0..blocks),
                width,
                modules: Vec::new(),
            }),
            _ => Err(ConfigError::TooLarge { field: "vision_config.depth".to_owned(), value: depth, limit }),
        }
    }

    /// A module outside the blocks; without a name, the tower itself.
    pub fn single(&mut self, name: &str, role: Role, kind: Kind) {
        let path = if name.is_empty() { self.path.clone() } else { format!("{}.{name}", self.path) };
        self.modules.push(module(path, Instances::First, Part::Vision, role, kind));
    }

    /// A norm outside the blocks.
    pub fn single_norm(&mut self, name: &str, width: u64, names: &'static [&'static str]) {
        self.single(name, Role::Norm, Kind::Vectors { width, names });
    }

    /// A module of every block; without a name, the block itself.
    pub fn every(&mut self, name: &str, role: Role, kind: Kind) {
        let path = if name.is_empty() { self.block.clone() } else { format!("{}.{name}", self.block) };
        self.modules.push(module(path, Instances::Tower(self.blocks.clone()), Part::Vision, role, kind));
    }

    /// A norm of every block.
    pub fn norm(&mut self, name: &str, names: &'static [&'static str]) {
        self.every(name, Role::Norm, Kind::Vectors { width: self.width, names });
    }

    /// A matrix of every block.
    pub fn matrix(&mut self, name: &str, role: Role, input: u64, output: u64, bias: bool) {
        self.every(name, role, matrix(input, output, bias));
    }

    /// A matrix of some numbered modules outside the blocks; `{}` in the name is the number.
    pub fn numbered(&mut self, name: &str, numbers: IndexSet, role: Role, kind: Kind) {
        let path = format!("{}.{name}", self.path);
        self.modules.push(module(path, Instances::Tower(numbers), Part::Vision, role, kind));
    }

    /// A convolution that makes patches hidden states: kernels of these dimensions.
    pub fn patches(&mut self, name: &str, kernel: Vec<u64>, bias: bool) {
        let mut parameters = vec![RowParameter { name: "weight", inner: kernel }];
        if bias {
            parameters.push(RowParameter { name: "bias", inner: Vec::new() });
        }
        self.single(name, Role::TowerEmbedding, Kind::Rows { output: vec![features(self.width)], parameters });
    }

    /// A table that is computed at load.
    pub fn buffer(&mut self, name: &str, buffer: Buffer) {
        self.single(name, Role::TowerEmbedding, Kind::Buffers(vec![buffer]));
    }

    /// The modules.
    pub fn finish(self) -> Vec<Module> {
        self.modules
    }
}

/// A matrix without structure.
pub fn matrix(input: u64, output: u64, bias: bool) -> Kind {
    Kind::Linear { input, output: vec![features(output)], bias }
}

/// Joins a tower to a decoder whose modules move to `prefix`.
pub fn join(mut decoder: Model, prefix: &str, tower: Vec<Module>) -> Model {
    let nest = |path: &str| match path.strip_prefix("model.") {
        Some(rest) => format!("{prefix}.{rest}"),
        None => path.to_owned(),
    };
    for module in &mut decoder.modules {
        module.path = nest(&module.path);
        module.tied_to = module.tied_to.as_deref().map(nest);
    }
    decoder.modules.splice(0..0, tower);
    decoder
}

/// The fields of `vision_config`, which nothing stands in for: the decoder's have the same names and other values.
pub fn vision_fields<'a>(fields: &Fields<'a>, none: &'a Value) -> Result<Fields<'a>, ConfigError> {
    let value = fields.get("vision_config").unwrap_or(none);
    Fields::new(value).map_err(|_| ConfigError::Wrong {
        field: "vision_config".to_owned(),
        found: value.to_string().chars().take(60).collect(),
        expected: "an object",
    })
}

/// A `vision_config` without fields.
pub fn no_fields() -> Value {
    Value::Object(Map::new())
}

/// What Qwen's towers have in common: queries, keys and values of every head, stored as one matrix.
pub fn qwen_attention(tower: &mut Tower, width: u64, head_count: u64) -> Result<(), ConfigError> {
    let attention = heads(width, head_count, head_count)?;
    tower.every("attn.qkv", Role::QueryKeyValue, Kind::Linear { input: width, output: attention.fused(), bias: true });
    tower.matrix("attn.proj", Role::AttentionOutput, width, width, true);
    // Rows and columns rotate a quarter of a head's features each.
    let shape = vec![attention.head_width / 4];
    tower.buffer("rotary_pos_emb", Buffer { name: "inv_freq", dtype: DType::F32, shape });
    Ok(())
}

/// The tower of Qwen 2-VL.
pub fn qwen2(vision: &Fields<'_>) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["embed_dim"], 1280)?;
    let output = vision.u64_or(&["hidden_size"], 3584)?;
    let mut tower = Tower::new("model.visual", "blocks.{}", vision.u64_or(&["depth"], 32)?, width)?;
    tower.patches("patch_embed.proj", qwen_kernel(vision, 14)?, false);
    tower.norm("norm1", WEIGHT_AND_BIAS);
    tower.norm("norm2", WEIGHT_AND_BIAS);
    qwen_attention(&mut tower, width, vision.u64_or(&["num_heads"], 16)?)?;
    let ratio = vision.optional_f64("mlp_ratio")?.unwrap_or(4.0).clamp(0.0, 1024.0);
    let intermediate = (width as f64 * ratio) as u64;
    tower.matrix("mlp.fc1", Role::Up, width, intermediate, true);
    tower.matrix("mlp.fc2", Role::Down, intermediate, width, true);
    qwen_merger(&mut tower, width, merged(vision, width)?, output, WEIGHT_AND_BIAS);
    Ok(tower.finish())
}

/// The tower of Qwen 2.5-VL: gated feed-forward layers, norms without bias.
pub fn qwen2_5(vision: &Fields<'_>) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["hidden_size"], 3584)?;
    let intermediate = vision.u64_or(&["intermediate_size"], 3420)?;
    let output = vision.u64_or(&["out_hidden_size"], 3584)?;
    let mut tower = Tower::new("model.visual", "blocks.{}", vision.u64_or(&["depth"], 32)?, width)?;
    tower.patches("patch_embed.proj", qwen_kernel(vision, 14)?, false);
    tower.norm("norm1", WEIGHT);
    tower.norm("norm2", WEIGHT);
    qwen_attention(&mut tower, width, vision.u64_or(&["num_heads"], 16)?)?;
    tower.matrix("mlp.gate_proj", Role::GateUp, width, intermediate, true);
    tower.matrix("mlp.up_proj", Role::GateUp, width, intermediate, true);
    tower.matrix("mlp.down_proj", Role::Down, intermediate, width, true);
    qwen_merger(&mut tower, width, merged(vision, width)?, output, WEIGHT);
    Ok(tower.finish())
}

/// The tower of Qwen 3-VL (and of Qwen 3.5, whose list of levels is empty): learned positions, and mergers of its own for the blocks whose
/// output goes into early decoder layers.
pub fn qwen3(vision: &Fields<'_>, default_levels: u64) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["hidden_size"], 1152)?;
    let intermediate = vision.u64_or(&["intermediate_size"], 4304)?;
    let output = vision.u64_or(&["out_hidden_size"], 3584)?;
    let merged = merged(vision, width)?;
    let mut tower = Tower::new("model.visual", "blocks.{}", vision.u64_or(&["depth"], 27)?, width)?;
    tower.patches("patch_embed.proj", qwen_kernel(vision, 16)?, true);
    let rows = vision.u64_or(&["num_position_embeddings"], 2304)?;
    tower.single("pos_embed", Role::TowerEmbedding, Kind::Table { rows, width });
    tower.norm("norm1", WEIGHT_AND_BIAS);
    tower.norm("norm2", WEIGHT_AND_BIAS);
    qwen_attention(&mut tower, width, vision.u64_or(&["num_heads"], 16)?)?;
    tower.matrix("mlp.linear_fc1", Role::Up, width, intermediate, true);
    tower.matrix("mlp.linear_fc2", Role::Down, intermediate, width, true);
    tower.single_norm("merger.norm", width, WEIGHT_AND_BIAS);
    tower.single("merger.linear_fc1", Role::Up, matrix(merged, merged, true));
    tower.single("merger.linear_fc2", Role::Down, matrix(merged, output, true));
    let levels = match vision.get("deepstack_visual_indexes") {
        Some(list) => list.as_array().map_or(0, Vec::len) as u64,
        None => default_levels,
    };
    let levels = IndexSet::range(0..u32::try_from(levels.min(BLOCKS_LIMIT)).unwrap_or(0));
    if !levels.is_empty() {
        let list = |name: &str| format!("deepstack_merger_list.{{}}.{name}");
        let norm = Kind::Vectors { width: merged, names: WEIGHT_AND_BIAS };
        tower.numbered(&list("norm"), levels.clone(), Role::Norm, norm);
        tower.numbered(&list("linear_fc1"), levels.clone(), Role::Up, matrix(merged, merged, true));
        tower.numbered(&list("linear_fc2"), levels, Role::Down, matrix(merged, output, true));
    }
    Ok(tower.finish())
}

/// Features of the patches that are merged into one token.
fn merged(vision: &Fields<'_>, width: u64) -> Result<u64, ConfigError> {
    let side = vision.u64_or(&["spatial_merge_size"], 2)?;
    Ok(width.saturating_mul(side).saturating_mul(side))
}

fn qwen_kernel(vision: &Fields<'_>, patch: u64) -> Result<Vec<u64>, ConfigError> {
    let patch = vision.u64_or(&["patch_size"], patch)?;
    let channels = vision.u64_or(&["in_channels", "in_chans"], 3)?;
    Ok(vec![channels, vision.u64_or(&["temporal_patch_size"], 2)?, patch, patch])
}

fn qwen_merger(tower: &mut Tower, width: u64, merged: u64, output: u64, norm: &'static [&'static str]) {
    tower.single_norm("merger.ln_q", width, norm);
    let at = |number: u32| IndexSet::from_indices([number]);
    tower.numbered("merger.mlp.{}", at(0), Role::Up, matrix(merged, merged, true));
    tower.numbered("merger.mlp.{}", at(2), Role::Down, matrix(merged, output, true));
}

/// SigLIP, at `path`.
pub fn siglip(vision: &Fields<'_>, path: &str) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["hidden_size"], 768)?;
    let intermediate = vision.u64_or(&["intermediate_size"], 3072)?;
    let (image, patch) = (vision.u64_or(&["image_size"], 224)?, vision.u64_or(&["patch_size"], 16)?);
    let channels = vision.u64_or(&["num_channels"], 3)?;
    let head_count = vision.u64_or(&["num_attention_heads"], 12)?;
    let attention = heads(width, head_count, head_count)?;
    let mut tower = Tower::new(path, "encoder.layers.{}", vision.u64_or(&["num_hidden_layers"], 12)?, width)?;
    tower.patches("embeddings.patch_embedding", vec![channels, patch, patch], true);
    let side = image / patch.max(1);
    let positions = side.saturating_mul(side);
    let table = Kind::Table { rows: positions, width };
    tower.single("embeddings.position_embedding", Role::PatchPositionEmbedding, table);
    tower.buffer("embeddings", Buffer { name: "position_ids", dtype: DType::I64, shape: vec![1, positions] });
    tower.norm("layer_norm1", WEIGHT_AND_BIAS);
    for name in ["k_proj", "v_proj", "q_proj"] {
        let segment = if name == "q_proj" { attention.query() } else { attention.key_value() };
        let kind = Kind::Linear { input: width, output: vec![segment], bias: true };
        tower.every(&format!("self_attn.{name}"), Role::QueryKeyValue, kind);
    }
    tower.matrix("self_attn.out_proj", Role::AttentionOutput, width, width, true);
    tower.norm("layer_norm2", WEIGHT_AND_BIAS);
    tower.matrix("mlp.fc1", Role::Up, width, intermediate, true);
    tower.matrix("mlp.fc2", Role::Down, intermediate, width, true);
    tower.single_norm("post_layernorm", width, WEIGHT_AND_BIAS);
    Ok(tower.finish())
}

/// Pixtral, at `path`.
pub fn pixtral(vision: &Fields<'_>, path: &str) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["hidden_size"], 1024)?;
    let intermediate = vision.u64_or(&["intermediate_size"], 4096)?;
    let (image, patch) = (vision.u64_or(&["image_size"], 1024)?, vision.u64_or(&["patch_size"], 16)?);
    let channels = vision.u64_or(&["num_channels"], 3)?;
    let head_count = vision.u64_or(&["num_attention_heads"], 16)?;
    let attention = heads(width, head_count, head_count)?;
    let mut tower = Tower::new(path, "transformer.layers.{}", vision.u64_or(&["num_hidden_layers"], 24)?, width)?;
    tower.patches("patch_conv", vec![channels, patch, patch], false);
    tower.single_norm("ln_pre", width, WEIGHT);
    tower.norm("attention_norm", WEIGHT);
    tower.matrix("feed_forward.gate_proj", Role::GateUp, width, intermediate, false);
    tower.matrix("feed_forward.up_proj", Role::GateUp, width, intermediate, false);
    tower.matrix("feed_forward.down_proj", Role::Down, intermediate, width, false);
    for name in ["k_proj", "v_proj", "q_proj"] {
        let segment = if name == "q_proj" { attention.query() } else { attention.key_value() };
        let kind = Kind::Linear { input: width, output: vec![segment], bias: false };
        tower.every(&format!("attention.{name}"), Role::QueryKeyValue, kind);
    }
    tower.matrix("attention.o_proj", Role::AttentionOutput, width, width, false);
    tower.norm("ffn_norm", WEIGHT);
    let side = image / patch.max(1);
    let shape = vec![side.saturating_mul(side), attention.head_width];
    tower.buffer("patch_positional_embedding", Buffer { name: "inv_freq", dtype: DType::F32, shape });
    Ok(tower.finish())
}
