//! MXFP4, TorchAO and HQQ.

use serde_json::Value;

use super::{Draft, Grouped, Names, Rule, check_bits, group_size, missing, ungrouped};
use crate::model::config::{ConfigError, Fields};

/// `mxfp4`: the experts of gpt-oss; everything else is left alone.
pub(super) fn mxfp4(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let rules = vec![Rule::plain(Names::wildcards(quant.strings("modules_to_not_convert")?))];
    let schemes = vec![ungrouped("mxfp4", 4, Vec::new())?];
    Ok(Draft { schemes, rules, linear: Some(0), experts_only: true, stacked: true, ..Draft::default() })
}

/// `torchao`: the type of the configuration, wherever the version of the file keeps it, says what was done.
pub(super) fn torchao(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let value = quant.get("quant_type").ok_or_else(|| missing(quant, "quantization_config.quant_type"))?;
    let kind = kind(value).ok_or_else(|| missing(quant, "quantization_config.quant_type"))?;
    let lower = kind.to_ascii_lowercase().replace('_', "");
    let scheme = if lower.contains("int4") {
        let group = number(value, "group_size").unwrap_or(128).max(1);
        Grouped { bits: 4, group_size: Some(group), act_order: false, symmetric: false }.scheme("torchao-int4")?
    } else if lower.contains("int8") {
        ungrouped("torchao-int8", 8, Vec::new())?
    } else if lower.contains("float8") {
        let id =
            if lower.contains("perrow") || value.to_string().contains("PerRow") { "fp8-row" } else { "fp8-tensor" };
        ungrouped(id, 8, Vec::new())?
    } else {
        return Err(ConfigError::UnknownQuantization(format!("torchao {kind}")));
    };
    let kept = quant.strings("modules_to_not_convert")?;
    Ok(Draft {
        schemes: vec![scheme],
        rules: vec![Rule::plain(Names::components(kept))],
        linear: Some(0),
        assumptions: vec![
            "sizes of TorchAO's tensors are those its documentation gives; its files name them otherwise".to_owned(),
        ],
        ..Draft::default()
    })
}

/// `int4_weight_only`, or `{"default": {"_type": "Int4WeightOnlyConfig", …}}`.
fn kind(value: &Value) -> Option<&str> {
    match value {
        Value::String(name) => Some(name),
        Value::Object(map) => map.get("_type").and_then(Value::as_str).or_else(|| map.get("default").and_then(kind)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// A number somewhere in nested objects, at most a few deep.
fn number(value: &Value, name: &str) -> Option<u64> {
    let map = value.as_object()?;
    map.get(name)
        .and_then(Value::as_u64)
        .or_else(|| ["default", "_data"].iter().find_map(|inner| map.get(*inner).and_then(|v| number(v, name))))
}

/// `hqq`: bits and group in `quant_config.weight_quant_params`.
pub(super) fn hqq(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let weights = quant
        .nested("quant_config")
        .and_then(|c| c.nested("weight_quant_params"))
        .ok_or_else(|| missing(quant, "quantization_config.quant_config.weight_quant_params"))?;
    let bits = weights
        .optional_u64(&["nbits"])?
        .ok_or_else(|| missing(quant, "quantization_config.quant_config.weight_quant_params.nbits"))?;
    let bits =
        check_bits(bits, &[2, 3, 4, 8], "quantization_config.quant_config.weight_quant_params.nbits".to_owned())?;
    let group_size = group_size(&weights, &["group_size"])?.or(Some(64));
    let scheme = Grouped { bits, group_size, act_order: false, symmetric: false }.scheme("hqq")?;
    let kept = quant.strings("skip_modules")?;
    Ok(Draft {
        schemes: vec![scheme],
        rules: vec![Rule::plain(Names::components(kept))],
        linear: Some(0),
        ..Draft::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn torchao_names_its_kind_in_two_ways() {
        for config in [
            json!({"quant_type": "int4_weight_only"}),
            json!({"quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 64}}}}),
        ] {
            assert_eq!(torchao(&Fields::new(&config).unwrap()).unwrap().schemes[0].bits, 4);
        }
        let odd = json!({"quant_type": "uint1"});
        assert!(matches!(torchao(&Fields::new(&odd).unwrap()), Err(ConfigError::UnknownQuantization(_))));
    }

    #[test]
    fn hqq_packs_bytes() {
        let config = json!({"quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}});
        let draft = hqq(&Fields::new(&config).unwrap()).unwrap();
        let shapes: Vec<_> = draft.schemes[0].format.tensors.iter().map(|t| t.shape(1024, 64)).collect();
        assert_eq!(shapes, [vec![32768], vec![1024, 1], vec![1024, 1]]);
    }
}
