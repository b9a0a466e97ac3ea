//! Qwen 1.5, 2, 2.5 and 3, dense.

use super::Family;
use super::blocks::{DenseOptions, dense_decoder};

/// Qwen 1.5 to 2.5: biases on queries, keys and values.
pub const QWEN2: Family = Family {
    architectures: &["Qwen2ForCausalLM"],
    model_types: &["qwen2"],
    build: |fields| dense_decoder(fields, DenseOptions { qkv_bias: true, ..DenseOptions::default() }),
};

/// Qwen 3: no biases, a norm on each query and key head, heads 128 wide whatever the hidden size.
pub const QWEN3: Family = Family {
    architectures: &["Qwen3ForCausalLM"],
    model_types: &["qwen3"],
    build: |fields| {
        let bias = fields.text().bool_or("attention_bias", false)?;
        dense_decoder(
            fields,
            DenseOptions {
                qkv_bias: bias,
                output_bias: bias,
                head_norm: true,
                head_width: Some(128),
                ..DenseOptions::default()
            },
        )
    },
};
