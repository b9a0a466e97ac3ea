//! Any bytes, taken as a compressed log: `cargo +nightly fuzz run log_packed`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shardfit::oom::{Patterns, Scanner};
use shardfit::sources::logs::scan;

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| Patterns::built_in().ok());

fuzz_target!(|bytes: &[u8]| {
    let Some(patterns) = PATTERNS.as_ref() else { return };
    let mut scanner = Scanner::new(patterns);
    let _ = scan(bytes, "fuzz".to_owned(), &mut scanner);
});
