//! `shardfit/plan/1`: what a plan prints as JSON, and what its renderers format.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engines::command_line::CommandTemplate;
use crate::engines::{Cause, Component, Demand, EnginePlan, Line, RankPlan};
use crate::hardware::{Card, FleetSource, HostMemory};
use crate::planning::{self, PlanRequest, Planned};
use crate::report::HostReport;
use crate::units::{Basis, Bytes, Tokens};

/// Name and version of the program that wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `shardfit`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Tool {
    /// This program.
    #[must_use]
    pub fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReport {
    /// `shardfit/plan/1`.
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// The model.
    pub model: ModelReport,
    /// The engine.
    pub engine: EngineReport,
    /// The layout.
    pub layout: LayoutReport,
    /// The cards.
    pub fleet: FleetReport,
    /// The workload as the engine resolved it.
    pub workload: WorkloadReport,
    /// One entry a rank; under a device map one a card.
    pub ranks: Vec<RankReport>,
    /// Host memory.
    pub host: HostReport,
    /// The KV pool.
    pub capacity: CapacityReport,
    /// The answer.
    pub verdict: VerdictReport,
    /// Confirmed repairs, best first.
    pub advice: Vec<AdviceReport>,
    /// What was tried and does not help.
    pub rejected_advice: Vec<RejectedReport>,
    /// What the reader must know.
    pub warnings: Vec<String>,
    /// What was taken for granted for want of a statement.
    pub assumptions: Vec<String>,
    /// The estimated line whose bounds lie furthest apart.
    pub weakest_line: Option<WeakestLine>,
}

/// The model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelReport {
    /// Hub id or folder name.
    pub id: Option<String>,
    /// Architecture class.
    pub architecture: String,
    /// Parameters before quantisation, shared ones once.
    pub parameters: u64,
    /// Bytes of the checkpoint's tensors.
    pub checkpoint_bytes: Option<Bytes>,
    /// Why there is no figure.
    pub checkpoint_bytes_reason: Option<String>,
    /// `checkpoint`, `config`, `gguf`, `profile` or `hub`.
    pub source: String,
}

/// The engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineReport {
    /// Name.
    pub name: String,
    /// Version planned for.
    pub version: String,
    /// `flag`, `image_tag`, `installed` or `newest_known`.
    pub version_source: String,
}

/// The layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayoutReport {
    /// Tensor-parallel degree; `null` under a device map.
    pub tp: Option<u32>,
    /// Pipeline-parallel degree; `null` under a device map.
    pub pp: Option<u32>,
    /// Whether experts are spread whole.
    pub ep: bool,
    /// Data-parallel degree.
    pub dp: u32,
    /// Ranks planned.
    pub ranks: u32,
}

/// The cards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetReport {
    /// In words: `4×A10`.
    pub cards: String,
    /// How many.
    pub count: u32,
    /// `given`, `live` or `recorded`.
    pub source: String,
}

/// The workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadReport {
    /// Longest sequence.
    pub max_model_len: Option<Tokens>,
    /// Most sequences in one step.
    pub max_num_seqs: Option<u64>,
    /// Most tokens in one step.
    pub max_num_batched_tokens: Option<u64>,
    /// Element type of weights and activations.
    pub dtype: String,
    /// Quantisation method of the checkpoint.
    pub quantization: Option<String>,
    /// Element type of the KV cache.
    pub kv_cache_dtype: String,
    /// The engine's own knobs.
    #[serde(flatten)]
    pub knobs: BTreeMap<String, serde_json::Value>,
}

/// One rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankReport {
    /// Global rank.
    pub rank: u32,
    /// Position in the tensor-parallel group.
    pub tp_rank: Option<u32>,
    /// Pipeline stage.
    pub pp_rank: Option<u32>,
    /// Decoder layers, `0-27`; empty when none.
    pub layers: String,
    /// Index of its card.
    pub card: u32,
    /// The card's label.
    pub gpu: String,
    /// Identity of a live card.
    pub device_uuid: Option<String>,
    /// CUDA total of the card.
    pub capacity_bytes: Bytes,
    /// What the engine allows itself.
    pub budget_bytes: Option<Bytes>,
    /// Tensors as constructed.
    pub constructed_bytes: Bytes,
    /// The part of them that files fill.
    pub file_bytes: Bytes,
    /// Tensors that stay resident.
    pub weights_bytes: Bytes,
    /// The same by part of the model.
    pub weights: BTreeMap<String, Bytes>,
    /// KV bytes of one token.
    pub kv_bytes_per_token: Option<Bytes>,
    /// Why there is no single figure.
    pub kv_bytes_per_token_reason: Option<String>,
    /// KV by kind of layer.
    pub kv_groups: Vec<KvGroupReport>,
    /// KV pool or cache.
    pub kv_cache_bytes: Bytes,
    /// Activation peak.
    pub activation_bytes: Bytes,
    /// CUDA graphs.
    pub cuda_graph_bytes: Bytes,
    /// Communicators and their buffers.
    pub communication_bytes: Bytes,
    /// CUDA context, kernels, handles.
    pub context_bytes: Bytes,
    /// Held by the allocator beyond what is in use.
    pub allocator_bytes: Bytes,
    /// Held by other processes.
    pub other_processes_bytes: Bytes,
    /// Transient top while loading.
    pub load_peak_bytes: Bytes,
    /// Steady sum at the best figures.
    pub total_bytes: Bytes,
    /// Capacity less the top at high demand; negative when it does not fit.
    pub headroom_bytes: i64,
    /// The ledger.
    pub lines: Vec<LineReport>,
}

