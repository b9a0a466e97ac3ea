//! The program from end to end: what is typed, and exit code, stdout and stderr in one snapshot. No network, no driver.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "runs the program, reads files, and stops at the first surprise"
)]

mod bad_input;
mod commands;
mod deployments;
mod models;
mod plans;
mod reports;
mod schema;
#[path = "../support/mod.rs"]
mod support;
mod transformers;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::Bench;

/// What the program did.
struct Ran {
    exit: i32,
    stdout: String,
    stderr: String,
}

/// Runs the program in the root of the repository, on a machine with no driver, its Hub cache empty and the network forbidden.
fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[])
}

/// The same with variables set.
fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let bench = Bench::without_driver();
    let mut command = bench.shardfit();
    command.current_dir(root()).args(arguments);
    command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", bench.folder().join("hub"));
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let ran = Ran {
        exit: output.status.code().unwrap_or_else(|| panic!("{arguments:?} was ended by a signal: {}", output.status)),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!ran.stderr.contains("panicked"), "{arguments:?}: {}", ran.stderr);
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{arguments:?}: a pipe is no terminal");
    ran
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn data(path: &str) -> PathBuf {
    root().join("tests/data").join(path)
}

impl Ran {
    /// The report of a run with `--format json`.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// What is typed between spaces; a part in single quotes is one word, as a shell would have it.
fn words(line: &str) -> Vec<String> {
    shell_words::split(line).unwrap()
}

fn run_line(line: &str) -> Ran {
    let words = words(line);
    run(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Runs one line and compares all that comes of it.
#[track_caller]
fn golden(name: &str, line: &str) -> Ran {
    let ran = run_line(line);
    let Ran { exit, stdout, stderr } = &ran;
    let text =
        format!("$ shardfit {line}\nexit code: {exit}\n----- stdout -----\n{stdout}----- stderr -----\n{stderr}");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden/cli");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r#""version": "\d+\.\d+\.\d+""#, r#""version": "[VERSION]""#);
    settings.add_filter(r"in \d+\.\d+ s at \d+\.\d+ GB/s", "in [TIME] at [RATE]");
    settings.add_filter(r"(?m)^( +\d+  host:\d .*) \d+\.\d+$", "$1 [RATE]");
    settings.bind(|| insta::assert_snapshot!(name, text));
    ran
}

/// The first screen: verdict first, at most 20 lines.
#[track_caller]
fn assert_first_screen(name: &str, ran: &Ran) {
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines.len() <= 20, "{name}: {} lines\n{}", lines.len(), ran.stdout);
    let verdict =
        ["fits: ", "tight: ", "does not fit: ", "cannot tell: "].iter().any(|word| lines[0].starts_with(word));
    assert!(verdict, "{name}: {}", lines[0]);
}
