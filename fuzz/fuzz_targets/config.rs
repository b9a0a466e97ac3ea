//! Any bytes, taken as a `config.json`: `cargo +nightly fuzz run config`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(config) = serde_json::from_slice(json) else { return };
    if let Ok(model) = shardfit::model::Model::from_config(&config, None) {
        let _ = (model.parameters(), model.checkpoint_bytes(), model.tensors());
    }
});
