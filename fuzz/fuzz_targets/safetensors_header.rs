//! Any bytes, taken as a whole safetensors file: `cargo +nightly fuzz run safetensors_header`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if let Ok(header) = shardfit::sources::safetensors::read_header_from_bytes(file) {
        // What is accepted covers the data once and only once.
        let data: u64 = header.tensors.iter().map(|tensor| tensor.bytes.0).sum();
        let start = header.tensors.first().map_or(file.len() as u64, |tensor| tensor.offset);
        assert_eq!(start + data, file.len() as u64);
    }
});
