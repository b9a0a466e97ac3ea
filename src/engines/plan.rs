//! What an engine's memory model says about a deployment: one ledger a rank, three scenarios, the engine's own refusals.

use std::ops::Range;
use std::sync::Arc;

use super::{Cause, Change};
use crate::model::{LayerCache, Part};
use crate::sharding::RankTensor;
use crate::units::{Bytes, DType, Estimate, Tokens};

/// Demand assumed in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// Every estimate at its low end.
    Low,
    /// Every estimate at its best figure.
    Expected,
    /// Every estimate at its high end.
    High,
}

impl Demand {
    /// All three, in order.
    pub const ALL: [Self; 3] = [Self::Low, Self::Expected, Self::High];

    /// The figure of an estimate in this scenario.
    #[must_use]
    pub const fn of(self, estimate: &Estimate) -> Bytes {
        match self {
            Self::Low => estimate.low,
            Self::Expected => estimate.expected,
            Self::High => estimate.high,
        }
    }
}

/// What a ledger line is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Parameters and registered buffers after the kernels' own repacking.
    Weights,
    /// KV pool or cache.
    KvCache,
    /// Peak of activations, logits and sampling.
    Activation,
    /// Captured CUDA graphs.
    CudaGraph,
    /// Communicators and their buffers.
    Communication,
    /// CUDA context, kernels and library handles.
    Context,
    /// Memory the allocator holds beyond what is in use.
    Allocator,
    /// Processes that were there before.
    OtherProcesses,
}

impl Component {
    /// All components, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Weights,
        Self::KvCache,
        Self::Activation,
        Self::CudaGraph,
        Self::Communication,
        Self::Context,
        Self::Allocator,
        Self::OtherProcesses,
    ];

    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::KvCache => "kv_cache",
            Self::Activation => "activation",
            Self::CudaGraph => "cuda_graph",
            Self::Communication => "communication",
            Self::Context => "context",
            Self::Allocator => "allocator",
            Self::OtherProcesses => "other_processes",
        }
    }
}

/// Which account of the engine's own arithmetic a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// There before the engine takes its baseline: lowers what is free at start, not charged to the budget.
    Baseline,
    /// Charged to the engine's budget.
    Budget,
    /// Comes after the budget was divided up: must find room in what the budget leaves of the card.
    Margin,
}

impl Account {
    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Budget => "budget",
            Self::Margin => "margin",
        }
    }
}

/// One line of a rank's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose account it is on; engines without a budget put everything on [`Account::Budget`].
    pub account: Account,
    /// What it is counted under.
    pub component: Component,
    /// What it is, in words.
    pub what: &'static str,
    /// How much.
    pub estimate: Estimate,
}

/// One rank's place and memory. Under a device map a rank is a card.
#[derive(Debug, Clone, PartialEq)]
pub struct RankPlan {
    /// Position in the tensor-parallel group; `None` under a device map.
    pub tp_rank: Option<u32>,
    /// Pipeline stage; `None` under a device map.
    pub pp_rank: Option<u32>,
    /// Number of decoder layers on it, and which where they are consecutive.
    pub layers: Range<u32>,
    /// Index of its card in the fleet.
    pub card: usize,
    /// Its tensors; ranks with equal shapes share them.
    pub tensors: Arc<ShardTotals>,
    /// The budget that the engine allows itself; `None` for engines without one.
    pub budget: Option<Bytes>,
    /// Ledger without the KV pool of budgeted engines, which depends on the scenario.
    pub lines: Vec<Line>,
    /// KV pool or cache in each scenario, by [`Demand`].
    pub kv: [Bytes; 3],
    /// How the KV figure came about.
    pub kv_line: Line,
    /// Transient top while loading.
    pub load_peak: Estimate,
    /// KV bytes of one token; `None` when layers differ in how they remember.
    pub kv_bytes_per_token: Option<Bytes>,
    /// KV by kind of layer.
    pub kv_groups: Vec<KvGroup>,
}

impl RankPlan {
    /// Steady use of the rank's card in a scenario.
    #[must_use]
    pub fn steady(&self, demand: Demand) -> Bytes {
        let lines: Bytes = self.lines.iter().map(|l| demand.of(&l.estimate)).sum();
        lines + self.kv[demand as usize]
    }

    /// Top of the rank's card in a scenario: steady state or load, whichever is higher.
    #[must_use]
    pub fn top(&self, demand: Demand) -> Bytes {
        self.steady(demand).max(demand.of(&self.load_peak))
    }