/// Layers that share one kind of cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KvGroupReport {
    /// `full` or `sliding`.
    pub kind: String,
    /// Layers of the rank.
    pub layers: u64,
    /// Tokens of one block.
    pub block_size: u64,
    /// Bytes of one block in one layer.
    pub page_bytes: Bytes,
    /// Tokens that stay in sight, where it is a window.
    pub window: Option<u64>,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineReport {
    /// What it is counted under.
    pub component: String,
    /// What it is.
    pub what: String,
    /// What it is charged to: `baseline` (there before the engine counts), `budget`, or `margin` (what the budget leaves of the card).
    pub account: String,
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

/// The KV pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityReport {
    /// Tokens that the pool truly holds.
    pub kv_cache_tokens: Option<Tokens>,
    /// Tokens that the engine prints.
    pub printed_kv_cache_tokens: Option<Tokens>,
    /// Blocks.
    pub kv_blocks: Option<u64>,
    /// Sequences of the longest length that fit at once.
    pub max_concurrency: Option<f64>,
    /// The longest sequence that fits, at most what the model supports.
    pub longest_context_that_fits: Option<Tokens>,
    /// The smallest number of cards of the limiting kind on which all of it fits.
    pub fewest_cards_that_fit: Option<u32>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictReport {
    /// Fits at high demand; `null` when it cannot be told.
    pub fits: Option<bool>,
    /// `fits`, `tight`, `does_not_fit` or `cannot_tell`.
    pub state: String,
    /// The rank that decides.
    pub limiting_rank: Option<u32>,
    /// Why it does not fit.
    pub cause: Option<Cause>,
    /// Bytes needed by the check that failed.
    pub need_bytes: Option<Bytes>,
    /// Bytes it had.
    pub have_bytes: Option<Bytes>,
    /// Bytes short.
    pub shortfall_bytes: Option<Bytes>,
    /// One sentence.
    pub message: String,
    /// The engine's own words for the failure.
    pub engine_message: Option<String>,
}

/// A confirmed repair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdviceReport {
    /// What changes.
    pub change: String,
    /// Flags to add or replace.
    pub flags: Vec<String>,
    /// Whether re-planning showed that it fits.
    pub confirmed: bool,
    /// Bytes by which the deciding check moves.
    pub gain_bytes: Option<Bytes>,
    /// What it costs.
    pub price: String,
    /// The plan with the change.
    pub predicted: PredictedReport,
    /// Why it is not confirmed.
    pub reason: Option<String>,
    /// The pasted command with the change.
    pub command: Option<String>,
}

/// A plan with a change, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredictedReport {
    /// `fits` or `tight`.
    pub state: String,
    /// Least headroom of any card.
    pub headroom_bytes: Bytes,
    /// Tokens of the KV pool.
    pub kv_cache_tokens: Option<Tokens>,
    /// Sequences of the longest length at once.
    pub max_concurrency: Option<f64>,
    /// Longest sequence.
    pub max_model_len: Option<Tokens>,
}

/// A change that does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedReport {
    /// What was tried.
    pub change: String,
    /// Why it does not help.
    pub why: String,
}

/// The least certain line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeakestLine {
    /// What it is counted under.
    pub component: String,
    /// What it is.
    pub what: String,
    /// Distance of its bounds.
    pub width_bytes: Bytes,
    /// Where it comes from.
    pub basis: Basis,
}

impl PlanReport {
    /// Writes the pasted command again with each repair.
    pub fn name_commands(&mut self, template: &CommandTemplate) {
        for advice in &mut self.advice {
            let changes: Vec<(&str, &str)> = advice
                .flags
                .iter()
                .filter_map(|flag| flag.strip_prefix("--"))
                .map(|flag| flag.split_once(' ').unwrap_or((flag, "true")))
                .collect();
            advice.command = Some(template.with_changes(&changes));
        }
    }

