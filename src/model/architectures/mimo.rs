//! MiMo 7B: a Qwen 2 with a draft layer that predicts further tokens, which engines leave out unless they draft with it.

use super::Family;
use super::blocks::{DenseOptions, dense_decoder};

/// MiMo.
pub const MIMO: Family = Family {
    architectures: &["MiMoForCausalLM"],
    model_types: &["mimo"],
    build: |fields| dense_decoder(fields, DenseOptions { qkv_bias: true, ..DenseOptions::default() }),
};
