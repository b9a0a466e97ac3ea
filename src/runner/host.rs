//! What the host's kernel did meanwhile, and what it had to give.

use crate::units::Bytes;

/// Processes that the kernel has killed for want of host memory since it started; `None` where it does not say.
#[cfg(target_os = "linux")]
pub(super) fn memory_kills() -> Option<u64> {
    procfs::vmstat().ok()?.get("oom_kill").and_then(|count| u64::try_from(*count).ok())
}

/// Memory of the host in all, and what of it is available; `None` where it does not say.
#[cfg(target_os = "linux")]
pub(super) fn memory() -> Option<(Bytes, Bytes)> {
    use procfs::Current;
    let memory = procfs::Meminfo::current().ok()?;
    Some((Bytes(memory.mem_total), Bytes(memory.mem_available?)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn memory_kills() -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn memory() -> Option<(Bytes, Bytes)> {
    None
}
