//! What the host's kernel did meanwhile.

/// Processes that the kernel has killed for want of host memory since it started; `None` where it does not say.
#[cfg(target_os = "linux")]
pub(super) fn memory_kills() -> Option<u64> {
    procfs::vmstat().ok()?.get("oom_kill").and_then(|count| u64::try_from(*count).ok())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn memory_kills() -> Option<u64> {
    None
}
