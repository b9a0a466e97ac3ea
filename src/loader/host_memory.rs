//! How much memory this process can still take: the machine's, and the limits of its control groups.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::hardware::HostMemory;
use crate::units::Bytes;

/// A bound on the memory this process can still take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBound {
    /// What is left under it.
    pub available: Bytes,
    /// What sets it.
    pub origin: MemoryOrigin,
}

/// What bounds a process's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryOrigin {
    /// `MemAvailable` of `/proc/meminfo`.
    Machine,
    /// The limit of a control group.
    ControlGroup(PathBuf),
}

impl fmt::Display for MemoryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("MemAvailable of this machine"),
            Self::ControlGroup(path) => write!(f, "limit of control group `{}`", path.display()),
        }
    }
}

/// The tightest bound on this process; `None` where the system does not tell.
#[must_use]
pub fn available() -> Option<MemoryBound> {
    available_under(Path::new("/"))
}

/// The tightest bound and the room in `/dev/shm`, for a plan of this machine.
#[must_use]
pub fn host_memory() -> Option<HostMemory> {
    let bound = available()?;
    Some(HostMemory {
        available: bound.available,
        limited_by: bound.origin.to_string(),
        shared_memory: room(Path::new("/dev/shm")),
    })
}

/// Free bytes of a file system.
fn room(path: &Path) -> Option<Bytes> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(Bytes(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// As [`available`], with the system's files under another root.
fn available_under(root: &Path) -> Option<MemoryBound> {
    let machine = machine_available(&root.join("proc/meminfo"))
        .map(|available| MemoryBound { available, origin: MemoryOrigin::Machine });
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    machine.into_iter().chain(group_bounds(root, &groups)).min_by_key(|bound| bound.available)
}

fn machine_available(meminfo: &Path) -> Option<Bytes> {
    let text = std::fs::read_to_string(meminfo).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes::kib(kib))
}

/// Which files of a control group tell its limit and use.
struct Hierarchy {
    mount: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// Keys of `memory.stat` that count page cache which makes room when asked.
    reclaimable: [&'static str; 2],
}

/// Version 2, the unified hierarchy.
const UNIFIED: Hierarchy = Hierarchy {
    mount: "sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: ["inactive_file", "active_file"],
};

/// Version 1, where memory is a hierarchy of its own.
const LEGACY: Hierarchy = Hierarchy {
    mount: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: ["total_inactive_file", "total_active_file"],
};

/// The bounds of all groups this process is in. Lines of `/proc/self/cgroup` are `id:controllers:path`; version 2 has id 0 and no
/// controllers.
fn group_bounds(root: &Path, groups: &str) -> Vec<MemoryBound> {
    let mut bounds = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let hierarchy = match (id, controllers) {
            ("0", "") => &UNIFIED,
            _ if controllers.split(',').any(|controller| controller == "memory") => &LEGACY,
            _ => continue,
        };
        let mount = root.join(hierarchy.mount);
        // Each group above bounds it too. Inside a container the path may be the host's and not exist; the mount is then our own group.
        for group in Path::new(path.trim_start_matches('/')).ancestors() {
            bounds.extend(group_bound(&mount.join(group), hierarchy));
        }
    }
    bounds
}

/// What a group's limit leaves; `None` without a limit. Page cache is given back before a process is refused memory, so it does not count.
fn group_bound(group: &Path, hierarchy: &Hierarchy) -> Option<MemoryBound> {
    let number = |file: &str| -> Option<u64> { std::fs::read_to_string(group.join(file)).ok()?.trim().parse().ok() };
    // "max" is no number; version 1 writes a limit near 2^63 for "none", which then never is the tightest.
    let limit = number(hierarchy.limit)?;
    let usage = number(hierarchy.usage)?;
    let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cache: u64 = stat
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(key, _)| hierarchy.reclaimable.contains(key))
        .filter_map(|(_, value)| value.trim().parse::<u64>().ok())
        .fold(0, u64::saturating_add);
    let available = Bytes(limit.saturating_sub(usage.saturating_sub(cache)));
    Some(MemoryBound { available, origin: MemoryOrigin::ControlGroup(group.to_path_buf()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal: 4000 kB\nMemAvailable:    3000 kB\n");

    #[test]
    fn without_limits_the_machine_bounds() {
        let root = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/job\n"),
            ("sys/fs/cgroup/job/memory.max", "max\n"),
            ("sys/fs/cgroup/job/memory.current", "5\n"),
        ]);
        let bound = available_under(root.path()).unwrap();
        assert_eq!(bound, MemoryBound { available: Bytes::kib(3000), origin: MemoryOrigin::Machine });
        assert_eq!(available_under(Path::new("/nonexistent")), None);
    }

    #[test]
    fn the_tightest_group_bounds_and_page_cache_does_not_count() {
        let root = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/pod/job\n"),
            ("sys/fs/cgroup/pod/job/memory.max", "2000000\n"),
            ("sys/fs/cgroup/pod/job/memory.current", "10\n"),
            ("sys/fs/cgroup/pod/memory.max", "1000000\n"),
            ("sys/fs/cgroup/pod/memory.current", "900000\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 1\ninactive_file 300000\nactive_file 50000\nslab 7\n"),
        ]);
        let bound = available_under(root.path()).unwrap();
        assert_eq!(bound.available, Bytes(450_000));
        assert_eq!(bound.origin, MemoryOrigin::ControlGroup(root.path().join("sys/fs/cgroup/pod")));
    }

    #[test]
    fn version_one_is_read_too() {
        let root = system(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu:/a\n4:memory:/host/path\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "400\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 100\ntotal_active_file 0\n"),
        ]);
        assert_eq!(available_under(root.path()).unwrap().available, Bytes(700));
    }
}
