//! Granite 3 and 4, dense: a Llama with scaled embeddings, residuals and logits, which cost no memory.

use super::Family;
use super::blocks::{DenseOptions, dense_decoder};

/// Granite, dense.
pub const GRANITE: Family = Family {
    architectures: &["GraniteForCausalLM"],
    model_types: &["granite"],
    build: |fields| {
        let text = fields.text();
        let bias = text.bool_or("attention_bias", false)?;
        let mlp_bias = text.bool_or("mlp_bias", false)?;
        dense_decoder(fields, DenseOptions { qkv_bias: bias, output_bias: bias, mlp_bias, ..DenseOptions::default() })
    },
};
