//! AWQ, GPTQ and AutoRound: 2- to 8-bit integers in 32-bit words.

use serde_json::Value;

use super::{Draft, Grouped, Names, Rule, bits, check_bits, group_size};
use crate::model::config::{ConfigError, Fields};

/// AutoAWQ. Modules are left out by any part of their name (vLLM 0.11.2 `awq_marlin.py`, `is_layer_skipped_awq`).
pub(super) fn awq(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let grouped = Grouped {
        bits: bits(quant, &["bits", "w_bit"], &[2, 3, 4, 8])?,
        group_size: group_size(quant, &["group_size", "q_group_size"])?,
        act_order: false,
        symmetric: !quant.bool_or("zero_point", true)?,
    };
    let head = quant.bool_or("lm_head", false)?;
    let kept = quant.strings("modules_to_not_convert")?;
    let mut rules = Vec::new();
    let towers = !kept.is_empty();
    if towers {
        rules.push(Rule::plain(Names::substrings(kept)));
    }
    // The layout has zero points whether they are used or not.
    let scheme = grouped.scheme("awq")?;
    Ok(Draft { schemes: vec![scheme], rules, linear: Some(0), head: head.then_some(0), towers, ..Draft::default() })
}

/// AutoGPTQ and GPTQModel, with the latter's rules by module name (vLLM 0.11.2 `utils/gptq_utils.py`).
pub(super) fn gptq(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let base = Grouped {
        bits: bits(quant, &["bits"], &[2, 3, 4, 8])?,
        group_size: group_size(quant, &["group_size"])?,
        act_order: quant.bool_or("desc_act", false)?,
        symmetric: quant.bool_or("sym", true)?,
    }
    .ordered();
    let mut draft = Draft { schemes: vec![base.scheme("gptq")?], linear: Some(0), ..Draft::default() };
    if quant.bool_or("lm_head", false)? {
        draft.head = Some(0);
    } else {
        // Rules by name cannot quantise a head that is not said to be.
        draft.rules.push(Rule::plain(Names::components(["lm_head"])));
    }
    if let Some(chosen) = modules_in_block(quant)? {
        draft.rules.push(Rule { names: Names::components(chosen), others: true, scheme: None });
    }
    if let Some(value) = quant.get("dynamic") {
        dynamic(value, base, &mut draft)?;
    }
    Ok(draft)
}

/// Names of `modules_in_block_to_quantize`: a list, or a list of lists. Other modules of a block are left alone; the head is not in a block.
fn modules_in_block<'a>(quant: &Fields<'a>) -> Result<Option<Vec<&'a str>>, ConfigError> {
    const FIELD: &str = "modules_in_block_to_quantize";
    let Some(value) = quant.get(FIELD) else { return Ok(None) };
    let flat: Option<Vec<&Value>> = value.as_array().map(|list| {
        list.iter().flat_map(|v| v.as_array().map_or_else(|| vec![v], |inner| inner.iter().collect())).collect()
    });
    let mut names: Vec<&str> = flat
        .and_then(|list| list.into_iter().map(Value::as_str).collect())
        .ok_or_else(|| wrong(FIELD, value, "a list of module names"))?;
    if names.is_empty() {
        return Ok(None);
    }
    names.push("lm_head");
    Ok(Some(names))
}

/// GPTQModel's `dynamic`: `-:pattern` leaves modules alone, `pattern` or `+:pattern` gives them other numbers. The first match decides.
fn dynamic(value: &Value, base: Grouped, draft: &mut Draft) -> Result<(), ConfigError> {
    const FIELD: &str = "quantization_config.dynamic";
    let entries = value.as_object().ok_or_else(|| wrong("dynamic", value, "an object of pattern to settings"))?;
    for (pattern, settings) in entries {
        if let Some(pattern) = pattern.strip_prefix("-:") {
            draft.rules.push(Rule::plain(Names::pattern(pattern, FIELD)?));
            continue;
        }
        let names = Names::pattern(pattern.strip_prefix("+:").unwrap_or(pattern), FIELD)?;
        let own = Fields::new(settings).map_err(|_| wrong("dynamic", settings, "an object of settings"))?;
        let grouped = Grouped {
            bits: match own.optional_u64(&["bits"])? {
                Some(bits) => check_bits(bits, &[2, 3, 4, 8], format!("{FIELD}.bits"))?,
                None => base.bits,
            },
            group_size: if own.get("group_size").is_some() {
                group_size(&own, &["group_size"])?
            } else {
                base.group_size
            },
            act_order: own.bool_or("desc_act", base.act_order)?,
            symmetric: own.bool_or("sym", base.symmetric)?,
        };
        draft.schemes.push(grouped.ordered().scheme("gptq")?);
        draft.rules.push(Rule::scheme(names, draft.schemes.len() - 1));
    }
    Ok(())
}

