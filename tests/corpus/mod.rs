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

/// A config by its model's Hub id: built in, or stored beside the tests.
pub fn config(id: &str) -> Option<Value> {
    if let Ok(profile) = built_in_model(id) {
        return serde_json::from_str(profile.config).ok();
    }
    let path = data().join("configs").join(format!("{}.json", id.replace('/', "--")));
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// A model by its Hub id: built in, or stored beside the tests.
pub fn model(id: &str) -> Option<Result<Model, ConfigError>> {
    let (config, quantization) = files(id)?;
    Some(Model::from_config(&config, quantization.as_ref()).map(|m| m.named(id)))
}

/// The same model as if its checkpoint were not quantised.
pub fn unquantised(id: &str) -> Option<Result<Model, ConfigError>> {
    let (mut config, _) = files(id)?;
    let remove = |fields: &mut Value| {
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|name, _| name != "quantization_config" && name != "compression_config");
        }
    };
    remove(&mut config);
    if let Some(fields) = config.as_object_mut() {
        fields.iter_mut().for_each(|(_, nested)| remove(nested));
    }
    Some(Model::from_config(&config, None).map(|m| m.named(id)))
}

/// `config.json` and, where there is one, `hf_quant_config.json`.
fn files(id: &str) -> Option<(Value, Option<Value>)> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    if let Ok(profile) = built_in_model(id) {
        return Some((parse(profile.config), profile.quantization.map(parse)));
    }
    let stem = id.replace('/', "--");
    let text = std::fs::read_to_string(data().join("configs").join(format!("{stem}.json"))).ok()?;
    let quantization = std::fs::read_to_string(data().join("configs").join(format!("{stem}.hf_quant_config.json")));
    Some((parse(&text), quantization.ok().map(|text| parse(&text))))
}
