//! Storage formats of quantised matrices: which tensors stand in for a weight, and their shapes.

use serde::Deserialize;

/// One storage format, as its file says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantProfile {
    /// Version of the file's layout.
    pub schema: u32,
    /// Short name.
    pub id: String,
    /// Values of `quant_method` in a config whose matrices can be stored so.
    pub methods: Vec<String>,
    /// Where the shapes are taken from.
    pub source: String,
    /// The tensors of one matrix.
    #[serde(rename = "tensor")]
    pub tensors: Vec<TensorProfile>,
}

/// One tensor that a quantised matrix is stored in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorProfile {
    /// Parameter suffix.
    pub name: String,
    /// Element type as in a safetensors header, or `model` for the model's own.
    pub dtype: String,
    /// Sizes of its dimensions: what they count (`input`, `output`, `elements` of the matrix, `member` for one a fused module, or a plain
    /// number), and after a slash the units that one index covers: `pack` (32-bit words), `bytes`, `group`, `block_n`, `block_k` or a number.
    pub dims: Vec<String>,
    /// Condition under which it exists; always where absent.
    #[serde(default)]
    pub when: Option<Condition>,
    /// Who has it.
    #[serde(default)]
    pub held: Held,
    /// Whether engines that keep all experts of a layer in one tensor have it.
    #[serde(default)]
    pub experts: JointExperts,
}

/// What a tensor's existence depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Activations are quantised with a scale fixed beforehand.
    StaticInput,
    /// Weights are not symmetric around zero.
    ZeroPoints,
    /// Inputs were quantised in another order than they lie in.
    ActOrder,
    /// Scales are quantised themselves.
    NestedScales,
}

/// Who has a tensor: the files, the engines that build modules as the files have them, the engines that build their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Everyone.
    #[default]
    Everywhere,
    /// Files and whoever holds the file's own tensors; other engines rebuild what they need of it after loading.
    State,
    /// No file: the engine makes it.
    Engine,
}

/// Whether an engine that keeps all experts of a layer in one tensor has a tensor of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JointExperts {
    /// As for other matrices.
    #[default]
    Alike,
    /// It has none, or one of other shape that is listed for itself.
    Without,
    /// It has it for experts only, and no file does under that name and shape.
    Only,
    /// It has this instead of all else where no kernel takes the slices of the experts, in bytes instead of words.
    InBytes,
}

/// The embedded files, by id.
const FILES: &[(&str, &str)] = &[
    ("awq", include_str!("../../profiles/quants/awq.toml")),
    ("bitsandbytes-int8", include_str!("../../profiles/quants/bitsandbytes-int8.toml")),
    ("bitsandbytes-nf4", include_str!("../../profiles/quants/bitsandbytes-nf4.toml")),
    ("compressed-int8-channel", include_str!("../../profiles/quants/compressed-int8-channel.toml")),
    ("compressed-int8-tensor", include_str!("../../profiles/quants/compressed-int8-tensor.toml")),
    ("compressed-nvfp4", include_str!("../../profiles/quants/compressed-nvfp4.toml")),
    ("compressed-pack", include_str!("../../profiles/quants/compressed-pack.toml")),
    ("fbgemm-fp8", include_str!("../../profiles/quants/fbgemm-fp8.toml")),
    ("fp8-block", include_str!("../../profiles/quants/fp8-block.toml")),
    ("fp8-block-scale", include_str!("../../profiles/quants/fp8-block-scale.toml")),
    ("fp8-channel", include_str!("../../profiles/quants/fp8-channel.toml")),
    ("fp8-row", include_str!("../../profiles/quants/fp8-row.toml")),
    ("fp8-tensor", include_str!("../../profiles/quants/fp8-tensor.toml")),
    ("gptq", include_str!("../../profiles/quants/gptq.toml")),
    ("hqq", include_str!("../../profiles/quants/hqq.toml")),
    ("modelopt-fp8-block", include_str!("../../profiles/quants/modelopt-fp8-block.toml")),
    ("modelopt-nvfp4", include_str!("../../profiles/quants/modelopt-nvfp4.toml")),
    ("mxfp4", include_str!("../../profiles/quants/mxfp4.toml")),
    ("mxfp4-matrix", include_str!("../../profiles/quants/mxfp4-matrix.toml")),
    ("fp8-block-power", include_str!("../../profiles/quants/fp8-block-power.toml")),
    ("mxfp8", include_str!("../../profiles/quants/mxfp8.toml")),
    ("torchao-int4", include_str!("../../profiles/quants/torchao-int4.toml")),
    ("torchao-int8", include_str!("../../profiles/quants/torchao-int8.toml")),
];

/// The format of an id; `None` when there is no such file.
#[must_use]
pub fn quant_profile(id: &str) -> Option<QuantProfile> {
    let (_, text) = FILES.iter().find(|(name, _)| *name == id)?;
    toml::from_str(text).ok()
}

/// All formats.
pub fn quant_profiles() -> impl Iterator<Item = QuantProfile> {
    FILES.iter().filter_map(|(id, _)| quant_profile(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_parses_and_carries_its_id() {
        for (id, text) in FILES {
            let profile: QuantProfile = toml::from_str(text).unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!((&profile.id.as_str(), profile.schema), (id, 1));
            assert!(!profile.source.is_empty() && !profile.tensors.is_empty() && !profile.methods.is_empty());
        }
        assert_eq!(quant_profiles().count(), FILES.len());
        assert_eq!(quant_profile("no-such-format"), None);
    }
}
