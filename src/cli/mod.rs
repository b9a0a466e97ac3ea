//! The command line: arguments in, exit code out.

pub mod args;
pub mod commands;
mod exit;
mod output;
mod resolve;

use clap::Parser;

pub use exit::Exit;
pub use output::{Format, Output, Problem};

/// Runs the program with the arguments of the process and returns its exit code.
#[must_use]
pub fn main() -> Exit {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and version to stdout and mistakes to stderr; a closed pipe is no reason to fail differently.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Fits };
        }
    };
    let mut output = Output::new(&cli.global);
    let result = match cli.command {
        args::Command::Plan(ref args) => commands::plan::run(args, &mut output),
        args::Command::Load(ref args) => commands::load::run(args, &mut output),
        args::Command::Probe(ref args) => commands::probe::run(args, &mut output),
        args::Command::Top(ref args) => commands::top::run(args, &mut output),
        args::Command::Schema(ref args) => commands::schema::run(args, &mut output),
    };
    match result {
        Ok(exit) => exit,
        Err(problem) => output.fail(&problem),
    }
}
