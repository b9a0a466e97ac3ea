//! `shardfit probe`

use clap::Args;

use crate::cli::{Exit, Output, Problem};

/// Flags of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {}

/// Prints one snapshot of the cards.
///
/// # Errors
/// When no driver answers (exit 3).
pub fn run(_args: &ProbeArgs, _output: &mut Output) -> Result<Exit, Problem> {
    Err(Problem::cannot_tell("no NVIDIA driver answers on this machine"))
}
