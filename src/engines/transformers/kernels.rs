//! What quantisation adds and takes: weights quantised as they arrive, and the scratch that kernels keep.

use super::options::{BitsAndBytes, Options};
use super::tensors::is_quantized;
use crate::engines::{Change, Version};
use crate::model::{Kind, Model, Part};
use crate::sharding::RankTensor;
use crate::units::{Basis, ByteDelta, Bytes, Estimate, Formula, ceil_div};

/// Resident bytes of a matrix under bitsandbytes. Scales are float32: one a row, or one every 64 weights, which double quantisation stores as
/// bytes with a float32 every 256 of them.
fn quantized_bytes(kind: BitsAndBytes, rows: u64, columns: u64) -> u64 {
    let weights = rows.saturating_mul(columns);
    let blocks = ceil_div(weights, 64);
    match kind {
        BitsAndBytes::Int8 => weights.saturating_add(rows.saturating_mul(4)),
        BitsAndBytes::Nf4 { double: false } => ceil_div(weights, 2).saturating_add(blocks.saturating_mul(4)),
        BitsAndBytes::Nf4 { double: true } => {
            ceil_div(weights, 2).saturating_add(blocks).saturating_add(ceil_div(blocks, 256).saturating_mul(4))
        }
    }
}

/// What quantisation while loading changes, by part.
pub(super) fn changes(tensors: &[RankTensor], model: &Model, options: &Options, version: Version) -> Vec<Change> {
    let Some(kind) = options.on_the_fly else { return untied_head(tensors, model, version).into_iter().collect() };
    let delta = |part: Part| -> i128 {
        let own = tensors.iter().filter(|t| t.part == part && is_quantized(t, model));
        own.map(|t| {
            let [rows, columns] = t.shape[..] else { return 0 };
            let after = i128::from(quantized_bytes(kind, rows, columns));
            (after - i128::from(t.bytes_each().0)) * i128::from(t.copies.saturating_mul(t.place.count()))
        })
        .sum()
    };
    Part::ALL
        .into_iter()
        .map(|part| Change { what: "quantised by bitsandbytes while loading", part, bytes: ByteDelta(delta(part)) })
        .filter(|change| change.bytes.0 != 0)
        .collect()
}

/// Version 4 leaves the head of a tied model in block FP8 a tensor of its own: published peaks of Qwen3 0.6B, 1.7B and 4B in FP8 on 4.51 lie
/// above weights and cache by it, to 1 %, at every length.
fn untied_head(tensors: &[RankTensor], model: &Model, version: Version) -> Option<Change> {
    let fp8 = model.quantization.as_ref().is_some_and(|q| q.method == "fp8");
    if version.major >= 5 || !fp8 || !model.tied_embeddings {
        return None;
    }
    let embedding = tensors.iter().filter(|t| t.part == Part::Embedding).map(RankTensor::bytes_each).max()?;
    let bytes = ByteDelta(i128::from(embedding.0));
    Some(Change { what: "head that FP8 leaves untied", part: Part::LmHead, bytes })
}

