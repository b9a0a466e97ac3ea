//! Config → model: one file a family, registered here.

mod alibi;
mod apertus;
mod audio;
mod bailing;
mod blocks;
mod clip;
mod cohere;
mod dbrx;
mod decoder;
mod deepseek;
mod deepseek_v4;
mod delta;
mod exaone;
mod falcon_h1;
mod gemma;
mod gemma3n;
mod gemma4;
mod generic;
mod glm;
mod glm_moe;
mod glm_vision;
mod gpt;
mod gpt_neo;
mod gpt_oss;
mod granite;
mod granite_moe;
mod internlm;
mod jamba;
mod joined;
mod kimi_linear;
mod lfm2;
mod llama;
mod llama4;
mod llama_like;
mod mamba;
mod mimo;
mod mimo_v2;
mod minimax;
mod minimax_text;
mod mixtral;
mod mllama;
mod mpt;
mod nemotron_h;
mod nemotron_nas;
mod olmo;
mod persimmon;
mod phi;
mod qwen;
mod qwen1;
mod qwen_hybrid;
mod qwen_moe;
mod routed;
mod routed_like;
mod stablelm;
mod starcoder2;
mod state_space;
mod towers;
mod vision;

use super::Model;
use super::config::{ConfigError, Fields};
use crate::units::DType;
pub use generic::Assumed;

/// A family of architectures that one rule reads.
pub struct Family {
    /// Classes it reads, as in `architectures`.
    pub architectures: &'static [&'static str],
    /// Values of `model_type`, for configs without `architectures`.
    pub model_types: &'static [&'static str],
    /// Reads a config.
    pub(super) build: fn(&Fields<'_>) -> Result<Model, ConfigError>,
}

/// All families.
pub const FAMILIES: &[&Family] = &[
    &llama::LLAMA,
    &qwen::QWEN2,
    &qwen::QWEN3,
    &alibi::BAICHUAN,
    &alibi::BLOOM,
    &alibi::FALCON,
    &alibi::OPT,
    &cohere::COHERE,
    &cohere::COHERE2,
    &gemma::GEMMA,
    &gemma::GEMMA2,
    &gemma::GEMMA3,
    &gemma4::GEMMA4,
    &gemma4::GEMMA4_VISION,
    &glm::CHATGLM,
    &glm::GLM,
    &glm::GLM4,
    &gpt::GPT2,
    &gpt::GPT_BIG_CODE,
    &gpt::GPT_J,
    &gpt::GPT_NEOX,
    &granite::GRANITE,
    &internlm::INTERNLM2,
    &mimo::MIMO,
    &mllama::MLLAMA,
    &nemotron_nas::NEMOTRON_NAS,
    &olmo::OLMO,
    &olmo::OLMO2,
    &olmo::OLMO3,
    &phi::PHI,
    &phi::PHI3,
    &starcoder2::STARCODER2,
    &vision::GEMMA3_VISION,
    &vision::MISTRAL3,
    &vision::QWEN2_5_VL,
    &vision::QWEN2_VL,
    &vision::QWEN3_VL,
    &exaone::EXAONE,
    &exaone::EXAONE4,
    &gpt_neo::GPT_NEO,
    &gpt_neo::CODEGEN,
    &llama_like::SMOLLM3,
    &llama_like::ARCEE,
    &llama_like::NEMOTRON,
    &llama_like::SEED_OSS,
    &llama_like::ERNIE45,
    &llama_like::HUNYUAN,
    &llama_like::HELIUM,
    &llama_like::INTERNLM,
    &llama_like::ORION,
    &mpt::MPT,
    &persimmon::PERSIMMON,
    &qwen1::QWEN1,
    &stablelm::STABLELM,
    &bailing::BAILING,
    &falcon_h1::FALCON_H1,
    &granite_moe::GRANITE_MOE,
    &granite_moe::GRANITE_HYBRID,
    &granite_moe::BAMBA,
    &lfm2::LFM2,
    &lfm2::LFM2_MOE,
    &routed_like::ERNIE45_MOE,
    &routed_like::HUNYUAN_MOE,
    &routed_like::OLMOE,
    &routed_like::PHI_MOE,
    &routed_like::DOTS1,
    &apertus::APERTUS,
    &kimi_linear::KIMI_LINEAR,
    &minimax_text::MINIMAX_TEXT,
    &audio::WHISPER,
    &audio::QWEN2_AUDIO,
    &audio::VOXTRAL,
    &glm_vision::GLM4V,
    &glm_vision::GLM4V_MOE,
    &joined::LLAVA,
    &joined::PALIGEMMA,
    &joined::COHERE_VISION,
    &joined::IDEFICS3,
    &joined::INTERNVL,
    &gemma3n::GEMMA3N,
    &llama_like::MINICPM,
    &deepseek::MISTRAL4,
    &deepseek::MINICPM3,
    &deepseek::KIMI_VL,
    &dbrx::DBRX,
    &deepseek::DEEPSEEK,
    &deepseek::DEEPSEEK_V2,
    &deepseek::DEEPSEEK_V3,
    &deepseek::DEEPSEEK_V32,
    &deepseek_v4::DEEPSEEK_V4,
    &deepseek::GLM_MOE_DSA,
    &deepseek::KIMI_K25,
    &glm_moe::GLM4_MOE,
    &gpt_oss::GPT_OSS,
    &jamba::JAMBA,
    &llama4::LLAMA4,
    &llama4::LLAMA4_TEXT,
    &mamba::MAMBA,
    &mamba::MAMBA2,
    &mimo_v2::MIMO_V2,
    &minimax::MINIMAX_M2,
    &mixtral::MIXTRAL,
    &nemotron_h::NEMOTRON_H,
    &qwen_hybrid::QWEN3_NEXT,
    &qwen_hybrid::QWEN3_5,
    &qwen_hybrid::QWEN3_5_MOE,
    &qwen_moe::QWEN2_MOE,
    &qwen_moe::QWEN3_MOE,
    &qwen_moe::QWEN3_VL_MOE,
];

/// Reads a model of any architecture from its tensors.
pub(super) fn from_tensors<'a>(
    fields: &Fields<'_>,
    tensors: impl IntoIterator<Item = (&'a str, DType, &'a [u64])>,
) -> Result<Assumed, ConfigError> {
    generic::read(fields, tensors)
}

/// The family that reads a config: by class, else by model type.
pub(super) fn family(fields: &Fields<'_>) -> Result<&'static Family, ConfigError> {
    if let Some(class) = fields.architecture() {
        if let Some(family) = FAMILIES.iter().find(|f| f.architectures.contains(&class)) {
            return Ok(family);
        }
        return Err(ConfigError::UnknownArchitecture(class.to_owned()));
    }
    let model_type = fields.optional_str("model_type")?.ok_or(ConfigError::NoArchitecture)?;
    FAMILIES
        .iter()
        .find(|f| f.model_types.contains(&model_type))
        .copied()
        .ok_or_else(|| ConfigError::UnknownArchitecture(model_type.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_families_claim_one_architecture() {
        let mut all: Vec<_> = FAMILIES.iter().flat_map(|f| f.architectures.iter().chain(f.model_types)).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
