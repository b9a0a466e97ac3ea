//! NVIDIA ModelOpt: one algorithm for all matrices, or one a module.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{CacheScheme, Draft, Names, Rule, compressed, group_size, missing, ungrouped};
use crate::model::config::{ConfigError, Fields};
use crate::model::storage::quantization::Scheme;
use crate::model::storage::resolve::Units;
use crate::profiles::Condition;
use crate::units::DType;

/// Reads `hf_quant_config.json` (everything below `quantization`) or the same in a config's own words (`ignore`).
///
/// Left out are names with wildcards; older files give parts of names (vLLM 0.25.1 `modelopt.py`, `is_layer_excluded`).
pub(super) fn modelopt(config: &Fields<'_>) -> Result<Draft, ConfigError> {
    let quant = config.nested("quantization").unwrap_or(*config);
    let algorithm = quant
        .optional_str("quant_algo")?
        .ok_or_else(|| missing(&quant, "quantization_config.quant_algo"))?
        .to_ascii_uppercase();
    let group = group_size(&quant, &["group_size"])?;
    let mut kept = quant.strings("exclude_modules")?;
    kept.extend(quant.strings("ignore")?);
    let mut draft = Draft { cache: cache(&quant)?, towers: true, ..Draft::default() };
    if kept.is_empty() {
        draft
            .assumptions
            .push("the checkpoint lists no module that ModelOpt left alone; its head is taken to be one".to_owned());
        kept.push("lm_head");
    }
    // The towers' names in older files differ from their modules'.
    kept.extend(["vision_tower", "vision_model"]);
    draft.rules.push(Rule::plain(Names::wildcards(kept)));
    if algorithm == "MIXED_PRECISION" {
        "modelopt_mixed".clone_into(&mut draft.method);
        mixed(&quant, group, &mut draft)?;
    } else {
        let four_bit = algorithm.contains("NVFP4");
        if four_bit { "modelopt_fp4" } else { "modelopt" }.clone_into(&mut draft.method);
        draft.schemes.push(scheme(&algorithm, group)?);
        draft.linear = Some(0);
        draft.head = Some(0);
    }
    Ok(draft)
}

/// `quantized_layers`: module → algorithm; what is not named is left alone.
fn mixed(quant: &Fields<'_>, group: Option<u64>, draft: &mut Draft) -> Result<(), ConfigError> {
    let layers = quant
        .get("quantized_layers")
        .and_then(Value::as_object)
        .ok_or_else(|| missing(quant, "quantization_config.quantized_layers"))?;
    let mut by_algorithm: BTreeMap<(String, Option<u64>), Vec<&str>> = BTreeMap::new();
    for (name, settings) in layers {
        let own = Fields::new(settings).map_err(|_| ConfigError::Wrong {
            field: format!("quantization_config.quantized_layers.{name}"),
            found: settings.to_string().chars().take(60).collect(),
            expected: "an object with `quant_algo`",
        })?;
        let algorithm = own
            .optional_str("quant_algo")?
            .ok_or_else(|| missing(quant, "quantization_config.quantized_layers.quant_algo"))?
            .to_ascii_uppercase();
        let group = group_size(&own, &["group_size"])?.or(group);
        by_algorithm.entry((algorithm, group)).or_default().push(name);
    }
    let mut most_first: Vec<_> = by_algorithm.into_iter().collect();
    most_first.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    for ((algorithm, group), names) in most_first {
        draft.schemes.push(scheme(&algorithm, group)?);
        draft.rules.push(Rule::scheme(Names::exact(names), draft.schemes.len() - 1));
    }
    Ok(())
}

fn scheme(algorithm: &str, group: Option<u64>) -> Result<Scheme, ConfigError> {
    match algorithm {
        "FP8" => ungrouped("fp8-tensor", 8, vec![Condition::StaticInput]),
        "FP8_PER_CHANNEL_PER_TOKEN" => ungrouped("fp8-row", 8, Vec::new()),
        "FP8_PB_WO" => ungrouped("modelopt-fp8-block", 8, Vec::new()),
        "MXFP8" => ungrouped("mxfp8", 8, Vec::new()),
        "NVFP4" | "W4A16_NVFP4" | "NVFP4_AWQ" => {
            let group = group.unwrap_or(16);
            let units = Units { bits: 4, group: Some(group), ..Units::default() };
            let format = units.format("modelopt-nvfp4")?;
            Ok(Scheme { bits: 4, group_size: Some(group), act_order: false, symmetric: true, format })
        }
        other => Err(ConfigError::UnknownQuantization(format!("modelopt {other}"))),
    }
}

fn cache(quant: &Fields<'_>) -> Result<CacheScheme, ConfigError> {
    let named = quant.optional_str("kv_cache_quant_algo")?.is_some_and(|a| a.eq_ignore_ascii_case("FP8"));
    let stated = compressed::cache(quant);
    Ok(CacheScheme { dtype: stated.dtype.or(named.then_some(DType::F8_E4M3)), per_head: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(config: Value) -> Draft {
        modelopt(&Fields::new(&config).unwrap()).unwrap()
    }

    #[test]
    fn its_own_file_and_a_config_say_the_same() {
        let own = read(json!({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4",
            "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": ["lm_head", "model.layers.0*"]}}));
        let config =
            read(json!({"quant_algo": "NVFP4", "quant_method": "modelopt", "ignore": ["lm_head", "model.layers.0*"],
            "kv_cache_scheme": {"dynamic": false, "num_bits": 8, "type": "float"}}));
        for draft in [own, config] {
            assert_eq!(draft.method, "modelopt_fp4");
            assert_eq!(draft.cache.dtype, Some(DType::F8_E4M3));
            assert!(draft.rules[0].names.matches("lm_head"));
            assert!(draft.rules[0].names.matches("model.layers.0.mlp.up_proj"));
            assert!(!draft.rules[0].names.matches("model.layers.10.mlp.up_proj"));
            let shapes: Vec<_> = draft.schemes[0].format.tensors.iter().map(|t| t.shape(4096, 512)).collect();
            assert_eq!(shapes, [vec![512, 2048], vec![1], vec![1], vec![512, 256]]);
        }
    }

    #[test]
    fn mixed_precision_names_each_module() {
        let draft = read(json!({"quant_algo": "MIXED_PRECISION", "ignore": ["lm_head"], "quantized_layers": {
            "model.layers.0.mlp.up_proj": {"quant_algo": "NVFP4", "group_size": 16},
            "model.layers.1.mlp.up_proj": {"quant_algo": "NVFP4", "group_size": 16},
            "model.layers.0.self_attn.o_proj": {"quant_algo": "FP8"}}}));
        assert_eq!((draft.method.as_str(), draft.schemes[0].bits, draft.schemes[1].bits), ("modelopt_mixed", 4, 8));
        assert!(draft.rules[2].names.matches("model.layers.0.self_attn.o_proj") && draft.linear.is_none());
    }

    #[test]
    fn an_unknown_algorithm_is_named() {
        let error = modelopt(&Fields::new(&json!({"quant_algo": "W3A1"})).unwrap()).unwrap_err();
        assert_eq!(error, ConfigError::UnknownQuantization("modelopt W3A1".to_owned()));
    }
}
