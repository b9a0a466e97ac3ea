//! What an engine's way of loading takes of the host's memory.

use super::{Deployment, EnginePlan};
use crate::sharding::{BoxCopy, Fill, RankTensor};
use crate::units::{Basis, Bytes, Estimate, Formula};

/// What a piece of host memory is, as the system counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostKind {
    /// Buffers and copies that exist while weights are loaded.
    Staging,
    /// Weights, swap space and caches that stay in host memory.
    Offload,
    /// Segments in `/dev/shm`.
    SharedMemory,
    /// Files in the page cache: it makes room when somebody needs it, and what it has lost is read again.
    PageCache,
}

impl HostKind {
    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Offload => "offload",
            Self::SharedMemory => "shared_memory",
            Self::PageCache => "page_cache",
        }
    }
}

/// One line of the host's ledger, all ranks of the machine together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLine {
    /// How the system counts it.
    pub kind: HostKind,
    /// What it is, in words.
    pub what: &'static str,
    /// How much.
    pub estimate: Estimate,
}

/// vLLM: each rank is a process that maps every file and copies its slices out of the mapping.
#[must_use]
pub fn vllm(deployment: &Deployment<'_>, plan: &EnginePlan) -> Vec<HostLine> {
    let ranks = (plan.ranks.len() as u64).saturating_mul(plan.replicas.max(1).into());
    let mut lines = Vec::new();
    let slice = largest_of_columns(plan);
    let sliced = slice * ranks;
    // A slice of columns is made contiguous in host memory before it goes out; one of rows goes as it is.
    let rule = Formula::with(
        "R ranks, each with a contiguous copy of the slice it sends, at most S",
        &[("R", ranks), ("S", slice.0)],
    );
    lines.push(HostLine {
        kind: HostKind::Staging,
        what: "slices made contiguous",
        estimate: Estimate::between(Bytes::ZERO, sliced, sliced, Basis::Derived, rule),
    });
    lines.extend(mapped(deployment));
    if ranks > 1 {
        lines.push(queues(ranks));
    }
    lines.extend(offload(deployment, plan));
    lines
}

/// Transformers: one process that maps every file; up to four threads each materialise a tensor before it goes out (v5
/// `core_model_loading.py`; 4.x does one at a time).
#[must_use]
pub fn transformers(deployment: &Deployment<'_>, plan: &EnginePlan) -> Vec<HostLine> {
    let largest = largest_from_files(plan);
    let rule = Formula::with("one tensor of at most S a thread, 1 to 4 threads", &[("S", largest.0)]);
    let mut lines = vec![HostLine {
        kind: HostKind::Staging,
        what: "tensors on their way",
        estimate: Estimate::between(Bytes::ZERO, largest, largest * 4, Basis::Derived, rule),
    }];
    lines.extend(mapped(deployment));
    lines.extend(offload(deployment, plan));
    lines
}

/// The largest slice of any rank that is not contiguous in its file.
fn largest_of_columns(plan: &EnginePlan) -> Bytes {
    let inner = |copy: &BoxCopy| {
        copy.from.iter().zip(&copy.source.shape).skip(1).any(|(range, size)| range.start > 0 || range.end < *size)
    };
    let slices = plan.ranks.iter().flat_map(|rank| &rank.tensors.tensors).flat_map(|tensor| match &tensor.fill {
        Fill::Files(copies) => {
            copies.iter().filter(|copy| inner(copy)).map(|c| tensor.dtype.size(c.elements_each())).max()
        }
        Fill::Generated | Fill::Alias(_) => None,
    });
    slices.max().unwrap_or(Bytes::ZERO)
}

/// The largest tensor of any rank that files fill.
fn largest_from_files(plan: &EnginePlan) -> Bytes {
    let tensors = plan.ranks.iter().flat_map(|rank| &rank.tensors.tensors);
    let filled = tensors.filter(|tensor| matches!(tensor.fill, Fill::Files(_)));
    filled.map(RankTensor::bytes_each).max().unwrap_or(Bytes::ZERO)
}

/// The checkpoint in the page cache: one copy, however many processes map it.
fn mapped(deployment: &Deployment<'_>) -> Option<HostLine> {
    let bytes = deployment.model.checkpoint_bytes()?;
    let rule = Formula::plain("all files once, shared by the processes that map them; makes room when asked");
    let estimate = Estimate::between(Bytes::ZERO, bytes, bytes, Basis::Derived, rule);
    Some(HostLine { kind: HostKind::PageCache, what: "checkpoint, mapped", estimate })
}

/// Message queues between the engine's processes: rings of ten chunks of 16 MiB for commands and of 10 to 24 MiB for each rank's answers,
/// and one of six chunks of 4 MiB in the tensor-parallel group (vLLM 0.11 `v1/executor/multiproc_executor.py`,
/// `distributed/device_communicators/shm_broadcast.py`). The pages of a ring are taken as they are first written.
fn queues(ranks: u64) -> HostLine {
    let rings = Bytes::mib(160) + Bytes::mib(24);
    let answers = |chunk: u64| Bytes::mib(10 * chunk) * ranks;
    let rule = Formula::with(
        "160 MiB of commands + 24 MiB in the group + R rings of answers, as far as written",
        &[("R", ranks)],
    );
    let estimate = Estimate::between(Bytes::mib(1), rings, rings + answers(24), Basis::Profile, rule);
    HostLine { kind: HostKind::SharedMemory, what: "message queues", estimate }
}

/// What the plan moved to the host. Page-locked blocks are rounded up to a power of two (torch 2.x
/// `aten/src/ATen/core/CachingHostAllocator.h`), which can nearly double them.
fn offload(deployment: &Deployment<'_>, plan: &EnginePlan) -> Option<HostLine> {
    let bytes = plan.offload.filter(|bytes| *bytes > Bytes::ZERO)?;
    let pinned = deployment.settings.cpu_offload.is_some_and(|limit| limit > Bytes::ZERO);
    let (high, rule) = if pinned {
        let rounding: Bytes = plan.ranks.iter().map(|rank| rounding(&rank.tensors.tensors, deployment)).sum();
        (bytes + rounding, "weights and caches kept on the host; page-locked blocks rounded up to powers of two")
    } else {
        (bytes, "weights and caches kept on the host")
    };
    let estimate = Estimate::between(bytes, high, high, Basis::Derived, Formula::plain(rule));
    Some(HostLine { kind: HostKind::Offload, what: "kept in host memory", estimate })
}

/// What page-locking adds to the offloaded tensors of one rank.
fn rounding(tensors: &[RankTensor], deployment: &Deployment<'_>) -> Bytes {
    let mut left = deployment.settings.cpu_offload.unwrap_or(Bytes::ZERO);
    let mut added = Bytes::ZERO;
    for tensor in tensors {
        let each = tensor.bytes_each();
        let count = (left.0.checked_div(each.0).unwrap_or(0)).min(tensor.copies.saturating_mul(tensor.place.count()));
        let rounded = each.0.checked_next_power_of_two().map_or(each, Bytes);
        added += rounded.saturating_sub(each) * count;
        left = left.saturating_sub(each * count);
    }
    added
}
