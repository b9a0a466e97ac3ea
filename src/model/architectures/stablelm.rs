//! StableLM 2 and 3B: norms with biases, a quarter of each head rotated; the 12B norms each head by weights of its own.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Kind, Model, Part, Role};
use super::Family;
use super::blocks::{DenseOptions, dense_decoder};
use super::decoder::{WEIGHT, WEIGHT_AND_BIAS, module};
use super::routed::expert_count;

/// StableLM.
pub const STABLELM: Family = Family {
    architectures: &["StableLmForCausalLM", "StableLMEpochForCausalLM"],
    model_types: &["stablelm", "stablelm_epoch"],
    build: stablelm,
};

fn stablelm(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let text = fields.text();
    // Attention and feed-forward side by side share one norm.
    let parallel = text.bool_or("use_parallel_residual", false)?;
    let options = DenseOptions {
        qkv_bias: text.bool_or("use_qkv_bias", false)?,
        norm: Some(WEIGHT_AND_BIAS),
        norms: parallel.then_some(&["input_layernorm"]),
        rotated: Some(0.25),
        ..DenseOptions::default()
    };
    let mut model = dense_decoder(fields, options)?;
    if text.bool_or("qk_layernorm", false)? {
        let layers = || super::super::IndexSet::range(0..model.layers);
        let kind = || Kind::Vectors { width: model.head_width, names: WEIGHT };
        let norm = |name: &str, heads| {
            let at = Instances::Experts { layers: layers(), experts: expert_count(heads)? };
            let path = format!("model.layers.{{}}.self_attn.{name}.norms.{{}}");
            Ok(module(path, at, Part::Attention, Role::QueryKeyNorm, kind()))
        };
        let norms = [norm("q_layernorm", model.attention_heads)?, norm("k_layernorm", model.kv_heads)?];
        let after = model.modules.iter().position(|m| m.role == Role::AttentionOutput).map_or(0, |at| at + 1);
        model.modules.splice(after..after, norms);
    }
    Ok(model)
}
