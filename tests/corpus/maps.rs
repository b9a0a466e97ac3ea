//! Rows of `oracle/device_maps*.jsonl` against the placement rules.

use std::collections::BTreeMap;

use serde_json::Value;
use shardfit::engines::Version;
use shardfit::engines::transformers::module_tree;
use shardfit::model::Model;
use shardfit::sharding::{Caps, RankTensor, balance, device_shares, place};
use shardfit::units::{Bytes, DType};

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
    // A module whose parts are all on one device is there, whether or not the map names it as a whole.
    let joint = |path: &str| {
        let inside = format!("{path}.");
        let mut parts = placed.map.entries().filter(|entry| entry.0.starts_with(&inside)).map(|entry| entry.1);
        let first = parts.next()?;
        parts.all(|part| part == first).then_some(first)
    };
    let device =
        |path: &str| placed.map.device_of(path).or_else(|| joint(path)).map_or("none".to_owned(), |d| d.to_string());
    let mut check = |path: String, theirs: &Value| {
        let theirs = theirs.as_str().map_or_else(|| theirs.to_string(), str::to_owned);
        let ours = device(&path);
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
    // What lies on each device, not what the planner counts; the rows count truth values as bits.
    let (shares, uncovered) = device_shares(&tensors, &placed.map);
    assert!(uncovered.is_empty(), "{uncovered:?}");
    let size = |t: &RankTensor| if t.dtype == DType::BOOL { t.bytes().0 / 8 } else { t.bytes().0 };
    let sum = |tensors: &[RankTensor]| Bytes(tensors.iter().map(size).sum());
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