    /// Sum of the lines of one component at its best figure, the KV cache included.
    #[must_use]
    pub fn expected(&self, component: Component) -> Bytes {
        let lines: Bytes = self.lines.iter().filter(|l| l.component == component).map(|l| l.estimate.expected).sum();
        if component == Component::KvCache { lines + self.kv[Demand::Expected as usize] } else { lines }
    }
}

/// Sums over one rank's tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardTotals {
    /// The tensors of the first rank with these shapes.
    pub tensors: Vec<RankTensor>,
    /// What the kernels change after loading.
    pub changes: Vec<Change>,
    /// Bytes as constructed.
    pub constructed: Bytes,
    /// The part of it that files fill.
    pub from_files: Bytes,
    /// Resident bytes by part, after the changes.
    pub parts: Vec<(Part, Bytes)>,
    /// Resident bytes: constructed plus changes.
    pub resident: Bytes,
}

impl ShardTotals {
    /// Adds up the tensors and their changes.
    #[must_use]
    pub fn new(tensors: Vec<RankTensor>, changes: Vec<Change>) -> Self {
        let constructed: Bytes = tensors.iter().map(RankTensor::bytes).sum();
        let from_files = tensors.iter().map(RankTensor::file_bytes).sum();
        let mut sums = Part::ALL.map(|part| (part, 0i128));
        let mut add = |part: Part, bytes: i128| sums[part as usize].1 += bytes;
        tensors.iter().for_each(|t| add(t.part, i128::from(t.bytes().0)));
        changes.iter().for_each(|c| add(c.part, c.bytes.0));
        let parts = sums.map(|(part, bytes)| (part, Bytes(u64::try_from(bytes).unwrap_or(0)))).to_vec();
        let resident = parts.iter().map(|(_, bytes)| *bytes).sum();
        Self { tensors, changes, constructed, from_files, parts, resident }
    }
}

/// Layers that share one kind of cache, on one rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvGroup {
    /// Layers of the rank.
    pub layers: u64,
    /// What they keep.
    pub cache: LayerCache,
    /// Bytes of one block (or token, for engines without blocks) in one layer.
    pub page_bytes: Bytes,
    /// Tokens of one block.
    pub block_size: u64,
}

/// The KV pool as the engine counts it.
#[derive(Debug, Clone, PartialEq)]
pub struct KvCapacity {
    /// Blocks; `None` for engines without a pool.
    pub blocks: Option<u64>,
    /// Tokens that the pool truly holds for sequences of `max_model_len`.
    pub tokens: Option<Tokens>,
    /// Tokens that the engine prints.
    pub printed_tokens: Option<Tokens>,
    /// Sequences of `max_model_len` that fit at once.
    pub max_concurrency: Option<f64>,
    /// The longest sequence that fits, at most what the model supports.
    pub longest_context: Option<Tokens>,
}

/// A start that the engine (or the driver) would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// Where: index into the ranks; `None` when it concerns all.
    pub rank: Option<usize>,
    /// Bytes needed, where the refusal is one of memory.
    pub need: Option<Bytes>,
    /// Bytes there.
    pub have: Option<Bytes>,
    /// In the engine's own words.
    pub message: String,
}

/// The workload as the engine resolved it.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Longest sequence.
    pub max_model_len: Option<Tokens>,
    /// Most sequences in one step.
    pub max_num_seqs: Option<u64>,
    /// Most tokens in one step.
    pub max_num_batched_tokens: Option<u64>,
    /// Element type of weights and activations.
    pub dtype: DType,
    /// Quantisation method.
    pub quantization: Option<String>,
    /// Element type of the KV cache.
    pub kv_cache_dtype: DType,
    /// The engine's own knobs, name and value.
    pub knobs: Vec<(&'static str, serde_json::Value)>,
}

/// A deployment as the engine would run it.
#[derive(Debug, Clone, PartialEq)]
pub struct EnginePlan {
    /// The workload.
    pub workload: Workload,
    /// One entry a rank, in rank order.
    pub ranks: Vec<RankPlan>,
    /// The KV pool at the best figures.
    pub kv: KvCapacity,
    /// The first refusal in each scenario, by [`Demand`].
    pub refusals: [Option<Refusal>; 3],
    /// What the reader must know.
    pub warnings: Vec<String>,
    /// What was assumed for want of a fact.
    pub assumptions: Vec<String>,
    /// Weights, swap space and caches kept in host memory; `None` where the engine's way of loading is not modelled.
    pub offload: Option<Bytes>,
    /// Data-parallel replicas, of which `ranks` is one; each has as many cards of its own.
    pub replicas: u32,
}
