//! The flags of vLLM's programs, one row a flag, in files named after vLLM's own configuration groups.
//!
//! Read from `EngineArgs.add_cli_args`, `AsyncEngineArgs`, `FrontendArgs`/`make_arg_parser` and the parsers under `benchmarks/` of the twelve
//! releases in [`Release`]. A row names the first and the last of them that has the flag; what lies between two releases was not read.

mod batch;
mod bench;
mod cache;
mod compilation;
mod load;
mod lora;
mod model;
mod multimodal;
mod observability;
mod parallel;
mod scheduler;
mod server;
mod speculative;

use crate::engines::Version;
use crate::engines::command_line::flags::{Effect, Flag, Kind, Span};

/// The releases whose flags were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(non_camel_case_types)]
pub(super) enum Release {
    V0_6,
    V0_7,
    V0_8,
    V0_9,
    V0_10,
    V0_11,
    V0_14,
    V0_17,
    V0_20,
    V0_25,
    V0_29,
    V0_33,
}

/// Their exact numbers, in the order of [`Release`].
const VERSIONS: [Version; 12] = [
    Version::new(0, 6, 3),
    Version::new(0, 7, 3),
    Version::new(0, 8, 5),
    Version::new(0, 9, 2),
    Version::new(0, 10, 2),
    Version::new(0, 11, 2),
    Version::new(0, 14, 0),
    Version::new(0, 17, 0),
    Version::new(0, 20, 0),
    Version::new(0, 25, 1),
    Version::new(0, 29, 0),
    Version::new(0, 33, 0),
];

/// A row: spellings separated by blanks, the longest-lived name first, and the first and last release read that has the flag.
const fn flag(spellings: &'static str, kind: Kind, effect: Effect, first: Release, last: Release) -> Flag {
    let (first, last) = (first as usize, last as usize);
    let absent_up_to = if first == 0 { None } else { Some(VERSIONS[first - 1]) };
    let absent_from = if last + 1 == VERSIONS.len() { None } else { Some(VERSIONS[last + 1]) };
    Flag { spellings, kind, effect, span: Span { absent_up_to, absent_from } }
}

/// Flags of the engine itself, which every program takes.
pub(super) static ENGINE: &[&[Flag]] = &[
    model::FLAGS,
    load::FLAGS,
    parallel::FLAGS,
    cache::FLAGS,
    multimodal::FLAGS,
    lora::FLAGS,
    scheduler::FLAGS,
    compilation::FLAGS,
    speculative::FLAGS,
    observability::FLAGS,
];

/// Flags of `vllm serve` and the API server modules.
pub(super) static SERVER: &[Flag] = server::FLAGS;
/// Flags of `vllm run-batch` beside those of the server.
pub(super) static BATCH: &[Flag] = batch::FLAGS;
/// Flags of the benchmarks that start an engine.
pub(super) static BENCH: &[Flag] = bench::FLAGS;

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Flag> {
        ENGINE.iter().copied().chain([SERVER, BATCH, BENCH]).flatten()
    }

    #[test]
    fn each_program_knows_a_spelling_once() {
        for program in [&[SERVER][..], &[SERVER, BATCH], &[BENCH]] {
            let mut seen = std::collections::BTreeSet::new();
            for flag in ENGINE.iter().chain(program).copied().flatten() {
                for spelling in flag.spellings() {
                    assert!(seen.insert(spelling), "{spelling} stands twice");
                }
            }
        }
    }

    #[test]
    fn rows_are_well_formed() {
        for flag in all() {
            for spelling in flag.spellings() {
                assert!(spelling.starts_with('-') && !spelling.contains(['_', '.', '=']), "{spelling}");
                assert_eq!(spelling, spelling.trim());
            }
            if let (Some(before), Some(from)) = (flag.span.absent_up_to, flag.span.absent_from) {
                assert!(before < from, "{}", flag.name());
            }
        }
        assert!(VERSIONS.is_sorted());
        assert!(all().count() > 440);
    }
}
