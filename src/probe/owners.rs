//! Names and owners of processes.

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
    fn numbers_without_a_process_are_none() {
        assert_eq!(SystemProcesses.look_up(u32::MAX), None);
    }
}
