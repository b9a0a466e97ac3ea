//! Quantisation configs, one file a family of methods.

mod bitsandbytes;
mod compressed;
mod float8;
mod integer;
mod modelopt;
mod others;

use serde_json::Value;

use super::names::Names;
use super::quantization::{CacheScheme, Scheme};
use super::resolve::Units;
use crate::model::config::{ConfigError, Fields};
use crate::profiles::Condition;

/// What a config says, before it is applied to modules.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub method: String,
    /// The most common one first.
    pub schemes: Vec<Scheme>,
    /// The first that matches a module's name decides.
    pub rules: Vec<Rule>,
    /// Scheme of matrices that no rule is about.
    pub linear: Option<usize>,
    /// Scheme of a head that no rule is about.
    pub head: Option<usize>,
    /// Whether matrices outside the language model are treated like those in it.
    pub towers: bool,
    /// Whether the config states it for the language model alone, so that names begin below its prefix.
    pub nested: bool,
    pub cache: CacheScheme,
    pub asymmetric_input: bool,
    pub at_load: bool,
    /// Whether routed experts alone are meant.
    pub experts_only: bool,
    /// Whether experts that are stored in one tensor are so when quantised, too.
    pub stacked: bool,
    pub assumptions: Vec<String>,
}

/// A line of a config about some modules.
#[derive(Debug)]
pub(super) struct Rule {
    pub names: Names,
    /// Whether it is about all modules but those.
    pub others: bool,
    /// What they are stored by; `None` leaves them as they are.
    pub scheme: Option<usize>,
}

impl Rule {
    fn plain(names: Names) -> Self {
        Self { names, others: false, scheme: None }
    }

    fn scheme(names: Names, scheme: usize) -> Self {
        Self { names, others: false, scheme: Some(scheme) }
    }
}

