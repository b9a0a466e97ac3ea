//! Any bytes, taken as a `model.safetensors.index.json`: `cargo +nightly fuzz run weight_index`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::{Component, Path};

fuzz_target!(|json: &[u8]| {
    if let Ok(index) = shardfit::sources::WeightIndex::parse(json) {
        for file in &index.files {
            assert!(Path::new(file).components().all(|part| matches!(part, Component::Normal(_))), "{file}");
        }
    }
});
