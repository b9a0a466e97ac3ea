//! Running a test's body in a child process on a simulated machine, through the real client libraries.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

mod session;

use std::process::Command;

use simgpu::{Installed, Machine, MachineUse};

pub use session::Session;

/// Set in the child: the name of the test whose body it runs.
const CHILD: &str = "SIMGPU_TEST_BODY";

/// Runs `body` on `machine` in a child process and returns the book it left; `None` in the child itself.
///
/// `name` is the name of the test that calls this, so that the child finds its way back here.
pub fn on(name: &str, machine: Machine, body: fn()) -> Option<MachineUse> {
    on_with(name, machine, |_| {}, body)
}

/// As [`on`], with a say in the child's environment.
pub fn on_with(name: &str, machine: Machine, prepare: impl FnOnce(&mut Command), body: fn()) -> Option<MachineUse> {
    if is_child(name) {
        body();
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let machine = machine.install(dir.path()).unwrap();
    Some(run(name, &machine, prepare))
}

/// Runs the body of the test `name` on a machine that is installed already.
pub fn run(name: &str, machine: &Installed, prepare: impl FnOnce(&mut Command)) -> MachineUse {
    let mut command = child(name, machine);
    prepare(&mut command);
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the child failed: {}\n{text}", output.status);
    assert!(text.contains("1 passed"), "the child ran no test named `{name}`:\n{text}");
    machine.used().unwrap()
}

/// The command that runs the body of the test `name`.
pub fn child(name: &str, machine: &Installed) -> Command {
    let mut command = machine.command(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, name);
    command
}

/// Whether this process is the child of the test `name`.
pub fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == name)
}

/// Asserts that every process returned everything and broke no rule.
#[track_caller]
pub fn assert_tidy(used: &MachineUse) {
    assert_eq!(used.loose_ends(), Vec::<String>::new());
    assert_eq!(used.misuses(), 0);
}
