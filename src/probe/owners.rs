//! Names and owners of processes.
#![expect(
    clippy::disallowed_methods,
    reason = "reads what the system tells of processes, and what was told counts for some seconds"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(test)]
mod tests;

/// What the system tells about a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Short name, at most 15 bytes on Linux.
    pub name: String,
    /// Arguments joined by spaces; what `setproctitle` wrote, for engines that rename their processes. `None` when empty or closed.
    pub command: Option<String>,
    /// Owner's name, or number when it has none here.
    pub user: Option<String>,
    /// Parent; 0 when it is outside this process namespace.
    pub parent: u32,
    /// Whether it has ended and waits to be collected.
    pub ended: bool,
}

/// Where processes are looked up.
pub(super) trait ProcessTable {
    /// The process of a number; `None` when it is gone or not visible from here.
    fn look_up(&self, pid: u32) -> Option<Arc<Process>>;
}

/// The part of a process that can change from one moment to the next, and is told in one short file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub name: String,
    pub parent: u32,
    pub ended: bool,
    /// When it started, in the system's own count: another one under the same number is another process.
    pub start: u64,
}

/// What is asked of the system.
pub(super) trait System {
    /// State of a process; `None` when it is gone or not visible from here.
    fn status(&self, pid: u32) -> Option<Status>;
    /// Command line and owner, which take several files to tell.
    fn description(&self, pid: u32) -> (Option<String>, Option<String>);
}

/// The processes of this machine, or of this container. NVML names processes by their number in the caller's namespace and leaves out
/// those outside it, so the two agree.
#[derive(Debug, Default)]
pub(super) struct SystemProcesses {
    /// Names of owners by number, each resolved once: the user database can be a service on the network.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is no process table to read"))]
    users: RefCell<HashMap<u32, String>>,
}

#[cfg(not(target_os = "linux"))]
impl System for SystemProcesses {
    fn status(&self, _pid: u32) -> Option<Status> {
        None
    }

    fn description(&self, _pid: u32) -> (Option<String>, Option<String>) {
        (None, None)
    }
}

/// What the system told, for a while: names and owners hardly ever change, and to look them up costs a monitor more than everything
/// else it does.
#[derive(Debug)]
pub(super) struct Remembered<S> {
    system: S,
    seen: RefCell<HashMap<u32, Seen>>,
}

/// One process as it was told.
#[derive(Debug)]
struct Seen {
    process: Option<Arc<Process>>,
    start: u64,
    /// When its state was asked.
    asked: Instant,
    /// When its command line and owner were.
    described: Instant,
    /// Whether the description was asked again since.
    settled: bool,
}

impl<S> Remembered<S> {
    /// How long an answer counts.
    const FOR: Duration = Duration::from_secs(10);
    /// How long a command line counts that has been seen twice. Engines rename their workers soon after they start them, and then give
    /// them a new short name too, which is seen with the state.
    const SETTLED_FOR: Duration = Duration::from_secs(60);
    /// Answers kept; beyond, old ones are forgotten.
    const MOST: usize = 4096;

    pub fn new(system: S) -> Self {
        Self { system, seen: RefCell::default() }
    }
}

impl<S: System> ProcessTable for Remembered<S> {
    fn look_up(&self, pid: u32) -> Option<Arc<Process>> {
        let now = Instant::now();
        // Not all in the same sample: a process counts a little longer or shorter by its number.
        let earlier = Duration::from_millis(u64::from(pid % 16) * 250);
        let before = self.seen.borrow_mut().remove(&pid);
        let next = match before {
            Some(seen) if now.duration_since(seen.asked) < Self::FOR - earlier => seen,
            before => self.ask(pid, before, now, earlier),
        };
        let process = next.process.clone();
        let mut seen = self.seen.borrow_mut();
        if seen.len() >= Self::MOST {
            seen.retain(|_, seen| now.duration_since(seen.asked) < Self::FOR);
        }
        if seen.len() < Self::MOST {
            seen.insert(pid, next);
        }
        process
    }
}

impl<S: System> Remembered<S> {
    fn ask(&self, pid: u32, before: Option<Seen>, now: Instant, earlier: Duration) -> Seen {
        let Some(status) = self.system.status(pid) else {
            return Seen { process: None, start: 0, asked: now, described: now, settled: false };
        };
        let Status { name, parent, ended, start } = status;
        let same = before.filter(|seen| seen.start == start).and_then(|seen| Some((seen.process.clone()?, seen)));
        if let Some((process, seen)) = &same
            && seen.settled
            && process.name == name
            && now.duration_since(seen.described) < Self::SETTLED_FOR - earlier
        {
            let process = match (process.parent, process.ended) == (parent, ended) {
                true => Arc::clone(process),
                false => Arc::new(Process { parent, ended, ..Process::clone(process) }),
            };
            return Seen { process: Some(process), start, asked: now, described: seen.described, settled: true };
        }
        let (command, user) = self.system.description(pid);
        let settled = same.is_some_and(|(process, _)| (&process.name, &process.command) == (&name, &command));
        let process = Process { name, command, user, parent, ended };
        Seen { process: Some(Arc::new(process)), start, asked: now, described: now, settled }
    }
}
