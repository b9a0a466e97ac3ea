//! Every field of every stored config, damaged in every way in turn: an error or a plan, never a panic.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "stored facts are known to be whole")]

mod corpus;

use serde_json::{Value, json};
use shardfit::engines::{Deployment, ENGINES, Settings};
use shardfit::hardware::{Fleet, FleetSpec, resolve};
use shardfit::model::Model;
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::profiles::models::built_in_models;

/// What a field may hold instead of what it should.
fn damages() -> Vec<Value> {
    vec![
        Value::Null,
        json!(0),
        json!(-1),
        json!(1),
        json!(7),
        json!(1.5),
        json!(u64::MAX),
        json!(1u64 << 27),
        json!("x"),
        json!([]),
        json!([1, "x", null]),
        json!({}),
        json!(true),
    ]
}

fn fleet() -> Fleet {
    let spec: FleetSpec = "8xH100".parse().unwrap();
    resolve(&spec, &GpuCatalogue::built_in()).unwrap()
}

/// Reads and plans; what comes back does not matter, that something does.
fn survive(config: &Value, fleet: &Fleet) {
    let Ok(model) = Model::from_config(config, None) else { return };
    let _ = (model.parameters(), model.checkpoint_bytes());
    {
        let settings = Settings { tensor_parallel: Some(2), ..Settings::default() };
        for engine in ENGINES {
            let deployment = Deployment { model: &model, settings: &settings, fleet, version: engine.newest() };
            let _ = engine.plan(&deployment);
        }
    }
}

#[test]
fn damaged_fields_never_panic() {
    let fleet = fleet();
    let damages = damages();
    // One model of each architecture: the others differ in sizes alone.
    let mut seen = Vec::new();
    for profile in built_in_models() {
        let config: Value = serde_json::from_str(profile.config).unwrap();
        let architecture = config["architectures"][0].clone();
        if seen.contains(&architecture) {
            continue;
        }
        seen.push(architecture);
        survive(&config, &fleet);
        // Each field takes a fourth of the damages, another fourth from field to field and model to model: all meet all kinds of field.
        for (turn, path) in paths(&config).into_iter().enumerate() {
            for damage in damages.iter().skip((turn + seen.len()) % 4).step_by(4) {
                let mut damaged = config.clone();
                if let Some(place) = damaged.pointer_mut(&path) {
                    *place = damage.clone();
                }
                survive(&damaged, &fleet);
            }
        }
    }
    assert!(seen.len() >= 40, "only {} architectures are stored", seen.len());
}

/// The same by reading alone for the architectures that are stored beside the tests: fields take a third of the damages in turn.
#[test]
fn stored_architectures_survive_damages_by_reading() {
    let stored = std::fs::read_dir(corpus::data().join("configs")).unwrap();
    let mut files: Vec<_> = stored.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let damages = damages();
    let (mut seen, mut read) = (Vec::new(), 0);
    for file in files {
        let config: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let architecture = config["architectures"][0].clone();
        if seen.contains(&architecture) {
            continue;
        }
        seen.push(architecture);
        for (turn, path) in paths(&config).into_iter().enumerate() {
            for damage in damages.iter().skip((turn + seen.len()) % 3).step_by(3) {
                let mut damaged = config.clone();
                if let Some(place) = damaged.pointer_mut(&path) {
                    *place = damage.clone();
                }
                if let Ok(model) = Model::from_config(&damaged, None) {
                    read += u64::from(model.parameters() > 0);
                    let _ = (model.checkpoint_bytes(), model.own_draft());
                }
            }
        }
    }
    assert!(seen.len() >= 45, "only {} architectures are stored", seen.len());
    assert!(read > 1_000, "only {read} damaged configs were read");
}

/// Every stored architecture has a plan, or a refusal, on one card and on four, in every engine.
#[test]
fn stored_architectures_have_a_plan_or_a_refusal() {
    let fleet = fleet();
    for entry in std::fs::read_dir(corpus::data().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        let config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let Ok(model) = Model::from_config(&config, None) else { continue };
        for engine in ENGINES {
            for ranks in [1, 4] {
                let settings = Settings { tensor_parallel: Some(ranks), ..Settings::default() };
                let deployment =
                    Deployment { model: &model, settings: &settings, fleet: &fleet, version: engine.newest() };
                if let Ok(plan) = engine.plan(&deployment) {
                    let weights = plan.ranks.first().map_or(0, |rank| rank.tensors.constructed.0);
                    assert!(weights > 0, "{}: no weights on {ranks} ranks", path.display());
                }
            }
        }
    }
}

/// Pointers to all fields down to the second level.
fn paths(config: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in config.as_object().unwrap() {
        found.push(format!("/{name}"));
        if let Some(inner) = value.as_object() {
            found.extend(inner.keys().map(|key| format!("/{name}/{key}")));
        }
    }
    found
}
