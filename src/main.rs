//! The `shardfit` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    shardfit::cli::main().into()
}
