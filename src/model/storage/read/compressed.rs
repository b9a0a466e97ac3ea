//! compressed-tensors (llm-compressor): groups of modules, each with a scheme of its own.

use serde_json::Value;

use super::{CacheScheme, Draft, Grouped, Names, Rule, block, blocked, check_bits, group_size, missing, ungrouped};
use crate::model::config::{ConfigError, Fields};
use crate::model::storage::quantization::Scheme;
use crate::model::storage::resolve::Units;
use crate::profiles::Condition;
use crate::units::DType;

const IGNORE: &str = "quantization_config.ignore";
const TARGETS: &str = "quantization_config.config_groups.targets";

/// Targets are module names, expressions over them, or classes; `Linear` is every matrix (vLLM 0.11.2
/// `compressed_tensors/utils.py`, `find_matched_target`).
pub(super) fn compressed_tensors(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let format = quant.optional_str("format")?;
    let mut draft = Draft { towers: true, ..Draft::default() };
    draft.rules.push(Rule::plain(Names::exact_or_pattern(quant.strings("ignore")?, IGNORE)?));
    let groups = quant
        .get("config_groups")
        .and_then(Value::as_object)
        .ok_or_else(|| missing(quant, "quantization_config.config_groups"))?;
    for (name, value) in groups {
        let group = Fields::new(value).map_err(|_| ConfigError::Wrong {
            field: format!("quantization_config.config_groups.{name}"),
            found: value.to_string().chars().take(60).collect(),
            expected: "an object",
        })?;
        let format = group.optional_str("format")?.or(format);
        draft.schemes.push(scheme(&group, name, format)?);
        draft.asymmetric_input |=
            input(&group).is_some_and(|i| i.get("symmetric").and_then(Value::as_bool) == Some(false));
        let index = draft.schemes.len() - 1;
        let (classes, names): (Vec<_>, Vec<_>) = group.strings("targets")?.into_iter().partition(|t| is_class(t));
        if !names.is_empty() {
            draft.rules.push(Rule::scheme(Names::exact_or_pattern(names, TARGETS)?, index));
        }
        if !classes.is_empty() && draft.linear.is_none() {
            draft.linear = Some(index);
            draft.head = Some(index);
        }
    }
    draft.cache = cache(quant);
    Ok(draft)
}

/// Whether a target is a module class rather than a name; both classes that hold matrices mean all of them.
fn is_class(target: &str) -> bool {
    matches!(target, "Linear" | "FusedMoE" | "LinearBase")
}

fn input<'a>(group: &Fields<'a>) -> Option<&'a Value> {
    group.get("input_activations").filter(|v| v.is_object())
}

/// What a group's numbers mean, as vLLM 0.11.2 reads them (`compressed_tensors.py`, `_get_scheme_from_parts`).
fn scheme(group: &Fields<'_>, name: &str, format: Option<&str>) -> Result<Scheme, ConfigError> {
    let field = |part: &str| format!("quantization_config.config_groups.{name}.weights.{part}");
    let weights = group.nested("weights").ok_or_else(|| missing(group, &format!("config_groups.{name}.weights")))?;
    let bits = weights.optional_u64(&["num_bits"])?.ok_or_else(|| missing(group, &field("num_bits")))?;
    let float = weights.optional_str("type")?.unwrap_or("int") == "float";
    let strategy = match weights.optional_str("strategy")? {
        Some(strategy) => strategy,
        None if weights.get("group_size").is_some() => "group",
        None => "tensor",
    };
    let symmetric = weights.bool_or("symmetric", true)?;
    // `dynamic` is true, false, or `local` for scales of scales that are fixed.
    let fixed_input = input(group).is_some_and(|i| i.get("dynamic").and_then(Value::as_bool) != Some(true));
    let conditions = if fixed_input { vec![Condition::StaticInput] } else { Vec::new() };
    let unknown = || ConfigError::UnknownQuantization(format!("compressed-tensors {bits}-bit {strategy}"));
    match (float, bits) {
        (true, 4) => {
            let group = group_size(&weights, &["group_size"])?.unwrap_or(16);
            let units = Units { bits, group: Some(group), conditions, ..Units::default() };
            let format = units.format("compressed-nvfp4")?;
            Ok(Scheme { bits, group_size: Some(group), act_order: false, symmetric, format })
        }
        (true, 8) => match strategy {
            "block" => blocked("fp8-block-scale", block(&weights, "block_structure")?.unwrap_or([128, 128])),
            "channel" => ungrouped("fp8-channel", bits, conditions),
            "tensor" => ungrouped("fp8-tensor", bits, conditions),
            _ => Err(unknown()),
        },
        (false, 8) if format != Some("pack-quantized") => match strategy {
            "channel" => ungrouped("compressed-int8-channel", bits, conditions),
            "tensor" => ungrouped("compressed-int8-tensor", bits, conditions),
            _ => Err(unknown()),
        },
        (false, _) => {
            let group_size = match strategy {
                "channel" => None,
                _ => group_size(&weights, &["group_size"])?,
            };
            let act_order = weights.get("actorder").and_then(Value::as_str).is_some_and(|o| o == "group");
            let bits = check_bits(bits, &[2, 3, 4, 8], field("num_bits"))?;
            Grouped { bits, group_size, act_order, symmetric }.scheme("compressed-pack")
        }
        (true, _) => Err(unknown()),
    }
}

