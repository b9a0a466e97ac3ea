//! Decoders that differ from Llama in a few details: biases, norms, a feed-forward layer without a gate, layers that do not rotate.

use super::Family;
use super::blocks::{DenseOptions, dense_decoder};
use super::decoder::WEIGHT_AND_BIAS;

/// SmolLM 3: each fourth layer does not rotate, which costs no memory.
pub const SMOLLM3: Family = Family {
    architectures: &["SmolLM3ForCausalLM"],
    model_types: &["smollm3"],
    build: |fields| {
        let text = fields.text();
        let bias = text.bool_or("attention_bias", false)?;
        let mlp_bias = text.bool_or("mlp_bias", false)?;
        let tied = true;
        dense_decoder(
            fields,
            DenseOptions { qkv_bias: bias, output_bias: bias, mlp_bias, tied, ..DenseOptions::default() },
        )
    },
};

/// Arcee's AFM: squared ReLU in a feed-forward layer without a gate.
pub const ARCEE: Family = Family {
    architectures: &["ArceeForCausalLM"],
    model_types: &["arcee"],
    build: |fields| {
        let text = fields.text();
        let bias = text.bool_or("attention_bias", false)?;
        let mlp_bias = text.bool_or("mlp_bias", false)?;
        dense_decoder(
            fields,
            DenseOptions { qkv_bias: bias, output_bias: bias, mlp_bias, ungated: true, ..DenseOptions::default() },
        )
    },
};

/// Nemotron 4 and Minitron: squared ReLU without a gate, norms with biases, half of each head rotated.
pub const NEMOTRON: Family = Family {
    architectures: &["NemotronForCausalLM"],
    model_types: &["nemotron"],
    build: |fields| {
        let text = fields.text();
        let bias = text.bool_or("attention_bias", false)?;
        let mlp_bias = text.bool_or("mlp_bias", false)?;
        dense_decoder(
            fields,
            DenseOptions {
                qkv_bias: bias,
                output_bias: bias,
                mlp_bias,
                ungated: true,
                norm: Some(WEIGHT_AND_BIAS),
                rotated: Some(0.5),
                ..DenseOptions::default()
            },
        )
    },
};

/// Seed-OSS: biases on queries, keys and values, and by a field of its own on the output.
pub const SEED_OSS: Family = Family {
    architectures: &["SeedOssForCausalLM"],
    model_types: &["seed_oss"],
    build: |fields| {
        let text = fields.text();
        dense_decoder(
            fields,
            DenseOptions {
                qkv_bias: text.bool_or("attention_bias", true)?,
                output_bias: text.bool_or("attention_out_bias", false)?,
                mlp_bias: text.bool_or("mlp_bias", false)?,
                head_width: Some(128),
                ..DenseOptions::default()
            },
        )
    },
};

/// ERNIE 4.5 without experts: one field for all biases.
pub const ERNIE45: Family = Family {
    architectures: &["Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM"],
    model_types: &["ernie4_5"],
    build: |fields| {
        let bias = fields.text().bool_or("use_bias", false)?;
        dense_decoder(
            fields,
            DenseOptions {
                qkv_bias: bias,
                output_bias: bias,
                mlp_bias: bias,
                tied: true,
                head_width: fields.text().optional_u64(&["head_dim"])?.or(Some(128)),
                ..DenseOptions::default()
            },
        )
    },
};

/// Hunyuan without experts: norms on queries and keys.
pub const HUNYUAN: Family = Family {
    architectures: &["HunYuanDenseV1ForCausalLM"],
    model_types: &["hunyuan_v1_dense"],
    build: |fields| {
        let text = fields.text();
        let bias = text.bool_or("attention_bias", false)?;
        dense_decoder(
            fields,
            DenseOptions {
                qkv_bias: bias,
                output_bias: bias,
                head_norm: text.bool_or("use_qk_norm", true)?,
                head_norm_names: Some(["query_layernorm", "key_layernorm"]),
                ..DenseOptions::default()
            },
        )
    },
};

/// Helium.
pub const HELIUM: Family = Family {
    architectures: &["HeliumForCausalLM"],
    model_types: &["helium"],
    build: |fields| {
        let text = fields.text();
        let qkv_bias = text.bool_or("attention_bias", false)?;
        let mlp_bias = text.bool_or("mlp_bias", false)?;
        dense_decoder(fields, DenseOptions { qkv_bias, mlp_bias, head_width: Some(128), ..DenseOptions::default() })
    },
};

/// InternLM 1: one field for the biases of attention, none in the feed-forward layers.
pub const INTERNLM: Family = Family {
    architectures: &["InternLMForCausalLM"],
    model_types: &["internlm"],
    build: |fields| {
        let bias = fields.text().bool_or("bias", true)?;
        dense_decoder(fields, DenseOptions { qkv_bias: bias, output_bias: bias, ..DenseOptions::default() })
    },
};

/// Orion: norms with biases.
pub const ORION: Family = Family {
    architectures: &["OrionForCausalLM"],
    model_types: &["orion"],
    build: |fields| {
        let bias = fields.text().bool_or("attention_bias", false)?;
        dense_decoder(
            fields,
            DenseOptions { qkv_bias: bias, output_bias: bias, norm: Some(WEIGHT_AND_BIAS), ..DenseOptions::default() },
        )
    },
};

/// MiniCPM 1, 2 and 4: embeddings, residuals and logits scaled, which costs no memory; embeddings tied.
pub const MINICPM: Family = Family {
    architectures: &["MiniCPMForCausalLM"],
    model_types: &["minicpm"],
    build: |fields| {
        let bias = fields.text().bool_or("attention_bias", false)?;
        dense_decoder(fields, DenseOptions { qkv_bias: bias, output_bias: bias, tied: true, ..DenseOptions::default() })
    },
};
