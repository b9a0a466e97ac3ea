//! The host's part of a plan: what loading takes of its memory, against what is there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engines::{HostKind, HostLine};
use crate::hardware::HostMemory;
use crate::units::{Basis, Bytes};

/// Host memory; `null` where the engine's way of loading is not modelled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HostReport {
    /// Buffers and copies while loading.
    pub staging_bytes: Option<Bytes>,
    /// Weights or caches kept in host memory.
    pub offload_bytes: Option<Bytes>,
    /// Checkpoint in the page cache, which makes room when somebody needs it.
    pub page_cache_bytes: Option<Bytes>,
    /// Segments in `/dev/shm`.
    pub shared_memory_bytes: Option<Bytes>,
    /// All that must be there at once at its high end: everything but the page cache.
    pub need_bytes: Option<Bytes>,
    /// What the machine or container still allows; `null` for a plan for another machine.
    pub limit_bytes: Option<Bytes>,
    /// What sets the limit.
    pub limited_by: Option<String>,
    /// Room in `/dev/shm`.
    pub shared_memory_limit_bytes: Option<Bytes>,
    /// Device and host together, on machines where both draw on one pool; `null` elsewhere.
    pub shared_pool_bytes: Option<Bytes>,
    /// Whether the need is there; `null` when need or limit is unknown.
    pub fits: Option<bool>,
    /// The ledger.
    pub lines: Vec<HostLineReport>,
    /// Why figures are absent.
    pub reason: Option<String>,
}

/// One line of the host's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostLineReport {
    /// `staging`, `offload`, `shared_memory` or `page_cache`.
    pub kind: String,
    /// What it is.
    pub what: String,
    /// Lower bound.
    pub low: Bytes,
    /// Best figure.
    pub expected: Bytes,
    /// Upper bound.
    pub high: Bytes,
    /// Where it comes from.
    pub basis: Basis,
    /// How it was computed.
    pub formula: String,
}

impl From<&HostLine> for HostLineReport {
    fn from(line: &HostLine) -> Self {
        Self {
            kind: line.kind.name().to_owned(),
            what: line.what.to_owned(),
            low: line.estimate.low,
            expected: line.estimate.expected,
            high: line.estimate.high,
            basis: line.estimate.basis,
            formula: line.estimate.formula.to_string(),
        }
    }
}

impl HostReport {
    /// The need of an engine, where its way of loading is known. `offload` is what the plan keeps in host memory.
    #[must_use]
    pub fn of_need(lines: Option<&[HostLine]>, offload: Option<Bytes>) -> Self {
        let Some(lines) = lines else {
            let reason = Some("how this engine loads is not modelled".to_owned());
            return Self { offload_bytes: offload, reason, ..Self::default() };
        };
        let of_kind = |kind| lines.iter().filter(|line| line.kind == kind).map(|line| line.estimate.expected).sum();
        let lasting = lines.iter().filter(|line| line.kind != HostKind::PageCache);
        let cached = lines.iter().any(|line| line.kind == HostKind::PageCache);
        Self {
            staging_bytes: Some(of_kind(HostKind::Staging)),
            offload_bytes: Some(of_kind(HostKind::Offload)),
            page_cache_bytes: cached.then(|| of_kind(HostKind::PageCache)),
            shared_memory_bytes: Some(of_kind(HostKind::SharedMemory)),
            need_bytes: Some(lasting.map(|line| line.estimate.high).sum()),
            lines: lines.iter().map(HostLineReport::from).collect(),
            reason: Some("cards named by `--gpus` say nothing of their host's memory".to_owned()),
            ..Self::default()
        }
    }

    /// Sets the need against what this machine has. `pool` is what the cards take and what they draw on, where host and device share one
    /// pool. Returns what the reader must know.
    pub fn compare(&mut self, memory: &HostMemory, pool: Option<(Bytes, Bytes)>) -> Vec<String> {
        self.limit_bytes = Some(memory.available);
        self.limited_by = Some(memory.limited_by.clone());
        self.shared_memory_limit_bytes = memory.shared_memory;
        let Some(need) = self.need_bytes else { return Vec::new() };
        self.reason = None;
        let mut short = Vec::new();
        if need > memory.available {
            short.push(format!(
                "loading needs {need} of host memory, and {} is available ({}): the kernel would end the engine",
                memory.available, memory.limited_by
            ));
        }
        let queues = self.shared_memory_bytes.unwrap_or(Bytes::ZERO);
        if let Some(room) = memory.shared_memory.filter(|room| queues > *room) {
            short.push(format!(
                "the engine's queues take up to {queues} of /dev/shm, and {room} is free: start the container with `--ipc=host` or a larger `--shm-size`"
            ));
        }
        if let Some((device, capacity)) = pool {
            let sum = device + need;
            self.shared_pool_bytes = Some(sum);
            if sum > capacity {
                short.push(format!("host and device draw on one pool of {capacity}, and together they need {sum}"));
            }
        }
        self.fits = Some(short.is_empty());
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Estimate, Formula};

    fn lines() -> Vec<HostLine> {
        let line = |kind, low: u64, high: u64| HostLine {
            kind,
            what: "x",
            estimate: Estimate::between(
                Bytes::gib(low),
                Bytes::gib(low),
                Bytes::gib(high),
                Basis::Derived,
                Formula::plain("x"),
            ),
        };
        vec![
            line(HostKind::Staging, 1, 2),
            line(HostKind::Offload, 10, 12),
            line(HostKind::SharedMemory, 1, 1),
            line(HostKind::PageCache, 100, 100),
        ]
    }

    fn memory(available: u64, shared: u64) -> HostMemory {
        HostMemory {
            available: Bytes::gib(available),
            limited_by: "a limit".to_owned(),
            shared_memory: Some(Bytes::gib(shared)),
        }
    }

    #[test]
    fn the_page_cache_makes_room_and_the_rest_does_not() {
        let mut report = HostReport::of_need(Some(&lines()), Some(Bytes::gib(10)));
        assert_eq!((report.need_bytes, report.page_cache_bytes), (Some(Bytes::gib(15)), Some(Bytes::gib(100))));
        assert_eq!((report.fits, report.limit_bytes), (None, None));
        assert_eq!(report.compare(&memory(15, 1), None), Vec::<String>::new());
        assert_eq!((report.fits, &report.reason), (Some(true), &None));
        assert_eq!(report.compare(&memory(14, 1), None).len(), 1);
        assert_eq!(report.fits, Some(false));
        let short = report.compare(&memory(64, 0), None);
        assert!(short[0].contains("--shm-size"), "{short:?}");
    }

    #[test]
    fn a_shared_pool_is_one_sum() {
        let mut report = HostReport::of_need(Some(&lines()), None);
        let pool = |device| Some((Bytes::gib(device), Bytes::gib(120)));
        assert_eq!(report.compare(&memory(100, 1), pool(105)), Vec::<String>::new());
        assert_eq!(report.shared_pool_bytes, Some(Bytes::gib(120)));
        assert_eq!(report.compare(&memory(100, 1), pool(106)).len(), 1);
    }

    #[test]
    fn an_unknown_way_of_loading_has_no_figures() {
        let mut report = HostReport::of_need(None, Some(Bytes::gib(4)));
        assert!(report.compare(&memory(1, 1), None).is_empty());
        assert_eq!(
            (report.fits, report.offload_bytes, report.limit_bytes),
            (None, Some(Bytes::gib(4)), Some(Bytes::gib(1)))
        );
        assert!(report.reason.is_some_and(|reason| reason.contains("not modelled")));
    }
}
