//! The command line: arguments in, exit code out.

pub mod args;
mod calibration;
pub mod commands;
mod exit;
mod output;
mod picture;
mod resolve;
mod screen;

use std::ffi::OsString;

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
            if !error.use_stderr() {
                return Exit::Fits;
            }
            if asks_for_json(std::env::args_os().skip(1)) {
                Output::new(&args::Global { format: Format::Json, color: args::Color::Auto }).failure(&misused(&error));
            }
            return Exit::Usage;
        }
    };
    let mut output = Output::new(&cli.global);
    if output.format == Format::Csv && !matches!(cli.command, args::Command::Top(_)) {
        return output.fail(&Problem::usage("`--format csv` is a form of `top --once` alone"));
    }
    let result = match cli.command {
        args::Command::Plan(ref args) => commands::plan::run(args, &mut output),
        args::Command::Load(ref args) => commands::load::run(args, &mut output),
        args::Command::Probe(ref args) => commands::probe::run(args, &mut output),
        args::Command::Top(ref args) => commands::top::run(args, &mut output),
        args::Command::Calibrate(ref args) => commands::calibrate::run(args, &mut output),
        args::Command::Profiles(ref args) => commands::profiles::run(args, &mut output),
        args::Command::Diagnose(ref args) => commands::diagnose::run(args, &mut output),
        args::Command::Run(ref args) => commands::run::run(args, &mut output),
        args::Command::Schema(ref args) => commands::schema::run(args, &mut output),
    };
    let exit = match result {
        Ok(exit) => exit,
        Err(problem) => output.fail(&problem),
    };
    output.end(exit)
}

/// Whether arguments that could not be read ask for JSON all the same: whoever reads stdout by machine then still gets an object.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let own: Vec<OsString> = arguments.take_while(|argument| argument != "--").collect();
    let pair = own.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    pair || own.iter().any(|argument| argument == "--format=json")
}

/// clap's words, which are laid out for a terminal, as message and hints.
fn misused(error: &clap::Error) -> Problem {
    let text = error.render().to_string();
    let (first, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let problem = Problem::usage(first.strip_prefix("error: ").unwrap_or(&first));
    let lines = rest.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.strip_prefix("tip: ").unwrap_or(line)).fold(problem, Problem::hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(words: &str) -> bool {
        asks_for_json(words.split(' ').map(OsString::from))
    }

    #[test]
    fn json_is_asked_for_by_own_arguments_alone() {
        assert!(asks("plan --nonsense --format json") && asks("--format=json plan"));
        assert!(!asks("plan --format text") && !asks("plan json") && !asks("plan -- vllm serve --format json"));
    }

    #[test]
    fn misuse_becomes_message_and_hints() {
        let problem = misused(&args::Cli::try_parse_from(["shardfit", "plan", "--tpp", "2"]).unwrap_err());
        assert_eq!(problem.message, "unexpected argument '--tpp' found");
        assert_eq!(problem.hints[0], "a similar argument exists: '--tp'");
        assert_eq!(problem.hints.last().unwrap(), "For more information, try '--help'.");
    }
}
