//! Whether a process still runs.

use std::path::PathBuf;

/// When a process started, in clock ticks after boot; `None` when there is none, or only its remains wait for their parent.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
    // The second field, the name in parentheses, may hold spaces and parentheses itself.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    match *fields.first()? {
        // A process that ended has given everything back, though its parent has not yet asked how it went.
        "Z" | "X" | "x" => None,
        _ => fields.get(19)?.parse().ok(),
    }
}

/// Whether the process with this id and start time runs.
pub(super) fn is_alive(pid: u32, started: u64) -> bool {
    start_time(pid) == Some(started)
}
