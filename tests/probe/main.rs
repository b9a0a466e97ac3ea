//! `shardfit probe` through the real binary: on recordings, and against the simulated driver.

#![expect(clippy::disallowed_methods, reason = "writes the files it feeds to the program")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

mod live;
mod recorded;

use assert_cmd::Command;
use serde_json::Value;

fn probe() -> Command {
    let mut command = Command::cargo_bin("shardfit").unwrap();
    command.env_remove("CUDA_VISIBLE_DEVICES").env_remove("CUDA_DEVICE_ORDER").arg("probe");
    command
}

/// Exit code and both streams as one text, the way a person would see them.
fn contract(command: &mut Command) -> String {
    let output = command.output().unwrap();
    format!(
        "exit code: {}\n----- stdout -----\n{}----- stderr -----\n{}",
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn json(command: &mut Command) -> Value {
    let output = command.args(["--format", "json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}
