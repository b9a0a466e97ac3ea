//! The stored facts that tests and the accuracy tables compare with.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, dead_code, reason = "test data is read from files")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use shardfit::model::{ConfigError, Model};
use shardfit::profiles::models::built_in_model;

/// `tests/data`.
pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Rows of a JSON Lines file below `tests/data`.
pub fn rows(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(data().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Parameter lists, one a model.
pub fn parameter_lists() -> Vec<Value> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(data().join("params")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    files.iter().filter(|path| path.extension().is_some_and(|e| e == "json")).map(read).collect()
}

/// A config and, where it is kept apart, the quantisation, by Hub id: built in, or stored beside the tests.
pub fn config(id: &str) -> Option<(Value, Option<Value>)> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    if let Ok(profile) = built_in_model(id) {
        return Some((parse(profile.config), profile.quantization.map(parse)));
    }
    let stem = id.replace('/', "--");
    let text = std::fs::read_to_string(data().join("configs").join(format!("{stem}.json"))).ok()?;
    let quantization = std::fs::read_to_string(data().join("configs").join(format!("{stem}.hf_quant_config.json")));
    Some((parse(&text), quantization.ok().map(|text| parse(&text))))
}

/// A model by its Hub id.
pub fn model(id: &str) -> Option<Result<Model, ConfigError>> {
    let (config, quantization) = config(id)?;
    Some(Model::from_config(&config, quantization.as_ref()).map(|m| m.named(id)))
}

/// What Qwen's names end in, and the quantisation that such a checkpoint has.
const SIBLINGS: [(&str, &str); 4] = [
    ("", "null"),
    ("-AWQ", r#"{"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true}"#),
    ("-GPTQ-Int4", r#"{"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "sym": true}"#),
    ("-GPTQ-Int8", r#"{"quant_method": "gptq", "bits": 8, "group_size": 128, "desc_act": false, "sym": true}"#),
];

/// A model by its Hub id, else by a stored sibling that differs in its quantisation alone.
pub fn model_or_sibling(id: &str) -> Option<Result<Model, ConfigError>> {
    if let Some(found) = model(id) {
        return Some(found);
    }
    let (base, quantization) = SIBLINGS.iter().rev().find_map(|(end, q)| Some((id.strip_suffix(end)?, q)))?;
    let (mut config, _) = SIBLINGS.iter().find_map(|(end, _)| config(&format!("{base}{end}")))?;
    config["quantization_config"] = serde_json::from_str(quantization).unwrap();
    // GPTQ and AWQ checkpoints pad narrow feed-forward layers; the stored siblings that are read here are wide enough.
    Some(Model::from_config(&config, None).map(|m| m.named(id)))
}

/// The model of a published run: a stored one, what `runs/models.jsonl` says of it, or a sibling of either that differs in its quantisation.
pub fn published_model(id: &str) -> Option<Result<Model, ConfigError>> {
    if let Some((config, quantization)) = described(id) {
        return Some(Model::from_config(&config, quantization.as_ref()).map(|m| m.named(id)));
    }
    if let Some(found) = model_or_sibling(id) {
        return Some(found);
    }
    const FP8: (&str, &str) = (
        "-FP8",
        r#"{"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}"#,
    );
    let endings = SIBLINGS.iter().skip(1).chain([&FP8]);
    let (base, quantization) = endings.into_iter().find_map(|(end, q)| Some((id.strip_suffix(end)?, q)))?;
    let (mut config, _) = described(base).or_else(|| config(base))?;
    config["quantization_config"] = serde_json::from_str(quantization).unwrap();
    Some(Model::from_config(&config, None).map(|m| m.named(id)))
}

/// A config as `runs/models.jsonl` describes it: a stored one with changes.
fn described(id: &str) -> Option<(Value, Option<Value>)> {
    let entry = rows("runs/models.jsonl").into_iter().find(|entry| entry["id"].as_str() == Some(id))?;
    let (mut config, quantization) = config(entry["like"].as_str()?)?;
    for (place, changes) in [("", &entry["set"]), ("text_config", &entry["text"])] {
        let part = if place.is_empty() { &mut config } else { &mut config[place] };
        for (field, value) in changes.as_object().into_iter().flatten() {
            part[field] = value.clone();
        }
    }
    match entry.get("quantization_config") {
        Some(own) => {
            config["quantization_config"] = own.clone();
            Some((config, None))
        }
        None => Some((config, quantization)),
    }
}
