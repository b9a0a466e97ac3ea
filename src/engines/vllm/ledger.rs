//! The lines of one rank's ledger, and the account that each belongs to in its era.

use super::after_load::with_the_fallback;
use super::defaults::Scheduler;
use super::extras::offload;
use super::peaks::{self, Run};
use crate::engines::torch_allocator::Allocated;
use crate::engines::{Account, Component, Line, ShardTotals};
use crate::hardware::Card;
use crate::model::{LayerCache, Model};
use crate::profiles::{Bounds, Charge, VllmEra};
use crate::units::{Basis, Bytes, Estimate, Formula, ceil_div};

/// Bytes of FlashMLA's chunk of latent vectors: rows × 576 × 2 (`v1/attention/backends/mla/common.py`).
const LATENT_ROWS: u64 = 65_536;

/// Everything that a rank's lines follow from.
pub struct Ledger<'a> {
    /// The profiling run.
    pub run: Run<'a>,
    /// The rules.
    pub era: &'a VllmEra,
    /// The card.
    pub card: &'a Card,
    /// The rank's tensors.
    pub totals: &'a ShardTotals,
    /// What the allocator holds for them.
    pub allocated: Allocated,
    /// LoRA buffers and a draft's weights.
    pub extras: Vec<(&'static str, Bytes)>,
    /// Longest sequence.
    pub length: u64,
    /// No CUDA graphs.
    pub eager: bool,
}

const fn account(charge: Charge) -> Account {
    match charge {
        Charge::Baseline => Account::Baseline,
        Charge::Budget => Account::Budget,
        Charge::Margin => Account::Margin,
    }
}

const fn line(account: Account, component: Component, what: &'static str, estimate: Estimate) -> Line {
    Line { account, component, what, estimate }
}

fn exact(bytes: Bytes, rule: &'static str) -> Estimate {
    Estimate::exact(bytes, Basis::Profile, Formula::plain(rule))
}

