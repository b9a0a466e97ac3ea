//! Writes checkpoints of the Qwen2 architecture whose values are made up and whose every size is real: names, shapes, formats, shards and
//! index are those that transformers and AutoAWQ write, so that engines and this program treat them as any other checkpoint.
#![allow(dead_code, clippy::disallowed_methods, reason = "shared by examples and a test, which write files by design")]

mod tensors;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

pub use tensors::Tensor;

/// A Qwen2 model.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub intermediate: usize,
    pub vocabulary: usize,
}

/// How its weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `bfloat16`, as published.
    Bf16,
    /// AWQ: 4-bit linear layers in groups of 128 inputs, the rest `float16`.
    Awq,
}

/// Inputs that share a scale and a zero point in AWQ.
pub const AWQ_GROUP: usize = 128;

/// The model of `examples/models`: small enough to be kept with the code, and awkward where real ones are. 500 tokens are not a multiple of
/// 64, so the vocabulary is padded; 2 KV heads are copied from tensor parallel size 4 on. The AWQ twin divides by 2 and no further: the 256
/// inputs of `o_proj` are two groups of 128.
pub const TINY: Model = Model { hidden: 256, layers: 2, heads: 8, kv_heads: 2, intermediate: 512, vocabulary: 500 };

impl Model {
    /// Its `config.json`.
    pub fn config(&self, format: Format) -> Value {
        let mut config = json!({
            "architectures": ["Qwen2ForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "initializer_range": 0.02,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": 4096,
            "max_window_layers": self.layers,
            "model_type": "qwen2",
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
        });
        if format == Format::Awq {
            config["quantization_config"] = json!({
                "bits": 4,
                "group_size": AWQ_GROUP,
                "modules_to_not_convert": null,
                "quant_method": "awq",
                "version": "gemm",
                "zero_point": true,
            });
        }
        config["rms_norm_eps"] = json!(1e-06);
        config["rope_theta"] = json!(1_000_000.0);
        config["sliding_window"] = Value::Null;
        config["tie_word_embeddings"] = json!(false);
        config["torch_dtype"] = json!(if format == Format::Awq { "float16" } else { "bfloat16" });
        config["transformers_version"] = json!("4.57.0");
        config["use_cache"] = json!(true);
        config["use_sliding_window"] = json!(false);
        config["vocab_size"] = json!(self.vocabulary);
        config
    }
}

/// Writes config, weights and, with more than one file, the index into `folder`. Returns the bytes of the weights.
pub fn write(model: &Model, format: Format, files: usize, folder: &Path) -> anyhow::Result<usize> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let tensors = tensors::of(model, format);
    let total: usize = tensors.iter().map(Tensor::bytes).sum();
    write_json(&folder.join("config.json"), &model.config(format))?;

    let mut weight_map = BTreeMap::new();
    for (position, part) in split(tensors, files).into_iter().enumerate() {
        let name = if files == 1 {
            "model.safetensors".to_owned()
        } else {
            format!("model-{:05}-of-{files:05}.safetensors", position + 1)
        };
        weight_map.extend(part.iter().map(|t| (t.name.clone(), name.clone())));
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let views = part.into_iter().map(|t| (t.name.clone(), t));
        let path = folder.join(&name);
        safetensors::serialize_to_file(views, Some(metadata), &path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if files > 1 {
        let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
        write_json(&folder.join("model.safetensors.index.json"), &index)?;
    }
    Ok(total)
}

fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Consecutive runs of about equal bytes, as transformers shards.
fn split(tensors: Vec<Tensor>, files: usize) -> Vec<Vec<Tensor>> {
    let total: usize = tensors.iter().map(Tensor::bytes).sum();
    let mut parts: Vec<Vec<Tensor>> = (0..files).map(|_| Vec::new()).collect();
    let mut before = 0;
    for tensor in tensors {
        let middle = before + tensor.bytes() / 2;
        before += tensor.bytes();
        parts[(middle * files / total.max(1)).min(files - 1)].push(tensor);
    }
    parts
}
