//! The tensors of a Qwen2 checkpoint, in the order of its modules.

use std::borrow::Cow;

use safetensors::{Dtype, View};

use super::values::{self, Kind};
use super::{AWQ_GROUP, Format, Model};

/// A tensor whose values are made when they are written, so that a checkpoint larger than memory can be.
pub struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub kind: Kind,
}

impl Tensor {
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(values::fill(&self.name, self.kind, self.bytes()))
    }

    fn data_len(&self) -> usize {
        self.bytes()
    }
}

/// All tensors of a model.
pub fn of(model: &Model, format: Format) -> Vec<Tensor> {
    let mut list = List { format, tensors: Vec::new() };
    let Model { hidden, intermediate, vocabulary, .. } = *model;
    let kv = hidden / model.heads * model.kv_heads;
    list.dense("model.embed_tokens.weight", &[vocabulary, hidden]);
    for layer in 0..model.layers {
        let module = |name: &str| format!("model.layers.{layer}.{name}");
        list.norm(&module("input_layernorm.weight"), hidden);
        for (projection, outputs) in [("q_proj", hidden), ("k_proj", kv), ("v_proj", kv)] {
            list.linear(&module(&format!("self_attn.{projection}")), hidden, outputs);
            list.dense(&module(&format!("self_attn.{projection}.bias")), &[outputs]);
        }
        list.linear(&module("self_attn.o_proj"), hidden, hidden);
        list.norm(&module("post_attention_layernorm.weight"), hidden);
        list.linear(&module("mlp.gate_proj"), hidden, intermediate);
        list.linear(&module("mlp.up_proj"), hidden, intermediate);
        list.linear(&module("mlp.down_proj"), intermediate, hidden);
    }
    list.norm("model.norm.weight", hidden);
    list.dense("lm_head.weight", &[vocabulary, hidden]);
    list.tensors
}

struct List {
    format: Format,
    tensors: Vec<Tensor>,
}

impl List {
    fn push(&mut self, name: &str, dtype: Dtype, shape: &[usize], kind: Kind) {
        self.tensors.push(Tensor { name: name.to_owned(), dtype, shape: shape.to_vec(), kind });
    }

    /// What quantisation leaves alone.
    fn dense(&mut self, name: &str, shape: &[usize]) {
        match self.format {
            Format::Bf16 => self.push(name, Dtype::BF16, shape, Kind::Bf16),
            Format::Awq => self.push(name, Dtype::F16, shape, Kind::F16),
        }
    }

    fn norm(&mut self, name: &str, size: usize) {
        match self.format {
            Format::Bf16 => self.push(name, Dtype::BF16, &[size], Kind::Bf16NearOne),
            Format::Awq => self.push(name, Dtype::F16, &[size], Kind::F16NearOne),
        }
    }

    /// A linear layer. AWQ packs eight outputs into one `int32` and stores inputs first (`WQLinear_GEMM` of AutoAWQ).
    fn linear(&mut self, module: &str, inputs: usize, outputs: usize) {
        match self.format {
            Format::Bf16 => self.dense(&format!("{module}.weight"), &[outputs, inputs]),
            Format::Awq => {
                let groups = inputs / AWQ_GROUP;
                self.push(&format!("{module}.qweight"), Dtype::I32, &[inputs, outputs / 8], Kind::Packed);
                self.push(&format!("{module}.qzeros"), Dtype::I32, &[groups, outputs / 8], Kind::Packed);
                self.push(&format!("{module}.scales"), Dtype::F16, &[groups, outputs], Kind::Scale);
            }
        }
    }
}
