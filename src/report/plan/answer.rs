//! Puts an answered request into the report's form.

use super::{
    AdviceReport, CapacityReport, EngineReport, FleetReport, KvGroupReport, LayoutReport, LineReport, ModelReport,
    PlanReport, PredictedReport, RankReport, RejectedReport, Tool, VerdictReport, WeakestLine, WorkloadReport,
};
use crate::engines::command_line::CommandTemplate;
use crate::engines::{Component, Demand, EnginePlan, Line, RankPlan};
use crate::hardware::{Card, FleetSource, HostMemory};
use crate::planning::{self, PlanRequest, Planned};
use crate::report::HostReport;
use crate::units::Bytes;

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
