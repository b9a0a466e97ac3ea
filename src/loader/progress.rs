//! How far a load is, as values that a screen can poll.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::chunks::cast_of;
use super::pieces::placed_bytes;
use crate::placement::Placement;
use crate::units::Bytes;

/// The steps of a load, in order. An observer hears of each one when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Placement, files and host memory are checked; no card is touched yet.
    Checked,
    /// The cards with a shard are opened: on CUDA each has a context.
    Opened,
    /// Each rank has its arena.
    Allocated,
    /// All bytes have arrived.
    Loaded,
    /// What was to be compared has been compared.
    Verified,
    /// The KV pool is there too, where one was asked for.
    Pooled,
    /// The workspace of the activation peak is there too, where it was asked for.
    Peak,
    /// Arenas and staging are free again; the contexts are still there.
    Freed,
    /// The contexts are gone: nothing of ours is left on the cards.
    Released,
}

impl Phase {
    /// All steps in order.
    pub const ALL: [Self; 9] = [
        Self::Checked,
        Self::Opened,
        Self::Allocated,
        Self::Loaded,
        Self::Verified,
        Self::Pooled,
        Self::Peak,
        Self::Freed,
        Self::Released,
    ];

    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checked => "before",
            Self::Opened => "context",
            Self::Allocated => "arena",
            Self::Loaded => "loaded",
            Self::Verified => "verified",
            Self::Pooled => "kv",
            Self::Peak => "peak",
            Self::Freed => "freed",
            Self::Released => "released",
        }
    }
}

/// Hears of each step as it ends, on the thread that runs the load, which waits: the place to take NVML readings, and to hold a load for
/// inspection.
pub trait Observer: Sync {
    /// A step has ended.
    fn reached(&self, phase: Phase);

    /// Everything asked for is on the cards; it is freed when this returns.
    fn holding(&self) {}
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn reached(&self, _: Phase) {}
}

/// Counters of one load, written by its workers and read by whoever draws.
#[derive(Debug)]
pub struct Progress {
    ended: AtomicU8,
    read: AtomicU64,
    read_total: u64,
    ranks: Vec<RankCounters>,
}

#[derive(Debug)]
struct RankCounters {
    rank: u32,
    device: usize,
    total: u64,
    placed: AtomicU64,
    compared: AtomicU64,
}

/// A moment of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// The last step that has ended; `None` before the first.
    pub ended: Option<Phase>,
    /// Bytes read from files so far.
    pub read: Bytes,
    /// Bytes the files have for the cards.
    pub read_total: Bytes,
    /// Each rank, in the order of the placement.
    pub ranks: Vec<RankProgress>,
}

/// A moment of one rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankProgress {
    /// Global rank.
    pub rank: u32,
    /// Index of its card among the load's cards.
    pub device: usize,
    /// Bytes from files that have arrived on the card.
    pub placed: Bytes,
    /// Bytes from files that will arrive.
    pub total: Bytes,
    /// Bytes compared with the files.
    pub compared: Bytes,
}

impl Progress {
    /// Counters at zero for a placement.
    #[must_use]
    pub fn new(placement: &Placement) -> Self {
        let mut totals = vec![0_u64; placement.ranks.len()];
        let mut read_total = 0_u64;
        for read in placement.reads.iter().filter(|read| !read.destinations.is_empty()) {
            read_total = read_total.saturating_add(read.range.len);
            for destination in &read.destinations {
                if let Some(total) = totals.get_mut(destination.rank) {
                    *total = total.saturating_add(placed_bytes(&destination.copy, cast_of(destination.cast)));
                }
            }
        }
        let counters = |(rank, total): (&crate::placement::RankPlacement, u64)| RankCounters {
            rank: rank.rank,
            device: rank.device,
            total,
            placed: AtomicU64::new(0),
            compared: AtomicU64::new(0),
        };
        Self {
            ended: AtomicU8::new(u8::MAX),
            read: AtomicU64::new(0),
            read_total,
            ranks: placement.ranks.iter().zip(totals).map(counters).collect(),
        }
    }

    /// The counters now. Ranks are read one after another while the load goes on.
    #[must_use]
    pub fn snapshot(&self) -> ProgressSnapshot {
        let rank = |rank: &RankCounters| RankProgress {
            rank: rank.rank,
            device: rank.device,
            placed: Bytes(rank.placed.load(Ordering::Relaxed)),
            total: Bytes(rank.total),
            compared: Bytes(rank.compared.load(Ordering::Relaxed)),
        };
        ProgressSnapshot {
            ended: Phase::ALL.get(usize::from(self.ended.load(Ordering::Relaxed))).copied(),
            read: Bytes(self.read.load(Ordering::Relaxed)),
            read_total: Bytes(self.read_total),
            ranks: self.ranks.iter().map(rank).collect(),
        }
    }

    pub(super) fn end(&self, phase: Phase) {
        self.ended.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn add_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns what the rank has now.
    pub(super) fn add_placed(&self, rank: usize, bytes: u64) -> Option<RankProgress> {
        let counters = self.ranks.get(rank)?;
        let placed = counters.placed.fetch_add(bytes, Ordering::Relaxed) + bytes;
        Some(RankProgress {
            rank: counters.rank,
            device: counters.device,
            placed: Bytes(placed),
            total: Bytes(counters.total),
            compared: Bytes::ZERO,
        })
    }

    pub(super) fn add_compared(&self, rank: usize, bytes: u64) {
        if let Some(rank) = self.ranks.get(rank) {
            rank.compared.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}