/// `kv_cache_scheme`: an object; ModelOpt's configs of this form have a name there.
pub(super) fn cache(quant: &Fields<'_>) -> CacheScheme {
    let scheme = quant.get("kv_cache_scheme");
    let field = |name: &str| scheme.and_then(|s| s.get(name));
    let float8 = scheme.is_some_and(|s| s.as_str().is_some_and(|s| s.eq_ignore_ascii_case("fp8")))
        || (field("type").and_then(Value::as_str) == Some("float")
            && field("num_bits").and_then(Value::as_u64) == Some(8));
    CacheScheme {
        dtype: float8.then_some(DType::F8_E4M3),
        per_head: field("strategy").and_then(Value::as_str) == Some("attn_head"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tensors(weights: Value, input: Value, format: &str) -> Result<Vec<(String, Vec<u64>)>, ConfigError> {
        let config = json!({"format": format, "ignore": ["lm_head"], "config_groups": {"group_0": {
            "targets": ["Linear"], "weights": weights, "input_activations": input}}});
        let draft = compressed_tensors(&Fields::new(&config).unwrap())?;
        assert_eq!((draft.linear, draft.head), (Some(0), Some(0)));
        Ok(draft.schemes[0].format.in_files().map(|t| (t.name.clone(), t.shape(4096, 1024))).collect())
    }

    fn named(names: &[(&str, Vec<u64>)]) -> Vec<(String, Vec<u64>)> {
        names.iter().map(|(n, s)| ((*n).to_owned(), s.clone())).collect()
    }

    #[test]
    fn each_scheme_has_its_tensors() {
        let w4a16 = json!({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": false});
        assert_eq!(
            tensors(w4a16, Value::Null, "pack-quantized").unwrap(),
            named(&[
                ("weight_packed", vec![1024, 512]),
                ("weight_scale", vec![1024, 32]),
                ("weight_shape", vec![2]),
                ("weight_zero_point", vec![128, 32]),
            ])
        );
        let w8a8 = json!({"num_bits": 8, "type": "int", "strategy": "channel"});
        let dynamic = json!({"num_bits": 8, "type": "int", "strategy": "token", "dynamic": true});
        assert_eq!(
            tensors(w8a8, dynamic, "int-quantized").unwrap(),
            named(&[("weight", vec![1024, 4096]), ("weight_scale", vec![1024, 1])])
        );
        let fp8 = json!({"num_bits": 8, "type": "float", "strategy": "tensor"});
        let fixed = json!({"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": false});
        assert_eq!(
            tensors(fp8, fixed, "float-quantized").unwrap(),
            named(&[("weight", vec![1024, 4096]), ("weight_scale", vec![1]), ("input_scale", vec![1])])
        );
        let blocks = json!({"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128]});
        assert_eq!(
            tensors(blocks, Value::Null, "float-quantized").unwrap()[1],
            ("weight_scale".to_owned(), vec![8, 32])
        );
        let nvfp4 = json!({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16});
        let local = json!({"num_bits": 4, "type": "float", "dynamic": "local", "group_size": 16});
        assert_eq!(
            tensors(nvfp4, local, "nvfp4-pack-quantized").unwrap(),
            named(&[
                ("weight_packed", vec![1024, 2048]),
                ("weight_global_scale", vec![1]),
                ("weight_scale", vec![1024, 256]),
                ("input_global_scale", vec![1]),
            ])
        );
        let odd = json!({"num_bits": 6, "type": "float", "strategy": "tensor"});
        assert!(matches!(tensors(odd, Value::Null, "dense"), Err(ConfigError::UnknownQuantization(_))));
    }

    #[test]
    fn groups_name_their_modules() {
        let config = json!({"format": "mixed-precision", "ignore": ["re:.*lm_head"], "config_groups": {
            "a": {"targets": ["re:.*down_proj"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}},
            "b": {"targets": ["Linear"], "format": "pack-quantized",
                  "weights": {"num_bits": 4, "type": "int", "strategy": "channel"}}}});
        let draft = compressed_tensors(&Fields::new(&config).unwrap()).unwrap();
        assert_eq!(draft.linear, Some(1));
        assert!(draft.rules[1].names.matches("model.layers.0.mlp.down_proj"));
        assert_eq!(draft.rules[1].scheme, Some(0));
        assert_eq!(draft.schemes[1].group_size, None);
    }
}
