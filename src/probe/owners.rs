//! Names and owners of processes.
#![expect(clippy::disallowed_methods, reason = "what was looked up counts for some seconds")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::engines::command_line::without_secrets;

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
    fn look_up(&self, pid: u32) -> Option<Process>;
}

/// The processes of this machine, or of this container. NVML names processes by their number in the caller's namespace and leaves out
/// those outside it, so the two agree.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemProcesses;

#[cfg(target_os = "linux")]
impl ProcessTable for SystemProcesses {
    fn look_up(&self, pid: u32) -> Option<Process> {
        let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
        let stat = process.stat().ok()?;
        let command =
            process.cmdline().ok().map(|arguments| without_secrets(arguments.iter().map(String::as_str)).join(" "));
        let command = command.filter(|text| !text.trim().is_empty());
        let user = process.status().ok().map(|status| {
            let name = uzers::get_user_by_uid(status.euid);
            name.map_or_else(|| status.euid.to_string(), |user| user.name().to_string_lossy().into_owned())
        });
        let parent = u32::try_from(stat.ppid).unwrap_or_default();
        Some(Process { name: stat.comm, command, user, parent, ended: matches!(stat.state, 'Z' | 'X') })
    }
}

#[cfg(not(target_os = "linux"))]
impl ProcessTable for SystemProcesses {
    fn look_up(&self, _pid: u32) -> Option<Process> {
        None
    }
}

/// What another table told, for a while: names and owners hardly ever change, and to look them up costs a monitor more than everything
/// else it does.
#[derive(Debug)]
pub(super) struct Remembered<T> {
    table: T,
    seen: RefCell<HashMap<u32, (Instant, Option<Process>)>>,
}

impl<T> Remembered<T> {
    /// How long an answer counts. Engines rename their workers, and numbers are given anew: neither matters within this.
    const FOR: Duration = Duration::from_secs(10);
    /// Answers kept; beyond, old ones are forgotten.
    const MOST: usize = 4096;

    pub fn new(table: T) -> Self {
        Self { table, seen: RefCell::new(HashMap::new()) }
    }
}

impl<T: ProcessTable> ProcessTable for Remembered<T> {
    fn look_up(&self, pid: u32) -> Option<Process> {
        let now = Instant::now();
        // Not all on the same sample: a process counts a little longer or shorter by its number.
        let counts = Self::FOR - Duration::from_millis(u64::from(pid % 16) * 250);
        if let Some((at, process)) = self.seen.borrow().get(&pid)
            && now.duration_since(*at) < counts
        {
            return process.clone();
        }
        let process = self.table.look_up(pid);
        let mut seen = self.seen.borrow_mut();
        if seen.len() >= Self::MOST {
            seen.retain(|_, (at, _)| now.duration_since(*at) < Self::FOR);
        }
        if seen.len() < Self::MOST {
            seen.insert(pid, (now, process.clone()));
        }
        process
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let process = SystemProcesses.look_up(std::process::id()).unwrap();
        assert_eq!(process.parent, std::os::unix::process::parent_id());
        assert!(process.command.unwrap().contains("shardfit"));
        assert!(process.user.is_some());
        assert!(!process.ended);
    }

    #[test]
    fn what_was_told_is_not_asked_again() {
        struct Counting(std::cell::Cell<u32>);
        impl ProcessTable for Counting {
            fn look_up(&self, pid: u32) -> Option<Process> {
                self.0.set(self.0.get() + 1);
                SystemProcesses.look_up(pid)
            }
        }
        let table = Remembered::new(Counting(std::cell::Cell::new(0)));
        let own = std::process::id();
        let first = table.look_up(own);
        assert_eq!(table.look_up(own), first);
        assert!(first.is_some() && table.look_up(u32::MAX).is_none() && table.look_up(u32::MAX).is_none());
        assert_eq!(table.table.0.get(), 2);
    }

    #[test]
    fn numbers_without_a_process_are_none() {
        assert_eq!(SystemProcesses.look_up(u32::MAX), None);
    }
}
