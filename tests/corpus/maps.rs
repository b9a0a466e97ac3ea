//! Rows of `oracle/device_maps*.jsonl` against the placement rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shardfit::engines::Version;
use shardfit::engines::transformers::module_tree;
use shardfit::model::Model;
use shardfit::sharding::{Caps, RankTensor, balance, device_shares, place};
use shardfit::units::Bytes;

/// Where a map of ours differs from a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compared {
    /// Devices whose cap differs: name, ours, theirs.
    pub caps: Vec<(String, u64, f64)>,
    /// Layers and modules elsewhere: name, ours, theirs.
    pub modules: Vec<(String, String, String)>,
    /// Devices whose bytes differ: name, ours, theirs.
    pub bytes: Vec<(String, u64, f64)>,
}

impl Compared {
    /// Equal in every layer, module and byte.
    pub fn exact(&self) -> bool {
        *self == Self::default()
    }
}

/// The version that a file of rows was computed for.
pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// Compares a row.
pub fn compare(model: &Model, row: &Value, version: Version) -> Compared {
    let text = |key: &str| row[key].as_str().unwrap();
    let (tensors, tree, planner) = module_tree(model, text("dtype").parse().unwrap(), version).unwrap();
    let given = row["max_memory"].as_object().unwrap();
    let caps = given.iter().filter(|(name, _)| *name != "disk");
    let caps = Caps::new(caps.map(|(name, bytes)| (name.parse().unwrap(), Bytes(bytes.as_u64().unwrap()))));
    let balanced = balance(&tree, &caps, true, text("mode").parse().unwrap(), planner).unwrap();
    let placed = place(&tree, &balanced, planner);

    let mut compared = Compared::default();
    for (name, theirs) in row["max_memory_used"].as_object().unwrap() {
        let (ours, theirs) = (balanced.bytes(name.parse().unwrap()).unwrap(), theirs.as_f64().unwrap());
        if ours.0 as f64 != theirs.floor() {
            compared.caps.push((name.clone(), ours.0, theirs));
        }
    }
    let mut check = |path: String, theirs: &Value| {
        let theirs = theirs.as_str().map_or_else(|| theirs.to_string(), str::to_owned);
        // A module whose parts were placed one by one is where they all are; one without tensors is of no interest.
        let below = format!("{path}.");
        let parts: BTreeSet<String> =
            placed.map.entries().filter(|(p, _)| p.starts_with(&below)).map(|(_, d)| d.to_string()).collect();
        let ours = match (placed.map.device_of(&path), parts.len()) {
            (Some(device), _) => device.to_string(),
            (None, 0) => return,
            (None, _) => parts.into_iter().collect::<Vec<_>>().join("+"),
        };
        if ours != theirs {
            compared.modules.push((path, ours, theirs));
        }
    };
    for (path, device) in row["map"]["modules"].as_object().unwrap() {
        if path.is_empty() {
            // One device for all.
            for entry in placed.map.entries() {
                check(entry.0.to_owned(), device);
            }
        } else {
            check(path.clone(), device);
        }
    }
    for (list, ranges) in row["map"]["layers"].as_object().unwrap() {
        for range in ranges.as_array().unwrap() {
            for layer in range[0].as_u64().unwrap()..=range[1].as_u64().unwrap() {
                check(format!("{list}.{layer}"), &range[2]);
            }
        }
    }
    // What lies on each device, not what the planner counts.
    let (shares, uncovered) = device_shares(&tensors, &placed.map);
    assert!(uncovered.is_empty(), "{uncovered:?}");
    let sum = |tensors: &[RankTensor]| tensors.iter().map(RankTensor::bytes).sum::<Bytes>();
    let mut ours: BTreeMap<String, Bytes> = shares.iter().map(|(d, t)| (d.to_string(), sum(t))).collect();
    for (name, theirs) in row["bytes_per_device"].as_object().unwrap() {
        let (ours, theirs) = (ours.remove(name).unwrap_or_default(), theirs.as_f64().unwrap());
        if ours.0 as f64 != theirs.ceil() {
            compared.bytes.push((name.clone(), ours.0, theirs));
        }
    }
    compared.bytes.extend(ours.into_iter().map(|(name, bytes)| (name, bytes.0, 0.0)));
    compared
}