/// Scratch that kernels keep or use on a card with these tensors, with its reason.
pub(super) fn scratch(tensors: &[RankTensor], model: &Model, options: &Options) -> Option<(&'static str, Estimate)> {
    if options.on_the_fly.is_some() {
        let widest = tensors.iter().filter(|t| is_quantized(t, model)).map(RankTensor::bytes_each).max()?;
        let rule = "largest matrix in the compute type";
        let estimate = Estimate::between(Bytes::ZERO, widest, widest, Basis::Derived, Formula::plain(rule));
        return Some(("a matrix dequantised for large batches", estimate));
    }
    let quantization = model.quantization.as_ref()?;
    let on_card =
        |path: &str| tensors.iter().any(|t| t.name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
    let sizes: Vec<(u64, u64)> = model
        .modules
        .iter()
        .filter(|m| quantization.scheme(m).is_some() && on_card(&m.path))
        .filter_map(|m| match &m.kind {
            Kind::Linear { input, output, .. } => Some((*input, output.iter().map(|s| s.rows).sum())),
            _ => None,
        })
        .collect();
    let dequantized = sizes.iter().map(|(k, n)| k.saturating_mul(*n).saturating_mul(2)).max()?;
    match (quantization.method.as_str(), quantization.bits) {
        ("gptq", 4) => {
            // AutoGPTQ `exllama_set_max_input_length` and `qlinear_exllamav2.scratch_space_fixed`; GPTQConfig's default is version 1.
            let second = |(k, n): &(u64, u64)| {
                let product = k.saturating_mul(*n).saturating_mul(2);
                product.saturating_add(n.saturating_mul(4 * 2048 * 8)).saturating_add(256)
            };
            let v2 = Bytes(sizes.iter().map(second).max()?);
            let v1 = Bytes(dequantized);
            let estimate = match options.exllama {
                Some(2) => Estimate::exact(v2, Basis::Derived, Formula::plain("max(2·K·N + 4·N·2048·8 + 256)")),
                Some(1) => Estimate::exact(v1, Basis::Derived, Formula::plain("max(2·K·N)")),
                _ => {
                    let rule = "ExLlama 1: max(2·K·N); at most ExLlama 2: max(2·K·N + 4·N·2048·8)";
                    Estimate::between(Bytes::ZERO, v1, v2, Basis::Profile, Formula::plain(rule))
                }
            };
            Some(("scratch of the GPTQ kernels", estimate))
        }
        // Published peaks of AWQ show none of it, those of 8-bit GPTQ mostly do.
        ("gptq" | "awq", bits) => {
            let rule = "largest matrix in half precision";
            let expected = if bits == 8 { Bytes(dequantized) } else { Bytes::ZERO };
            let estimate =
                Estimate::between(Bytes::ZERO, expected, Bytes(dequantized), Basis::Profile, Formula::plain(rule));
            Some(("a matrix dequantised for long prompts", estimate))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::engines::{Component, ContextLength, Deployment, EnginePlan, Settings, engine};
    use crate::hardware::{Card, Fleet, FleetSource};
    use crate::model::Model;
    use crate::profiles::gpus::GpuCatalogue;
    use crate::profiles::models::built_in_model;
    use crate::units::Bytes;

    fn plan(quantization: &serde_json::Value, version: &str) -> EnginePlan {
        let mut config: serde_json::Value =
            serde_json::from_str(built_in_model("Qwen/Qwen3-4B").unwrap().config).unwrap();
        config["quantization_config"] = quantization.clone();
        let model = Model::from_config(&config, None).unwrap();
        let card = Card::of_profile(&GpuCatalogue::built_in().select("H100").unwrap());
        let fleet = Fleet { cards: vec![card], source: FleetSource::Given };
        let settings = Settings {
            dtype: Some("auto".to_owned()),
            max_model_len: ContextLength::Tokens(2048),
            ..Settings::default()
        };
        let deployment =
            Deployment { model: &model, settings: &settings, fleet: &fleet, version: version.parse().unwrap() };
        engine("transformers").unwrap().plan(&deployment).unwrap()
    }

    /// The embedding of Qwen3-4B in bfloat16.
    const EMBEDDING: Bytes = Bytes(151_936 * 2560 * 2);

    #[test]
    fn block_fp8_leaves_the_head_untied_in_version_4() {
        let fp8 = json!({"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]});
        let weights = |version: &str| plan(&fp8, version).ranks[0].expected(Component::Weights);
        // Version 5 keeps a second rotary table of some hundred bytes.
        let apart = weights("4.51.3").0.abs_diff((weights("5.23.0") + EMBEDDING).0);
        assert!(apart < 1024, "{apart}");
    }

    #[test]
    fn awq_loads_the_head_before_it_ties_it() {
        let awq = json!({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true});
        let top = |version: &str| plan(&awq, version).ranks[0].load_peak.expected;
        assert_eq!(top("4.46.0"), top("4.51.3") + EMBEDDING);
    }
}
