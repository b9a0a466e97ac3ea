//! Any bytes, taken as a log and diagnosed: `cargo +nightly fuzz run log_text`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shardfit::oom::{Facts, Patterns, Scanner, diagnose};

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| Patterns::built_in().ok());

fuzz_target!(|bytes: &[u8]| {
    let Some(patterns) = PATTERNS.as_ref() else { return };
    let mut scanner = Scanner::new(patterns);
    scanner.push(bytes);
    let _ = diagnose(&scanner.finish(), &Facts::default());
});
