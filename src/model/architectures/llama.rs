//! Llama 1 to 3 and the models built like them: Mistral, Yi, InternLM 3.

use super::Family;
use super::blocks::{DenseOptions, dense_decoder};

/// Llama 1-3, Mistral 7B and what copies them.
pub const LLAMA: Family = Family {
    architectures: &["LlamaForCausalLM", "MistralForCausalLM", "LLaMAForCausalLM", "InternLM3ForCausalLM"],
    model_types: &["llama", "mistral", "internlm3"],
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
