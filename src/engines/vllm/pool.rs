//! Sizing the KV pool, in each scenario, and the first check that stops the start.

use super::KvLayout;
use super::refusals::{self, AtStart, TooLong};
use crate::engines::{Account, Cause, Component, Demand, KvCapacity, RankPlan, Refusal};
use crate::profiles::VllmEra;
use crate::units::{Basis, Bytes, Estimate, Formula, Tokens};

/// Longest sequence looked for where neither user nor model sets an end.
const NO_LIMIT: u64 = 1 << 24;

/// Ranks with equal ledgers.
pub struct Kind {
    /// The first of them.
    pub first: usize,
    /// Whether they sample.
    pub samples: bool,
    /// The ledger.
    pub rank: RankPlan,
    /// The KV layout.
    pub kv: KvLayout,
    /// CUDA total of the card.
    pub capacity: Bytes,
}

/// What the pool's size follows from, beside the ranks.
pub struct Pool<'a> {
    /// The rules.
    pub era: &'a VllmEra,
    /// A pool of fixed size, in place of the budget.
    pub fixed: Option<Bytes>,
    /// Share of the card.
    pub fraction: f64,
    /// Longest sequence; `None` for the longest that fits.
    pub stated: Option<Tokens>,
    /// The model's own limit.
    pub limit: Option<u64>,
}

/// The pool and what came of it.
pub struct Sized {
    /// Longest sequence, resolved.
    pub length: Tokens,
    /// The pool.
    pub kv: KvCapacity,
    /// The first refusal in each scenario.
    pub refusals: [Option<Refusal>; 3],
}