    /// Sets what loading takes of the host against what this machine has.
    pub fn compare_host(&mut self, memory: &HostMemory, request: &PlanRequest, plan: &EnginePlan) {
        // Where host and device share a pool there is one card, and its capacity is the pool.
        let shared = request.fleet.cards.iter().find(|card| card.shared_pool);
        let pool = shared.map(|card| {
            let device = plan.ranks.iter().map(|rank| rank.top(Demand::High)).sum();
            (device, card.capacity)
        });
        let short = self.host.compare(memory, pool);
        self.warnings.extend(short);
    }

    /// The schema's name.
    pub const SCHEMA: &'static str = "shardfit/plan/1";

    /// Puts an answered request into the report's form. `notes` are warnings of the edge, such as disagreeing headers.
    #[must_use]
    pub fn new(request: &PlanRequest, planned: &Planned, notes: &[String]) -> Self {
        let plan = &planned.plan;
        let settings = &request.settings;
        let ranks: Vec<RankReport> = (0u32..).zip(&plan.ranks).map(|(i, rank)| rank_report(i, rank, request)).collect();
        let mapped = plan.ranks.iter().any(|r| r.tp_rank.is_none());
        let mut warnings: Vec<String> = notes.to_vec();
        warnings.extend(request.engine.caveat(request.version));
        warnings.extend(plan.warnings.iter().cloned());
        Self {
            schema: Self::SCHEMA.to_owned(),
            tool: Tool::this(),
            model: ModelReport {
                id: request.model.id.clone(),
                architecture: request.model.architecture.clone(),
                parameters: request.model.parameters(),
                checkpoint_bytes: request.checkpoint_bytes,
                checkpoint_bytes_reason: request
                    .checkpoint_bytes
                    .is_none()
                    .then(|| "the config states no element type".to_owned()),
                source: request.source.name().to_owned(),
            },
            engine: EngineReport {
                name: request.engine.name().to_owned(),
                version: request.version.to_string(),
                version_source: request.version_source.name().to_owned(),
            },
            layout: LayoutReport {
                tp: (!mapped).then(|| settings.tensor_parallel.unwrap_or(1)),
                pp: (!mapped).then(|| settings.pipeline_parallel.unwrap_or(1)),
                ep: settings.expert_parallel.unwrap_or(false),
                dp: settings.data_parallel.unwrap_or(1),
                ranks: u32::try_from(plan.ranks.len()).unwrap_or(u32::MAX),
            },
            fleet: FleetReport {
                cards: request.fleet.to_string(),
                count: u32::try_from(request.fleet.cards.len()).unwrap_or(u32::MAX),
                source: match request.fleet.source {
                    FleetSource::Given => "given",
                    FleetSource::Live => "live",
                    FleetSource::Recorded => "recorded",
                }
                .to_owned(),
            },
            workload: WorkloadReport {
                max_model_len: plan.workload.max_model_len,
                max_num_seqs: plan.workload.max_num_seqs,
                max_num_batched_tokens: plan.workload.max_num_batched_tokens,
                dtype: plan.workload.dtype.to_string(),
                quantization: plan.workload.quantization.clone(),
                kv_cache_dtype: plan.workload.kv_cache_dtype.to_string(),
                knobs: plan.workload.knobs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            },
            weakest_line: weakest(&plan.ranks),
            ranks,
            host: HostReport::of_need(request.host_lines(plan).as_deref(), plan.offload),
            capacity: CapacityReport {
                kv_cache_tokens: plan.kv.tokens,
                printed_kv_cache_tokens: plan.kv.printed_tokens,
                kv_blocks: plan.kv.blocks,
                max_concurrency: plan.kv.max_concurrency,
                longest_context_that_fits: plan.kv.longest_context,
                fewest_cards_that_fit: planned.fewest_cards,
            },
            verdict: verdict_report(&planned.verdict),
            advice: planned.advice.iter().map(|a| advice_report(a, &planned.verdict)).collect(),
            rejected_advice: planned
                .rejected
                .iter()
                .map(|r| RejectedReport { change: r.change.clone(), why: r.why.clone() })
                .collect(),
            warnings,
            assumptions: plan.assumptions.clone(),
        }
    }
}

