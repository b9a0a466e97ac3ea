//! Which parts outside the layers each pipeline stage builds.
//!
//! Most model classes build the embedding on the first stage and norm and head on the last. The older ones build all of them on every
//! stage and let the others lie idle (`model_executor/models/*.py` of 0.11.2 and 0.25.1: those without a `PPMissingLayer`).

use std::ops::Range;

use crate::model::Model;
use crate::sharding::Stage;

/// Classes that build embedding, final norm and head on every stage.
const EVERYTHING_ON_EVERY_STAGE: &[&str] = &[
    "BaiChuanForCausalLM",
    "BaichuanForCausalLM",
    "BambaForCausalLM",
    "BloomForCausalLM",
    "ChatGLMForConditionalGeneration",
    "ChatGLMModel",
    "Cohere2ForCausalLM",
    "CohereForCausalLM",
    "DbrxForCausalLM",
    "FalconForCausalLM",
    "GPT2LMHeadModel",
    "GPTBigCodeForCausalLM",
    "GPTJForCausalLM",
    "GPTNeoXForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "Gemma4ForCausalLM",
    "Gemma4ForConditionalGeneration",
    "GemmaForCausalLM",
    "GptOssForCausalLM",
    "GraniteMoeForCausalLM",
    "GraniteMoeHybridForCausalLM",
    "GraniteMoeSharedForCausalLM",
    "InternLM2ForCausalLM",
    "JambaForCausalLM",
    "MPTForCausalLM",
    "Mamba2ForCausalLM",
    "MambaForCausalLM",
    "MiniCPM3ForCausalLM",
    "MiniCPMForCausalLM",
    "MixtralForCausalLM",
    "MptForCausalLM",
    "NemotronHForCausalLM",
    "OPTForCausalLM",
    "Olmo2ForCausalLM",
    "Olmo3ForCausalLM",
    "OlmoForCausalLM",
    "OlmoeForCausalLM",
    "OrionForCausalLM",
    "PersimmonForCausalLM",
    "PhiForCausalLM",
    "PhiMoEForCausalLM",
    "PhimoeForCausalLM",
    "QWenLMHeadModel",
    "Qwen2MoeForCausalLM",
    "Qwen3MoeForCausalLM",
    "RWForCausalLM",
    "StableLmForCausalLM",
    "Starcoder2ForCausalLM",
];

/// What each stage builds. Where embedding and head are tied, the last stage builds the embedding too and shares it.
pub fn of_ranges(model: &Model, ranges: Vec<Range<u32>>) -> Vec<Stage> {
    let last = ranges.len().saturating_sub(1);
    let everything = EVERYTHING_ON_EVERY_STAGE.contains(&model.architecture.as_str());
    let stage = |(i, layers)| Stage {
        layers,
        embedding: everything || i == 0 || (i == last && model.tied_embeddings),
        final_norm: everything || i == last,
        head: everything || i == last,
    };
    ranges.into_iter().enumerate().map(stage).collect()
}
