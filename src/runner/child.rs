//! The command as a process group of its own.
#![expect(clippy::disallowed_methods, reason = "starts processes by design")]

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With an exit code.
    Code(u8),
    /// By a signal.
    Signal(u8),
}

impl Ended {
    /// Whether it went well.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }

    /// The code that a shell gives for it: its own, or 128 + signal.
    #[must_use]
    pub const fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128u8.saturating_add(signal),
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        let small = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(small(code)),
            (None, Some(signal)) => Self::Signal(small(signal)),
            (None, None) => Self::Code(u8::MAX),
        }
    }
}

/// A started command.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    group: Pid,
}

impl Child {
    /// Starts a command in a process group of its own, its output in pipes.
    ///
    /// The group is not the terminal's: a signal that is typed reaches this program alone, which passes it on. Reading from the terminal
    /// would then stop the command, so a terminal is not passed on as its input; files and pipes are.
    ///
    /// # Errors
    /// When there is no such program, or it may not be run.
    pub fn start(command: &[OsString]) -> io::Result<Self> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command"))?;
        let input = if io::stdin().is_terminal() { Stdio::null() } else { Stdio::inherit() };
        let process = Command::new(program)
            .args(arguments)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Self { group: Pid::from_child(&process), process })
    }

    /// Its process id, which is its group's too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The group, to send signals to while somebody else waits.
    #[must_use]
    pub const fn group(&self) -> Group {
        Group(self.group)
    }

    /// Its output and its errors; `None` once taken.
    pub fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.process.stdout.take(), self.process.stderr.take())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When the system cannot wait for it.
    pub fn wait(mut self) -> io::Result<Ended> {
        self.process.wait().map(Ended::from)
    }
}

/// A process group that signals can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(Pid);

impl Group {
    /// Ends all processes of the group at once, whether they agree or not.
    pub fn kill(self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }

    /// Passes a signal on to all processes of the group; a group that has ended is no failure.
    pub fn send(self, signal: i32) {
        if let Some(signal) = Signal::from_named_raw(signal) {
            let _ = kill_process_group(self.0, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Ended {
        let words = ["sh", "-c", script].map(OsString::from);
        Child::start(&words).unwrap().wait().unwrap()
    }

    #[test]
    fn codes_and_signals_are_told_apart() {
        assert_eq!((run("exit 0"), run("exit 7")), (Ended::Code(0), Ended::Code(7)));
        assert_eq!(run("kill -9 $$"), Ended::Signal(9));
        assert_eq!((run("kill -9 $$").shell_code(), run("exit 3").shell_code()), (137, 3));
        assert_eq!(Child::start(&[OsString::from("/no/such/program")]).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Child::start(&[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn signals_reach_the_whole_group() {
        let words = ["sh", "-c", "sleep 60 & wait"].map(OsString::from);
        let child = Child::start(&words).unwrap();
        let group = child.group();
        group.send(15);
        assert_eq!(child.wait().unwrap(), Ended::Signal(15));
    }
}
