//! The facts under `tests/data/` are whole: each row names a model that can be read, and the lists add up to their totals.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads files and stops at the first fault"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shardfit::profiles::models::built_in_model;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn rows(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{file}: {e}: {line}"))).collect()
}

fn json_files(name: &str) -> Vec<(String, Value)> {
    let mut files: Vec<_> = std::fs::read_dir(folder(name)).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            (stem, serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect()
}

fn has_configuration(id: &str) -> bool {
    built_in_model(id).is_ok() || folder("configs").join(format!("{}.json", id.replace('/', "--"))).exists()
}

/// How many indices a range such as `0-1,3,5` names.
fn indices(range: &str) -> u64 {
    range
        .split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            last.parse::<u64>().unwrap() - first.parse::<u64>().unwrap() + 1
        })
        .sum()
}

fn element_bytes(dtype: &str) -> u64 {
    match dtype {
        "bfloat16" | "float16" => 2,
        "float32" => 4,
        "int64" => 8,
        "bool" => 1,
        other => panic!("dtype {other}"),
    }
}

#[test]
fn parameter_lists_add_up() {
    let models = json_files("params");
    assert!(models.len() >= 180);
    for (stem, model) in models {
        let (mut elements, mut bytes) = (0, 0);
        for tensor in model["tensors"].as_array().unwrap() {
            let name = tensor[0].as_str().unwrap();
            let ranges = tensor[1].as_array().unwrap();
            assert_eq!(name.matches("{}").count(), ranges.len(), "{stem}: {name}");
            let copies: u64 = ranges.iter().map(|r| indices(r.as_str().unwrap())).product();
            let shape: u64 = tensor[2].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
            elements += copies * shape;
            bytes += copies * shape * element_bytes(tensor[3].as_str().unwrap());
        }
        assert_eq!(Some(elements), model["params_total"].as_u64(), "{stem}");
        assert_eq!(Some(bytes), model["bytes_total"].as_u64(), "{stem}");
        assert!(has_configuration(model["id"].as_str().unwrap()), "{stem}");
    }
}

#[test]
fn oracle_rows_name_models_that_can_be_read() {
    for file in ["vllm_shards", "vllm_kv", "vllm_alloc_sim", "vllm_shard_refusals", "device_maps", "device_maps_v5"] {
        let rows = rows(&format!("oracle/{file}.jsonl"));
        assert!(rows.len() > 100, "{file}");
        let models: BTreeSet<&str> = rows.iter().map(|row| row["model"].as_str().unwrap()).collect();
        for model in models {
            assert!(has_configuration(model), "{file}: no configuration of {model}");
        }
    }
}

#[test]
fn shard_groups_are_parts_of_their_total() {
    for row in rows("oracle/vllm_shards.jsonl") {
        let sum: u64 = row["groups"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(Some(sum), row["bytes_total"].as_u64(), "{row}");
        if let Some(after) = row["groups_after"].as_object() {
            let sum: u64 = after.values().map(|n| n.as_u64().unwrap()).sum();
            assert_eq!(Some(sum), row["bytes_after_processing"].as_u64(), "{row}");
        }
    }
}

#[test]
fn measurements_name_their_page() {
    for file in ["runs/vllm.jsonl", "runs/others.jsonl"] {
        for row in rows(file) {
            assert!(row["source"].as_str().is_some_and(|s| s.starts_with("https://")), "{file}: {}", row["id"]);
            assert!(row["measured"].is_object(), "{file}: {}", row["id"]);
        }
    }
}

#[test]
fn stored_configurations_are_no_copies_of_built_in_ones() {
    for (stem, config) in json_files("configs") {
        assert!(config["architectures"][0].is_string() && config["_source"].is_string(), "{stem}");
        assert!(built_in_model(&stem.replacen("--", "/", 1)).is_err(), "{stem} is built in too");
    }
}
