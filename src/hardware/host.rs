//! The host's memory as a planner sees it.

use crate::units::Bytes;

/// What this machine or container still has to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMemory {
    /// Memory that processes started here can still take.
    pub available: Bytes,
    /// What sets that bound: the machine, or a control group.
    pub limited_by: String,
    /// Room in `/dev/shm`; `None` where there is none, or nobody could tell.
    pub shared_memory: Option<Bytes>,
}
