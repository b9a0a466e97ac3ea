//! Llama 1 to 3 and the models built like them: Mistral, Ministral, Yi, InternLM 3, Aquila, Xverse, CWM.

use super::Family;
use super::blocks::{DenseOptions, dense_decoder};

/// Llama 1-3, Mistral 7B and what copies them.
pub const LLAMA: Family = Family {
    architectures: &[
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "LLaMAForCausalLM",
        "InternLM3ForCausalLM",
        "AquilaForCausalLM",
        "AquilaModel",
        "XverseForCausalLM",
        "MinistralForCausalLM",
        "Ministral3ForCausalLM",
        "CwmForCausalLM",
    ],
    model_types: &["llama", "mistral", "internlm3", "aquila", "xverse", "ministral", "ministral3", "cwm"],
    build: |fields| {
        let text = fields.text();
        let bias = text.bool_or("attention_bias", false)? || text.bool_or("bias", false)?;
        dense_decoder(
            fields,
            DenseOptions {
                // InternLM 3 calls it `qkv_bias` and leaves the output without.
                qkv_bias: bias || text.bool_or("qkv_bias", false)?,
                output_bias: bias,
                mlp_bias: text.bool_or("mlp_bias", false)?,
                ..DenseOptions::default()
            },
        )
    },
};