impl Pool<'_> {
    /// Sizes the pool of all ranks: the poorest decides.
    pub fn size(&self, kinds: &mut [Kind]) -> Sized {
        let available = |kind: &Kind, demand: Demand| self.available(&kind.rank, demand).unwrap_or(Bytes::ZERO);
        let longest = {
            let limit = self.limit.unwrap_or(NO_LIMIT);
            let of = |kind: &Kind| kind.kv.longest(available(kind, Demand::Expected), limit);
            kinds.iter().map(of).min().unwrap_or(0)
        };
        let length = self.stated.unwrap_or(Tokens(longest.max(1)));
        let mut refused = [None, None, None];
        let mut blocks = [0u64; 3];
        for demand in Demand::ALL {
            let i = demand as usize;
            blocks[i] = kinds.iter().map(|kind| kind.kv.blocks(available(kind, demand))).min().unwrap_or(0);
            refused[i] = kinds.iter().find_map(|kind| self.refusal(kind, demand, length.0));
        }
        for kind in kinds.iter_mut() {
            kind.fill(blocks);
        }
        // After the pool is made, what lies outside the budget must still find room.
        for demand in Demand::ALL {
            let i = demand as usize;
            if refused[i].is_none() {
                refused[i] = kinds.iter().find_map(|kind| kind.after_start(demand));
            }
        }
        let count = blocks[Demand::Expected as usize];
        let started = refused[Demand::Expected as usize].is_none();
        let first = kinds.first().map(|kind| &kind.kv);
        let kv = KvCapacity {
            blocks: Some(count),
            tokens: first.and_then(|kv| kv.tokens(count, length.0)).map(Tokens),
            printed_tokens: first.filter(|_| started).map(|kv| Tokens(kv.printed_tokens(count, length.0))),
            max_concurrency: first.and_then(|kv| kv.concurrency(count, length.0)),
            longest_context: (longest > 0).then_some(Tokens(longest)),
        };
        Sized { length, kv, refusals: refused }
    }

    /// Bytes left for the KV pool: the budget less what is charged to it. `None` when nothing is.
    fn available(&self, rank: &RankPlan, demand: Demand) -> Option<Bytes> {
        if let Some(fixed) = self.fixed {
            return Some(fixed);
        }
        let charged = on(rank, Account::Budget, demand);
        let budget = rank.budget?;
        (budget > charged).then(|| budget.saturating_sub(charged))
    }

    /// The first check that stops a rank in a scenario, in the order in which a start meets them.
    fn refusal(&self, kind: &Kind, demand: Demand, length: u64) -> Option<Refusal> {
        let Kind { first: index, rank, kv, capacity, .. } = kind;
        let (index, capacity) = (*index, *capacity);
        let budget = rank.budget.unwrap_or(capacity);
        let at_start = on(rank, Account::Baseline, demand);
        let free = capacity.saturating_sub(at_start);
        if self.era.budget.start_check && free < budget {
            let others = rank.expected(Component::OtherProcesses);
            let start = AtStart { rank: index, free, total: capacity, fraction: self.fraction, wanted: budget, others };
            return Some(refusals::free_at_start(&self.era.words, &start));
        }
        let load = demand.of(&rank.load_peak);
        if load > capacity {
            return Some(refusals::out_of_memory(Cause::WeightsDoNotFit, index, load, capacity));
        }
        let charged = on(rank, Account::Budget, demand);
        // Graphs are estimated, not there yet, while profiling.
        let graphs: Bytes = rank
            .lines
            .iter()
            .filter(|l| l.account == Account::Budget && l.component == Component::CudaGraph)
            .map(|l| demand.of(&l.estimate))
            .sum();
        let profiling = (at_start + charged).saturating_sub(graphs);
        if profiling > capacity {
            return Some(refusals::out_of_memory(Cause::ActivationOrLogitsPeak, index, profiling, capacity));
        }
        let Some(available) = self.available(rank, demand) else {
            return Some(refusals::no_blocks(&self.era.words, index, charged, budget));
        };
        if kv.blocks(available) == 0 && kv.block_bytes() > Bytes::ZERO {
            return Some(refusals::no_blocks(&self.era.words, index, charged + kv.block_bytes(), budget));
        }
        let need = kv.sequence_bytes(length);
        (need > available).then(|| {
            let longest = kv.longest(available, length);
            let too_long = TooLong {
                rank: index,
                length,
                need,
                available,
                longest,
                capacity: kv.printed_tokens(kv.blocks(available), length),
            };
            match self.stated {
                None if longest == 0 => refusals::nothing_fits(&self.era.words, &too_long),
                _ => refusals::sequence_too_long(&self.era.words, &too_long),
            }
        })
    }
}

impl Kind {
    /// Enters the pool into the ledger.
    fn fill(&mut self, blocks: [u64; 3]) {
        let block = self.kv.block_bytes();
        let pool = |demand: Demand| block * blocks[demand as usize];
        self.rank.kv = Demand::ALL.map(pool);
        self.rank.kv_line.estimate = Estimate::between(
            pool(Demand::High),
            pool(Demand::Expected),
            pool(Demand::Low),
            Basis::Profile,
            Formula::with(
                "floor((fraction·total − what the budget pays for) / block)·block",
                &[
                    ("budget", self.rank.budget.map_or(0, |b| b.0)),
                    ("block", block.0),
                    ("blocks", blocks[Demand::Expected as usize]),
                ],
            ),
        );
    }

    /// The refusal of a rank that starts, and then runs out of memory.
    fn after_start(&self, demand: Demand) -> Option<Refusal> {
        let top = self.rank.top(demand);
        let graphs = self.rank.expected(Component::CudaGraph) > Bytes::ZERO;
        let cause = if graphs { Cause::CudaGraphCapture } else { Cause::NcclOrLibraryWorkspace };
        (top > self.capacity).then(|| refusals::out_of_memory(cause, self.first, top, self.capacity))
    }
}

/// Sum of the lines on one account.
pub fn on(rank: &RankPlan, account: Account, demand: Demand) -> Bytes {
    rank.lines.iter().filter(|l| l.account == account).map(|l| demand.of(&l.estimate)).sum()
}
