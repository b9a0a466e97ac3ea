//! Any text, taken as a pasted command: `cargo +nightly fuzz run command_line`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(invocation) = shardfit::engines::command_line::read_text(text) {
        let _ = invocation.template.with_changes(&[("tensor-parallel-size", "4")]);
    }
});
