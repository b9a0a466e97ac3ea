//! Any bytes, taken as a GGUF file: `cargo +nightly fuzz run gguf_header`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if let Ok(header) = shardfit::sources::gguf::read_header(&mut &file[..], file.len() as u64) {
        for tensor in &header.tensors {
            assert!(tensor.offset + tensor.bytes.0 <= file.len() as u64, "{}", tensor.name);
        }
    }
});