impl Ledger<'_> {
    /// All lines but the KV pool.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::with_capacity(16);
        self.weights(&mut lines);
        lines.push(line(
            Account::Budget,
            Component::Activation,
            "peak of the profiling run",
            self.run.activation(self.era),
        ));
        self.non_torch(&mut lines);
        let budget = &self.era.budget;
        let context = self.card.context.clone();
        lines.push(line(account(budget.context), Component::Context, "CUDA context", context));
        self.communication(&mut lines);
        self.buffers(&mut lines);
        lines.push(line(account(budget.graphs), Component::CudaGraph, "captured CUDA graphs", self.graphs()));
        lines.push(line(
            account(budget.other_processes),
            Component::OtherProcesses,
            "processes that were there before",
            Estimate::exact(self.card.other_processes, Basis::Measured, Formula::plain("used before the start")),
        ));
        lines
    }

    /// Tensors, and what the allocator's blocks and segments hold beyond them.
    fn weights(&self, lines: &mut Vec<Line>) {
        let totals = self.totals;
        let formula = Formula::with(
            "constructed + after-load changes",
            &[("constructed", totals.constructed.0), ("resident", totals.resident.0)],
        );
        let resident = Estimate::exact(totals.resident, Basis::Derived, formula);
        lines.push(line(Account::Budget, Component::Weights, "parameters and buffers", resident));
        for (what, bytes) in &self.extras {
            let estimate = Estimate::exact(*bytes, Basis::Derived, Formula::plain("allocated with the weights"));
            lines.push(line(Account::Budget, Component::Weights, what, estimate));
        }
        let rest = self.allocated.blocks.saturating_sub(totals.constructed);
        let rule = "blocks of torch's allocator − tensors: a block keeps a rest of up to 1 MiB";
        // The order of allocation is known, what is freed in between is not: published lines differ by so much from the replay.
        let doubt = Bytes((totals.resident.0 as f64 * self.era.budget.weights_doubt) as u64);
        // States of bitsandbytes' matrices are small tensors that the replay does not see (published: 0.5 to 1.3 % more).
        let states = match self.run.model.quantization.as_ref().map(|q| q.method.as_str()) {
            Some("bitsandbytes") => Bytes(totals.resident.0 / 64),
            _ => Bytes::ZERO,
        };
        let fallback = states + with_the_fallback(self.run.model, self.run.layout, self.card, &totals.parts);
        let rest = Estimate::between(
            rest.saturating_sub(doubt),
            rest,
            rest + doubt + fallback,
            Basis::Derived,
            Formula::plain(rule),
        );
        lines.push(line(Account::Budget, Component::Allocator, "rests of blocks", rest));
        let unused = self.allocated.segments.saturating_sub(self.allocated.blocks);
        let account = if self.era.budget.segments { Account::Budget } else { Account::Margin };
        let unused = Estimate::exact(unused, Basis::Derived, Formula::plain("segments of torch's allocator − blocks"));
        lines.push(line(account, Component::Allocator, "unused parts of segments", unused));
    }

    /// Memory outside the tensor allocator that appears while profiling: inside the budget. What one rank alone has is kernels and library
    /// handles; what several have more is communication.
    fn non_torch(&self, lines: &mut Vec<Line>) {
        let constants = &self.era.non_torch;
        let layout = self.run.layout;
        let single = match (layout.tp, layout.pp) {
            (1, 2..) => constants.pipeline,
            _ => match (&constants.per_multiprocessor, self.card.multiprocessors) {
                (Some(each), Some(count)) => each.times(count),
                _ => constants.single,
            },
        };
        let what = "kernels and handles loaded while profiling";
        lines.push(line(Account::Budget, Component::Context, what, single.estimate("non-torch growth of one rank")));
        if layout.tp > 1 {
            let all = if self.card.nvlink { constants.parallel_nvlink } else { constants.parallel_pcie };
            let over = |part: fn(&Bounds) -> Bytes| part(&all).saturating_sub(part(&constants.single));
            let estimate = Estimate::between(
                over(|b| b.low),
                over(|b| b.expected),
                over(|b| b.high),
                Basis::Profile,
                Formula::plain("non-torch growth of TP > 1 over TP 1"),
            );
            let what = "communication set up while profiling";
            lines.push(line(Account::Budget, Component::Communication, what, estimate));
        }
    }

    /// Communicators and all-reduce buffers made at start.
    fn communication(&self, lines: &mut Vec<Line>) {
        let layout = self.run.layout;
        if layout.ranks() <= 1 {
            return;
        }
        let constants = &self.era.communication;
        let account = account(self.era.budget.communicators);
        let bounds = match (self.card.nvlink, layout.ranks()) {
            (true, 2) => constants.nvlink_two,
            (true, _) => constants.nvlink_more,
            (false, _) => constants.pcie,
        };
        // Eras whose non-torch figures include communicators have none here.
        if bounds.high > Bytes::ZERO {
            let estimate = bounds.estimate("NCCL channels × buffers, by link and ranks");
            lines.push(line(account, Component::Communication, "communicators", estimate));
        }
        // Without NVLink only pairs use it.
        let pairs_only = !self.card.nvlink && layout.tp > 2;
        if constants.custom_all_reduce_sizes.contains(&layout.tp) && !pairs_only {
            let estimate = exact(constants.custom_all_reduce, "metadata + data + rank table");
            lines.push(line(account, Component::Communication, "custom all-reduce buffers", estimate));
        }
        if let Some(bytes) = self.symmetric_memory() {
            let what = "symmetric memory of the all-reduce";
            lines.push(line(account, Component::Communication, what, exact(bytes, "by generation and ranks")));
        }
    }

    fn symmetric_memory(&self) -> Option<Bytes> {
        let by_ranks = self.era.buffers.symmetric_memory.as_ref().filter(|_| self.card.nvlink)?;
        let place = [2, 4, 6, 8].iter().position(|ranks| *ranks == self.run.layout.tp)?;
        match self.card.compute_capability {
            Some((9, _)) => Some(by_ranks.hopper[place].0),
            Some((10, _)) => Some(by_ranks.blackwell[place].0),
            _ => None,
        }
    }

    /// Buffers of fixed size that are no weights.
    fn buffers(&self, lines: &mut Vec<Line>) {
        let constants = &self.era.buffers;
        let model = self.run.model;
        let Scheduler { sequences, block_size, .. } = self.run.scheduler;
        if constants.penalty_state && self.run.stage.head {
            let cells = sequences.saturating_mul(model.vocab_size);
            let bytes = Bytes(cells.saturating_mul(4).saturating_add(cells / 8));
            let formula = Formula::with("S·V·4 + S·V/8", &[("S", sequences), ("V", model.vocab_size)]);
            let estimate = Estimate::exact(bytes, Basis::Derived, formula);
            lines.push(line(Account::Budget, Component::Context, "penalty state of the sampler", estimate));
        }
        let capability = self.card.compute_capability.map(|(major, _)| major);
        let flashinfer = constants.flashinfer_from > 0 && capability.is_some_and(|c| c >= constants.flashinfer_from);
        if flashinfer {
            let estimate = exact(constants.flashinfer_workspace, "fixed size");
            lines.push(line(Account::Margin, Component::Context, "attention workspace", estimate));
        }
        if has_latent(model) {
            let rows = self.length.saturating_mul(8).max(sequences.saturating_mul(4).saturating_mul(block_size));
            let bytes = self.run.dtype.size(rows.min(LATENT_ROWS).saturating_mul(576));
            let estimate = exact(bytes, "min(max(8·length, 4·S·block), 65536)·576·b");
            lines.push(line(Account::Margin, Component::Context, "chunks of latent vectors", estimate));
        }
        let tables = sequences.saturating_mul(ceil_div(self.length, block_size)).saturating_mul(8);
        let tables = tables.saturating_mul(model.caches.len() as u64);
        let estimate = exact(Bytes(tables), "S·length/block·4 B, twice, for each kind of layer");
        lines.push(line(Account::Margin, Component::Context, "block tables", estimate));
    }

    fn graphs(&self) -> Estimate {
        if self.eager {
            return Estimate::zero("none with --enforce-eager");
        }
        let Run { model, stage, scheduler, .. } = self.run;
        peaks::graphs(model, stage, self.card, scheduler, &self.era.graphs)
    }

    /// Top while loading: everything constructed, plus the largest tensor on its way.
    #[must_use]
    pub fn load_peak(&self) -> Estimate {
        let totals = self.totals;
        let in_flight = totals.tensors.iter().map(|t| t.bytes_each()).max().unwrap_or(Bytes::ZERO);
        let extras: Bytes = self.extras.iter().map(|(_, bytes)| *bytes).sum();
        // What goes to the host never is on the card all at once.
        let offloads = offload::moved(&totals.changes) > Bytes::ZERO;
        let tensors = if offloads { totals.resident } else { totals.constructed.max(totals.resident) };
        let base = tensors + extras + self.card.other_processes;
        let context = &self.card.context;
        Estimate::between(
            base + context.low,
            base + context.expected,
            base + context.high + in_flight,
            Basis::Derived,
            Formula::with(
                "constructed + context + others (+ largest tensor)",
                &[("constructed", totals.constructed.0)],
            ),
        )
    }
}

fn has_latent(model: &Model) -> bool {
    model.caches.iter().any(|group| matches!(group.cache, LayerCache::Latent { .. }))
}

/// Whether a stage's card differs from another in nothing that memory depends on.
#[must_use]
pub fn same_card(a: &Card, b: &Card) -> bool {
    a.capacity == b.capacity
        && a.other_processes == b.other_processes
        && a.compute_capability == b.compute_capability
        && a.multiprocessors == b.multiprocessors
        && a.nvlink == b.nvlink
        && a.context.low == b.context.low
        && a.context.expected == b.context.expected
        && a.context.high == b.context.high
}