/// AutoRound, stored as AutoGPTQ or AutoAWQ store theirs; settings for single modules in `extra_config`
/// (vLLM 0.11.2 `auto_round.py`, `get_layer_config`).
pub(super) fn auto_round(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    const FIELD: &str = "quantization_config.extra_config";
    let packing = quant.optional_str("packing_format")?.unwrap_or("auto_round:auto_gptq");
    let id = if packing.contains("awq") { "awq" } else { "gptq" };
    let base = Grouped {
        bits: bits(quant, &["bits"], &[2, 3, 4, 8])?,
        group_size: group_size(quant, &["group_size"])?,
        act_order: false,
        symmetric: quant.bool_or("sym", true)?,
    };
    let mut draft = Draft { schemes: vec![base.scheme(id)?], linear: Some(0), ..Draft::default() };
    if let Some(value) = quant.get("extra_config") {
        let entries =
            value.as_object().ok_or_else(|| wrong("extra_config", value, "an object of module to settings"))?;
        let is_pattern = |name: &str| name.contains(['*', '+', '?', '^', '$', '(', ')', '[', ']', '{', '}', '|', '\\']);
        // Names before patterns.
        for (name, settings) in
            entries.iter().filter(|(n, _)| !is_pattern(n)).chain(entries.iter().filter(|(n, _)| is_pattern(n)))
        {
            let own = Fields::new(settings).map_err(|_| wrong("extra_config", settings, "an object of settings"))?;
            let names = if is_pattern(name) { Names::search(name, FIELD)? } else { Names::exact([name.as_str()]) };
            let bits = own.optional_u64(&["bits"])?.unwrap_or(base.bits);
            if bits >= 16 {
                draft.rules.push(Rule::plain(names));
                continue;
            }
            let grouped = Grouped {
                bits: check_bits(bits, &[2, 3, 4, 8], format!("{FIELD}.bits"))?,
                group_size: if own.get("group_size").is_some() {
                    group_size(&own, &["group_size"])?
                } else {
                    base.group_size
                },
                symmetric: own.bool_or("sym", base.symmetric)?,
                ..base
            };
            draft.schemes.push(grouped.scheme(id)?);
            draft.rules.push(Rule::scheme(names, draft.schemes.len() - 1));
        }
    }
    if let Some(blocks) = quant.get("block_name_to_quantize").or_else(|| quant.get("to_quant_block_names")) {
        let mut names: Vec<&str> = Vec::new();
        collect_texts(blocks, &mut names);
        let names: Vec<&str> =
            names.iter().flat_map(|n| n.split(',')).map(str::trim).filter(|n| !n.is_empty()).collect();
        if !names.is_empty() {
            draft.rules.push(Rule { names: Names::components(names), others: true, scheme: None });
        }
    }
    Ok(draft)
}

/// All texts of nested lists; AutoRound writes one name, names with commas, lists and lists of lists.
fn collect_texts<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(list) => list.iter().for_each(|v| collect_texts(v, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

fn wrong(field: &str, value: &Value, expected: &'static str) -> ConfigError {
    let found = value.to_string().chars().take(60).collect();
    ConfigError::Wrong { field: format!("quantization_config.{field}"), found, expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shapes(draft: &Draft, scheme: usize, input: u64, output: u64) -> Vec<(String, Vec<u64>)> {
        let format = &draft.schemes[scheme].format;
        format.in_files().map(|t| (t.name.clone(), t.shape(input, output))).collect()
    }

    fn named(names: &[(&str, Vec<u64>)]) -> Vec<(String, Vec<u64>)> {
        names.iter().map(|(n, s)| ((*n).to_owned(), s.clone())).collect()
    }

    #[test]
    fn awq_shapes() {
        let q = awq(&Fields::new(&json!({"bits": 4, "group_size": 128, "zero_point": true})).unwrap()).unwrap();
        let expected = [("qweight", vec![8192, 3712]), ("qzeros", vec![64, 3712]), ("scales", vec![64, 29696])];
        assert_eq!(shapes(&q, 0, 8192, 29696), named(&expected));
        assert!(!q.schemes[0].symmetric && !q.schemes[0].act_order && q.head.is_none());
    }

    #[test]
    fn gptq_shapes_at_all_widths() {
        let shape_of = |config: Value| shapes(&gptq(&Fields::new(&config).unwrap()).unwrap(), 0, 4096, 512);
        let shape = |words, group_words, groups| {
            named(&[
                ("qweight", vec![words, 512]),
                ("g_idx", vec![4096]),
                ("scales", vec![groups, 512]),
                ("qzeros", vec![groups, group_words]),
            ])
        };
        assert_eq!(shape_of(json!({"bits": 8, "group_size": -1, "desc_act": true})), shape(1024, 128, 1));
        assert_eq!(shape_of(json!({"bits": 4, "group_size": 128})), shape(512, 64, 32));
        assert_eq!(shape_of(json!({"bits": 3, "group_size": 128})), shape(384, 48, 32));
        assert_eq!(shape_of(json!({"bits": 2, "group_size": 64})), shape(256, 32, 64));
    }

    #[test]
    fn gptq_rules_by_name() {
        let q = gptq(
            &Fields::new(&json!({"bits": 4, "group_size": 128, "lm_head": true, "dynamic": {
                "-:.*\\.o_proj": {}, "+:.*layers\\.1\\..*": {"bits": 8, "group_size": 64}}}))
            .unwrap(),
        )
        .unwrap();
        assert_eq!(q.head, Some(0));
        assert_eq!(q.rules.len(), 2);
        assert!(q.rules[0].scheme.is_none() && q.rules[0].names.matches("model.layers.0.self_attn.o_proj"));
        let second = q.rules[1].scheme.unwrap();
        assert_eq!((q.schemes[second].bits, q.schemes[second].group_size), (8, Some(64)));
    }

    #[test]
    fn auto_round_reads_settings_of_single_modules() {
        let q = auto_round(
            &Fields::new(&json!({"bits": 4, "group_size": 128, "sym": true, "packing_format": "auto_round:auto_awq",
                "extra_config": {".*down.*": {"bits": 8}, "model.layers.0.mlp.up_proj": {"bits": 16}},
                "block_name_to_quantize": "model.layers,model.visual"}))
            .unwrap(),
        )
        .unwrap();
        assert_eq!(q.schemes[0].format.in_files().count(), 3);
        assert!(q.rules[0].scheme.is_none() && q.rules[0].names.matches("model.layers.0.mlp.up_proj"));
        assert_eq!(q.rules[1].scheme, Some(1));
        assert!(q.rules[2].others && q.rules[2].names.matches("model.layers.3.mlp.up_proj"));
    }
}
