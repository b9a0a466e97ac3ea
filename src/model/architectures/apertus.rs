//! Apertus: a feed-forward layer without a gate, whose activation has two trained and two fixed numbers a layer.

use super::super::{IndexSet, Instances, Kind, Part, Role};
use super::Family;
use super::blocks::{DenseOptions, dense_decoder};
use super::decoder::module;

/// Apertus 8B and 70B.
pub const APERTUS: Family = Family {
    architectures: &["ApertusForCausalLM"],
    model_types: &["apertus"],
    build: |fields| {
        let text = fields.text();
        let bias = text.bool_or("attention_bias", false)?;
        let options = DenseOptions {
            qkv_bias: bias,
            output_bias: bias,
            mlp_bias: text.bool_or("mlp_bias", false)?,
            head_norm: true,
            ungated: true,
            norms: Some(&["attention_layernorm", "feedforward_layernorm"]),
            ..DenseOptions::default()
        };
        let mut model = dense_decoder(fields, options)?;
        let numbers = [("alpha_p", "alpha_n", vec![1], Role::Activation), ("beta", "eps", vec![], Role::Constant)];
        let activation = numbers.map(|(first, second, shape, role)| {
            let tensors = Kind::Tensors(vec![(first.to_owned(), shape.clone()), (second.to_owned(), shape)]);
            let at = Instances::Layers(IndexSet::range(0..model.layers));
            module("model.layers.{}.mlp.act_fn", at, Part::Mlp, role, tensors)
        });
        let after = model.modules.iter().position(|m| m.role == Role::Down).map_or(0, |at| at + 1);
        model.modules.splice(after..after, activation);
        Ok(model)
    },
};
