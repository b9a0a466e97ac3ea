//! What the tests of the program share: running it on a simulated machine.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests run programs, read files and stop at the first surprise"
)]

use assert_cmd::Command;
use simgpu::{Installed, Machine, MachineUse};
use tempfile::TempDir;

/// A simulated machine in a folder of its own, with the program on it.
pub struct Bench {
    // Removed with the bench.
    folder: TempDir,
    machine: Installed,
}

impl Bench {
    /// A machine whose driver offers both NVML and CUDA.
    pub fn new(machine: Machine) -> Self {
        Self::with(|folder| machine.install(folder))
    }

    /// A machine where CUDA answers and NVML is not installed.
    pub fn without_nvml(machine: Machine) -> Self {
        Self::with(|folder| machine.install_without_nvml(folder))
    }

    /// A machine where NVML answers and CUDA is not installed.
    pub fn without_cuda(machine: Machine) -> Self {
        Self::with(|folder| machine.install_without_cuda(folder))
    }

    /// A machine without a driver, whatever the one that runs the test has.
    pub fn without_driver() -> Self {
        Self::with(|folder| Machine::new().install_without_driver(folder))
    }

    fn with(install: impl FnOnce(&std::path::Path) -> std::io::Result<Installed>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = install(folder.path()).unwrap();
        Self { folder, machine }
    }

    /// The program, with no settings from the environment of the test but this machine.
    pub fn shardfit(&self) -> Command {
        let mut command = self.command();
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("SHARDFIT_") || text.starts_with("HF_") {
                command.env_remove(&name);
            }
        }
        command.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
        Command::from_std(command)
    }

    /// The report that the program prints with these arguments, in the root of the repository, nothing being held afterwards.
    #[track_caller]
    pub fn report(&self, exit: i32, arguments: &[&str]) -> serde_json::Value {
        let mut command = self.shardfit();
        // In front, because what follows a `--` is another program's.
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("HF_HUB_OFFLINE", "1").args(["--format", "json"]);
        let output = command.args(arguments).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(exit), "{stdout}{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        self.assert_everything_returned();
        serde_json::from_str(&stdout).unwrap()
    }

    /// The program as a plain command, for tests that need its process.
    pub fn command(&self) -> std::process::Command {
        let mut command = self.machine.command(env!("CARGO_BIN_EXE_shardfit"));
        // Nobody's own calibration is taken up.
        command.env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        command
    }

    /// A folder for the test's own files.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What the machine is.
    pub fn machine(&self) -> &Machine {
        self.machine.machine()
    }

    /// Changes the machine under the programs that run on it; see [`Installed::change`].
    pub fn change(&mut self, change: impl FnOnce(Machine) -> Machine) {
        self.machine.change(change).unwrap();
    }

    /// What is held while programs run; `None` in the moment in which the first of them begins the book.
    pub fn held_now(&self) -> Option<MachineUse> {
        self.machine.used().ok()
    }

    /// What was used and is still held.
    pub fn used(&self) -> MachineUse {
        self.machine.used().unwrap()
    }

    /// Asserts that every process returned every byte, context, pinned block, stream, event and NVML session, and broke no rule of the
    /// CUDA API; tells what is left otherwise.
    #[track_caller]
    pub fn assert_everything_returned(&self) {
        let used = self.used();
        assert_eq!(used.loose_ends(), Vec::<String>::new());
        assert_eq!(used.misuses(), 0, "broken rules of the CUDA API");
    }
}