type Reader = fn(&Fields<'_>) -> Result<Draft, ConfigError>;

/// Methods by the names that configs and flags give them.
const READERS: &[(&[&str], Reader)] = &[
    (&["awq", "awq_marlin", "auto_awq"], integer::awq),
    (&["gptq", "gptq_marlin"], integer::gptq),
    (&["auto-round", "auto_round", "intel/auto-round"], integer::auto_round),
    (&["fp8"], float8::fp8),
    (&["fbgemm_fp8"], float8::fbgemm),
    (&["compressed-tensors", "compressed_tensors"], compressed::compressed_tensors),
    (&["modelopt", "modelopt_fp4", "modelopt_fp8", "modelopt_mixed", "nvfp4"], modelopt::modelopt),
    (&["bitsandbytes"], bitsandbytes::bitsandbytes),
    (&["mxfp4"], others::mxfp4),
    (&["torchao"], others::torchao),
    (&["hqq"], others::hqq),
];

/// The quantisation of a checkpoint, if it has one.
pub(super) fn read(fields: &Fields<'_>, companion: Option<&Value>) -> Result<Option<Draft>, ConfigError> {
    // Multimodal configs keep it on either level.
    let text = fields.text();
    let find = |name: &str| fields.get(name).or_else(|| text.get(name));
    let nested = ["quantization_config", "compression_config"].iter().all(|name| fields.get(name).is_none());
    let Some(value) = find("quantization_config").or_else(|| find("compression_config")).or(companion) else {
        return Ok(None);
    };
    let quant = Fields::new(value).map_err(|_| ConfigError::Wrong {
        field: "quantization_config".to_owned(),
        found: value.to_string().chars().take(60).collect(),
        expected: "an object",
    })?;
    let method = match quant.optional_str("quant_method")? {
        Some(method) => method.to_ascii_lowercase(),
        // ModelOpt's own file names no method, but who wrote it (vLLM 0.11.2 `config/model.py`, `_parse_quant_hf_config`).
        None if written_by_modelopt(&quant) => "modelopt".to_owned(),
        // Engines take a checkpoint for plain when its config does not name the method.
        None => return Ok(None),
    };
    let (names, reader) = READERS
        .iter()
        .find(|(names, _)| names.contains(&method.as_str()))
        .ok_or_else(|| ConfigError::UnknownQuantization(method.clone()))?;
    // DeepSeek V4 says outside the quantisation how its experts are stored.
    let mut draft = match text.optional_str("expert_dtype")? {
        Some(experts) if names.contains(&"fp8") => float8::with_experts(&quant, experts)?,
        _ => reader(&quant)?,
    };
    if nested && companion.is_none() {
        (draft.towers, draft.nested) = (false, true);
    }
    if draft.method.is_empty() {
        draft.method = names.first().map_or(method, |name| (*name).to_owned());
    }
    Ok(Some(draft))
}

fn written_by_modelopt(quant: &Fields<'_>) -> bool {
    let producer = quant.get("producer").and_then(|p| p.get("name")).and_then(Value::as_str);
    producer == Some("modelopt") && quant.get("quantization").is_some()
}

/// What an engine does to plain matrices while it loads them.
pub(super) fn while_loading(method: &str) -> Result<Draft, ConfigError> {
    match method.to_ascii_lowercase().as_str() {
        "fp8" => float8::while_loading(),
        "bitsandbytes" => bitsandbytes::while_loading(),
        _ => Err(ConfigError::UnknownQuantization(method.to_owned())),
    }
}

/// Numbers that integer methods share, and their checks.
#[derive(Debug, Clone, Copy)]
struct Grouped {
    bits: u64,
    group_size: Option<u64>,
    act_order: bool,
    symmetric: bool,
}

impl Grouped {
    /// In a single group, the order of rows does not matter (vLLM 0.11.2 `gptq_marlin.py`, `GPTQMarlinConfig.__init__`).
    fn ordered(self) -> Self {
        Self { act_order: self.act_order && self.group_size.is_some(), ..self }
    }

    /// The scheme of a format file. Act-order and a single group keep all groups on every rank.
    fn scheme(self, id: &str) -> Result<Scheme, ConfigError> {
        let Self { bits, group_size, act_order, symmetric } = self;
        let mut conditions = Vec::new();
        if !symmetric {
            conditions.push(Condition::ZeroPoints);
        }
        if act_order {
            conditions.push(Condition::ActOrder);
        }
        let units = Units { bits, group: group_size, uncut_groups: act_order, block: None, conditions };
        Ok(Scheme { bits, group_size, act_order, symmetric, format: units.format(id)? })
    }
}

/// A scheme whose scales need no group.
fn ungrouped(id: &str, bits: u64, conditions: Vec<Condition>) -> Result<Scheme, ConfigError> {
    let units = Units { bits, conditions, ..Units::default() };
    Ok(Scheme { bits, group_size: None, act_order: false, symmetric: true, format: units.format(id)? })
}

/// A scheme with a scale a block of outputs × inputs.
fn blocked(id: &str, block: [u64; 2]) -> Result<Scheme, ConfigError> {
    let units = Units { bits: 8, block: Some(block), ..Units::default() };
    let format = units.format(id)?;
    Ok(Scheme { bits: 8, group_size: Some(block[1]), act_order: false, symmetric: true, format })
}

/// Bits of a weight, one of those that a method knows.
fn bits(quant: &Fields<'_>, names: &[&str], known: &[u64]) -> Result<u64, ConfigError> {
    let field = || format!("quantization_config.{}", names.first().copied().unwrap_or("bits"));
    let bits = quant.optional_u64(names)?.ok_or_else(|| missing(quant, &field()))?;
    check_bits(bits, known, field())
}

fn check_bits(bits: u64, known: &[u64], field: String) -> Result<u64, ConfigError> {
    if known.contains(&bits) {
        return Ok(bits);
    }
    let expected = if known.contains(&2) { "2, 3, 4 or 8" } else { "4 or 8" };
    Err(ConfigError::Wrong { field, found: bits.to_string(), expected })
}

/// Inputs that share a scale; -1 is all of them.
fn group_size(quant: &Fields<'_>, names: &[&str]) -> Result<Option<u64>, ConfigError> {
    if names.iter().find_map(|name| quant.get(name)).and_then(Value::as_i64) == Some(-1) {
        return Ok(None);
    }
    match quant.optional_u64(names)? {
        Some(0) => Err(ConfigError::Wrong {
            field: "quantization_config.group_size".to_owned(),
            found: "0".to_owned(),
            expected: "a positive number, or -1 for one group",
        }),
        other => Ok(other),
    }
}

/// Two positive numbers: outputs and inputs of a block.
fn block(quant: &Fields<'_>, name: &str) -> Result<Option<[u64; 2]>, ConfigError> {
    let Some(value) = quant.get(name) else { return Ok(None) };
    let sizes: Option<Vec<u64>> = value
        .as_array()
        .and_then(|list| list.iter().map(|n| n.as_u64().filter(|n| (1..=1 << 20).contains(n))).collect());
    match sizes.as_deref() {
        Some(&[n, k]) => Ok(Some([n, k])),
        _ => Err(ConfigError::Wrong {
            field: format!("quantization_config.{name}"),
            found: value.to_string().chars().take(60).collect(),
            expected: "two positive numbers",
        }),
    }
}

fn missing(quant: &Fields<'_>, field: &str) -> ConfigError {
    let method = quant.get("quant_method").and_then(Value::as_str).unwrap_or("quantised");
    ConfigError::Missing { model: method.to_owned(), field: field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::quant_profiles;
    use serde_json::json;

    fn draft(config: Value) -> Result<Option<Draft>, ConfigError> {
        read(&Fields::new(&json!({ "quantization_config": config })).unwrap(), None)
    }

    #[test]
    fn every_format_belongs_to_a_method_that_is_read() {
        let known: Vec<&str> = READERS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        for profile in quant_profiles() {
            for method in &profile.methods {
                assert!(known.contains(&method.as_str()), "{}: {method}", profile.id);
            }
        }
        let mut unique = known.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), known.len());
    }

    #[test]
    fn what_cannot_be_sized_is_refused() {
        assert!(matches!(draft(json!({"quant_method": "magic", "bits": 4})), Err(ConfigError::UnknownQuantization(_))));
        for lacking in [json!({"quant_method": "awq"}), json!({"quant_method": "gptq"})] {
            assert!(matches!(draft(lacking.clone()), Err(ConfigError::Missing { .. })), "{lacking}");
        }
        for wrong in [
            json!({"quant_method": "awq", "bits": 5}),
            json!({"quant_method": "awq", "bits": 4, "group_size": 0}),
            json!({"quant_method": "gptq", "bits": "4"}),
            json!({"quant_method": "fp8", "weight_block_size": [128]}),
            json!({"quant_method": "fp8", "weight_block_size": [0, 128]}),
            json!(7),
        ] {
            assert!(matches!(draft(wrong.clone()), Err(ConfigError::Wrong { .. })), "{wrong}");
        }
        // ModelOpt's file counts when it says who wrote it.
        let own = |producer: &str| json!({"producer": {"name": producer}, "quantization": {"quant_algo": "FP8"}});
        assert!(draft(own("modelopt")).unwrap().is_some() && draft(own("someone")).unwrap().is_none());
        assert!(draft(Value::Null).unwrap().is_none() && draft(json!({"bits": 4})).unwrap().is_none());
    }
}