fn verdict_report(verdict: &planning::Verdict) -> VerdictReport {
    use planning::State;
    VerdictReport {
        fits: match verdict.state {
            State::Fits => Some(true),
            State::Tight | State::DoesNotFit => Some(false),
            State::CannotTell => None,
        },
        state: verdict.state.name().to_owned(),
        limiting_rank: u32::try_from(verdict.limiting_rank).ok(),
        cause: verdict.cause,
        need_bytes: verdict.need,
        have_bytes: verdict.have,
        shortfall_bytes: verdict.shortfall(),
        message: verdict.message.clone(),
        engine_message: verdict.engine_words.clone(),
    }
}

fn advice_report(advice: &planning::Advice, verdict: &planning::Verdict) -> AdviceReport {
    AdviceReport {
        change: advice.change.clone(),
        flags: advice.flags.clone(),
        confirmed: true,
        gain_bytes: verdict.shortfall().map(|short| short + advice.headroom),
        price: advice.price.clone(),
        predicted: PredictedReport {
            state: advice.state.name().to_owned(),
            headroom_bytes: advice.headroom,
            kv_cache_tokens: advice.kv_tokens,
            max_concurrency: advice.concurrency,
            max_model_len: advice.max_model_len,
        },
        reason: None,
        command: None,
    }
}

fn rank_report(index: u32, rank: &RankPlan, request: &PlanRequest) -> RankReport {
    let card: Option<&Card> = request.fleet.cards.get(rank.card);
    let capacity = card.map_or(Bytes::ZERO, |c| c.capacity);
    let layers = match rank.layers.end.saturating_sub(rank.layers.start) {
        0 => String::new(),
        1 => rank.layers.start.to_string(),
        _ => format!("{}-{}", rank.layers.start, rank.layers.end - 1),
    };
    RankReport {
        rank: index,
        tp_rank: rank.tp_rank,
        pp_rank: rank.pp_rank,
        layers,
        card: u32::try_from(rank.card).unwrap_or(u32::MAX),
        gpu: card.map_or_else(String::new, |c| c.label.clone()),
        device_uuid: card.and_then(|c| c.uuid.clone()),
        capacity_bytes: capacity,
        budget_bytes: rank.budget,
        constructed_bytes: rank.tensors.constructed,
        file_bytes: rank.tensors.from_files,
        weights_bytes: rank.tensors.resident,
        weights: rank.tensors.parts.iter().map(|(part, bytes)| (part.name().to_owned(), *bytes)).collect(),
        kv_bytes_per_token: rank.kv_bytes_per_token,
        kv_bytes_per_token_reason: rank
            .kv_bytes_per_token
            .is_none()
            .then(|| "layers differ in how they remember; see kv_groups".to_owned()),
        kv_groups: rank
            .kv_groups
            .iter()
            .map(|group| {
                let (kind, window) = (group.cache.name(), group.cache.window());
                KvGroupReport {
                    kind: kind.to_owned(),
                    layers: group.layers,
                    block_size: group.block_size,
                    page_bytes: group.page_bytes,
                    window,
                }
            })
            .collect(),
        kv_cache_bytes: rank.expected(Component::KvCache),
        activation_bytes: rank.expected(Component::Activation),
        cuda_graph_bytes: rank.expected(Component::CudaGraph),
        communication_bytes: rank.expected(Component::Communication),
        context_bytes: rank.expected(Component::Context),
        allocator_bytes: rank.expected(Component::Allocator),
        other_processes_bytes: rank.expected(Component::OtherProcesses),
        load_peak_bytes: rank.load_peak.expected,
        total_bytes: rank.steady(Demand::Expected),
        headroom_bytes: capacity.delta(rank.top(Demand::High)).as_i64(),
        lines: rank.lines.iter().chain([&rank.kv_line]).map(line_report).collect(),
    }
}

fn line_report(line: &Line) -> LineReport {
    LineReport {
        component: line.component.name().to_owned(),
        what: line.what.to_owned(),
        account: line.account.name().to_owned(),
        low: line.estimate.low,
        expected: line.estimate.expected,
        high: line.estimate.high,
        basis: line.estimate.basis,
        formula: line.estimate.formula.to_string(),
    }
}

/// The line with the widest bounds; the KV pool is left out, because its width is only that of the others.
fn weakest(ranks: &[RankPlan]) -> Option<WeakestLine> {
    let lines = ranks.iter().flat_map(|r| &r.lines);
    let widest = lines.filter(|l| l.component != Component::KvCache).max_by_key(|l| l.estimate.width())?;
    (widest.estimate.width() > Bytes::ZERO).then(|| WeakestLine {
        component: widest.component.name().to_owned(),
        what: widest.what.to_owned(),
        width_bytes: widest.estimate.width(),
        basis: widest.estimate.basis,
    })
}
