//! The start-up budget of 0.11: what vLLM allows itself, what is left for the KV pool, and which check stops it first.

use std::sync::Arc;

use serde_json::json;

use super::defaults::{self, Scheduler};
use super::{KvLayout, PageOptions, Release, after_load, peaks, refusals, sharding};
use crate::engines::{
    Account, Cause, Component, Demand, Deployment, EngineError, EnginePlan, KvCapacity, Line, RankPlan, RankShard,
    Refusal, Settings, ShardTotals, Workload,
};
use crate::hardware::Card;
use crate::model::Model;
use crate::profiles::VllmEra;
use crate::sharding::{Layout, Rank, ShardError, ShardingRules, Stage, shard};
use crate::units::{Basis, Bytes, DType, Estimate, Formula, Fraction, Tokens};

/// Plans a deployment by the rules of an era.
pub fn plan(deployment: &Deployment<'_>, era: &VllmEra) -> Result<EnginePlan, EngineError> {
    let Deployment { model, settings, fleet, version } = *deployment;
    let model = &*after_load::as_chosen(model, settings)?;
    let layout = layout(settings)?;
    refusals::heads_divide(model, layout.tp)?;
    let first = fleet.cards.first().ok_or_else(|| EngineError::Unknown("the fleet has no cards".to_owned()))?;
    let dtype = defaults::dtype(settings, model, first)?;
    let release = Release::of(version);
    let mut rules = sharding::rules(model, layout, dtype, settings.layer_partition.as_deref(), release)
        .map_err(|e| refusals::does_not_divide(&e, model))?;
    let scheduler = Scheduler::resolve(settings, first, &era.scheduler)?;
    rules.generated.extend(sharding::batch_buffers(model, scheduler.batched_tokens, dtype, release));
    rules.generated.extend(after_load::expert_workspaces(model, layout, first));
    rules.expert_padding = after_load::expert_padding(first);
    let totals = stage_totals(model, layout, &rules, first, release)?;
    if fleet.cards.len() < layout.ranks() as usize {
        return Err(EngineError::TooFewCards { ranks: layout.ranks(), cards: fleet.cards.len() });
    }
    let engine = Start {
        model,
        settings,
        layout,
        rules: &rules,
        era,
        dtype,
        kv_dtype: defaults::kv_cache_dtype(settings, dtype, model)?,
        release,
        capability: first.compute_capability,
        scheduler,
        fraction: settings
            .memory_fraction
            .map_or_else(|| Fraction::new(era.budget.memory_fraction), Ok)
            .map_err(|e| EngineError::Unknown(e.to_string()))?,
    };
    let mut ranks = Vec::with_capacity(layout.ranks() as usize);
    for rank in layout.iter() {
        let stage = &rules.stages[rank.pp_rank as usize];
        let index = rank.global(layout) as usize;
        ranks.push(engine.rank(rank, stage, index, &fleet.cards[index], Arc::clone(&totals[rank.pp_rank as usize])));
    }
    engine.finish(ranks, &fleet.cards)
}

/// The tensors of every rank with their slices.
pub fn shards(deployment: &Deployment<'_>) -> Result<Vec<RankShard>, EngineError> {
    let Deployment { model, settings, fleet, version } = *deployment;
    let model = &*after_load::as_chosen(model, settings)?;
    let layout = layout(settings)?;
    refusals::heads_divide(model, layout.tp)?;
    let first = fleet.cards.first().ok_or_else(|| EngineError::Unknown("the fleet has no cards".to_owned()))?;
    let dtype = defaults::dtype(settings, model, first)?;
    let refused = |e: ShardError| refusals::does_not_divide(&e, model);
    let partition = settings.layer_partition.as_deref();
    let mut rules = sharding::rules(model, layout, dtype, partition, Release::of(version)).map_err(refused)?;
    rules.expert_padding = after_load::expert_padding(first);
    layout
        .iter()
        .map(|rank| {
            let tensors = shard(model, layout, &rules, rank).map_err(refused)?;
            Ok(RankShard { rank: rank.global(layout), tensors })
        })
        .collect()
}

/// Degrees of parallelism as set; nothing set is 1.
fn layout(settings: &Settings) -> Result<Layout, EngineError> {
    let degree = |flag: &'static str, value: Option<u32>| match value.unwrap_or(1) {
        n @ 1..=4096 => Ok(n),
        n => {
            let expected = "must be between 1 and 4096".to_owned();
            Err(EngineError::Setting { flag, value: n.to_string(), expected })
        }
    };
    Ok(Layout {
        tp: degree("tensor-parallel-size", settings.tensor_parallel)?,
        pp: degree("pipeline-parallel-size", settings.pipeline_parallel)?,
        dp: degree("data-parallel-size", settings.data_parallel)?,
        ep: settings.expert_parallel.unwrap_or(false),
    })
}

/// Tensors of each stage. All ranks of a stage have the same shapes, so one stands for all.
fn stage_totals(
    model: &Model,
    layout: Layout,
    rules: &ShardingRules,
    card: &Card,
    release: Release,
) -> Result<Vec<Arc<ShardTotals>>, EngineError> {
    (0..layout.pp)
        .map(|pp_rank| {
            let tensors = shard(model, layout, rules, Rank { tp_rank: 0, pp_rank })
                .map_err(|e| refusals::does_not_divide(&e, model))?;
            let changes = after_load::changes(model, &tensors, card, release);
            Ok(Arc::new(ShardTotals::new(tensors, changes)))
        })
        .collect()
}

/// One start of the engine with all settings resolved.
struct Start<'a> {
    model: &'a Model,
    settings: &'a Settings,
    layout: Layout,
    rules: &'a ShardingRules,
    era: &'a VllmEra,
    dtype: DType,
    kv_dtype: DType,
    release: Release,
    capability: Option<(u32, u32)>,
    scheduler: Scheduler,
    fraction: Fraction,
}

impl Start<'_> {
    fn kv_layout(&self, stage: &Stage) -> KvLayout {
        let Scheduler { block_size, batched_tokens, .. } = self.scheduler;
        let options =
            PageOptions { dtype: self.kv_dtype, model_dtype: self.dtype, block_size, capability: self.capability };
        KvLayout::new(self.model, self.layout, &stage.layers, options, batched_tokens, self.release)
    }

    /// The ledger of one rank, its KV pool still empty.
    fn rank(&self, rank: Rank, stage: &Stage, index: usize, card: &Card, totals: Arc<ShardTotals>) -> RankPlan {
        let mut lines = vec![Line {
            account: Account::Budget,
            component: Component::Weights,
            what: "parameters and buffers",
            estimate: Estimate::exact(
                totals.resident,
                Basis::Derived,
                Formula::with(
                    "constructed + after-load changes",
                    &[("constructed", totals.constructed.0), ("resident", totals.resident.0)],
                ),
            ),
        }];
        lines.push(Line {
            account: Account::Budget,
            component: Component::Activation,
            what: "peak of the profiling run",
            estimate: peaks::activation(
                self.model,
                self.layout,
                stage,
                self.scheduler,
                self.dtype,
                &self.era.activation,
            ),
        });
        lines.extend(self.non_torch(card));
        lines.extend(self.outside(stage, card));
        let kv = self.kv_layout(stage);
        RankPlan {
            tp_rank: Some(rank.tp_rank),
            pp_rank: Some(rank.pp_rank),
            layers: stage.layers.clone(),
            card: index,
            budget: Some(self.fraction.of(card.capacity)),
            load_peak: self.load_peak(&totals, card),
            kv: [Bytes::ZERO; 3],
            kv_line: Line {
                account: Account::Budget,
                component: Component::KvCache,
                what: "KV pool",
                estimate: Estimate::zero("not sized yet"),
            },
            kv_bytes_per_token: kv.bytes_per_token(),
            kv_groups: kv.groups,
            tensors: totals,
            lines,
        }
    }

    /// Memory outside the tensor allocator that appears while profiling: inside the budget. What one rank alone has is kernels and library
    /// handles; what several have more is communication.
    fn non_torch(&self, card: &Card) -> Vec<Line> {
        let constants = &self.era.non_torch;
        let single = constants.single;
        let mut lines = vec![Line {
            account: Account::Budget,
            component: Component::Context,
            what: "kernels and handles loaded while profiling",
            estimate: single.estimate("non-torch growth at TP 1"),
        }];
        if self.layout.tp > 1 {
            let all = if card.nvlink { constants.parallel_nvlink } else { constants.parallel_pcie };
            lines.push(Line {
                account: Account::Budget,
                component: Component::Communication,
                what: "communication set up while profiling",
                estimate: Estimate::between(
                    all.low.saturating_sub(single.low),
                    all.expected.saturating_sub(single.expected),
                    all.high.saturating_sub(single.high),
                    Basis::Profile,
                    Formula::plain("non-torch growth of TP > 1 over TP 1"),
                ),
            });
        }
        lines
    }

    /// Memory outside the budget: context, communicators, graphs, others.
    fn outside(&self, stage: &Stage, card: &Card) -> Vec<Line> {
        let mut lines = vec![Line {
            account: Account::Baseline,
            component: Component::Context,
            what: "CUDA context",
            estimate: card.context.clone(),
        }];
        if self.layout.ranks() > 1 {
            let constants = &self.era.communication;
            let bounds = match (card.nvlink, self.layout.ranks()) {
                (true, 2) => constants.nvlink_two,
                (true, _) => constants.nvlink_more,
                (false, _) => constants.pcie,
            };
            lines.push(Line {
                account: Account::Baseline,
                component: Component::Communication,
                what: "communicators",
                estimate: bounds.estimate("NCCL channels × buffers, by link and ranks"),
            });
            // Without NVLink only pairs use it.
            let pairs_only = !card.nvlink && self.layout.tp > 2;
            if constants.custom_all_reduce_sizes.contains(&self.layout.tp) && !pairs_only {
                lines.push(Line {
                    account: Account::Baseline,
                    component: Component::Communication,
                    what: "custom all-reduce buffers",
                    estimate: Estimate::exact(
                        constants.custom_all_reduce,
                        Basis::Profile,
                        Formula::plain("8 MiB metadata + 8 MiB data + 8 MiB rank table"),
                    ),
                });
            }
        }
        let eager = self.settings.enforce_eager == Some(true);
        lines.push(Line {
            account: Account::Margin,
            component: Component::CudaGraph,
            what: "captured CUDA graphs",
            estimate: if eager {
                Estimate::zero("none with --enforce-eager")
            } else {
                peaks::graphs(self.model, stage, self.scheduler, &self.era.graphs)
            },
        });
        lines.push(Line {
            account: Account::Baseline,
            component: Component::OtherProcesses,
            what: "processes that were there before",
            estimate: Estimate::exact(card.other_processes, Basis::Measured, Formula::plain("used before the start")),
        });
        lines
    }

    /// Top while loading: everything constructed, plus the largest tensor on its way.
    fn load_peak(&self, totals: &ShardTotals, card: &Card) -> Estimate {
        let in_flight = totals.tensors.iter().map(|t| t.bytes_each()).max().unwrap_or(Bytes::ZERO);
        let base = totals.constructed.max(totals.resident) + card.other_processes;
        Estimate::between(
            base + card.context.low,
            base + card.context.expected,
            base + card.context.high + in_flight,
            Basis::Derived,
            Formula::with(
                "constructed + context + others (+ largest tensor)",
                &[("constructed", totals.constructed.0)],
            ),
        )
    }

    /// Sizes the pool in each scenario and finds the first refusal of each.
    fn finish(&self, mut ranks: Vec<RankPlan>, cards: &[Card]) -> Result<EnginePlan, EngineError> {
        let layouts: Vec<KvLayout> = self.rules.stages.iter().map(|stage| self.kv_layout(stage)).collect();
        let limit = defaults::model_length(self.model);
        let stated = defaults::context(self.settings, self.model)?;
        let kv_of = |rank: &RankPlan| &layouts[rank.pp_rank.unwrap_or(0) as usize];
        let available = |rank: &RankPlan, demand: Demand| self.available(rank, demand);
        let shortest = |demand: Demand| {
            let limit = limit.unwrap_or(1 << 24);
            ranks
                .iter()
                .map(|r| kv_of(r).longest(available(r, demand).unwrap_or(Bytes::ZERO), limit))
                .min()
                .unwrap_or(0)
        };
        let longest = shortest(Demand::Expected);
        let length = stated.unwrap_or(Tokens(longest.max(1)));

        let mut refusals = [None, None, None];
        let mut blocks = [0u64; 3];
        for demand in Demand::ALL {
            let i = demand as usize;
            blocks[i] =
                ranks.iter().map(|r| kv_of(r).blocks(available(r, demand).unwrap_or(Bytes::ZERO))).min().unwrap_or(0);
            refusals[i] = ranks
                .iter()
                .enumerate()
                .find_map(|(index, rank)| self.refusal(index, rank, kv_of(rank), &cards[index], demand, length.0));
        }
        for rank in &mut ranks {
            let block = layouts[rank.pp_rank.unwrap_or(0) as usize].block_bytes();
            let pool = |demand: Demand| block * blocks[demand as usize];
            rank.kv = [pool(Demand::Low), pool(Demand::Expected), pool(Demand::High)];
            rank.kv_line.estimate = Estimate::between(
                pool(Demand::High),
                pool(Demand::Expected),
                pool(Demand::Low),
                Basis::Profile,
                Formula::with(
                    "floor((fraction·total − weights − peak − non-torch) / block)·block",
                    &[
                        ("budget", rank.budget.map_or(0, |b| b.0)),
                        ("block", block.0),
                        ("blocks", blocks[Demand::Expected as usize]),
                    ],
                ),
            );
        }
        // After the pool is made, what lies outside the budget must still find room.
        for demand in Demand::ALL {
            let i = demand as usize;
            if refusals[i].is_none() {
                refusals[i] = ranks.iter().enumerate().find_map(|(index, rank)| {
                    let (top, capacity) = (rank.top(demand), cards[index].capacity);
                    let cause = if rank.expected(Component::CudaGraph) > Bytes::ZERO {
                        Cause::CudaGraphCapture
                    } else {
                        Cause::NcclOrLibraryWorkspace
                    };
                    (top > capacity).then(|| refusals::out_of_memory(cause, index, top, capacity))
                });
            }
        }
        let expected = Demand::Expected as usize;
        let first = &layouts[0];
        let started = refusals[expected].is_none();
        let count = blocks[expected];
        let kv = KvCapacity {
            blocks: Some(count),
            tokens: first.tokens(count, length.0).map(Tokens),
            printed_tokens: started.then(|| Tokens(first.printed_tokens(count, length.0))),
            max_concurrency: first.concurrency(count, length.0),
            longest_context: (longest > 0).then_some(Tokens(longest)),
        };
        Ok(EnginePlan {
            workload: self.workload(length),
            ranks,
            kv,
            refusals,
            warnings: self.warnings(limit, cards),
            assumptions: self.model.quantization.iter().flat_map(|q| q.assumptions.clone()).collect(),
        })
    }

    /// Bytes left for the KV pool: the budget less weights, activation peak and growth outside the allocator. `None` when nothing is.
    fn available(&self, rank: &RankPlan, demand: Demand) -> Option<Bytes> {
        if let Some(fixed) = self.settings.kv_cache_memory {
            return Some(fixed);
        }
        let charged = charged(rank, demand);
        let budget = rank.budget?;
        (budget > charged).then(|| budget.saturating_sub(charged))
    }

    /// The first check that stops a rank in a scenario, in the order in which a start meets them.
    fn refusal(
        &self,
        index: usize,
        rank: &RankPlan,
        kv: &KvLayout,
        card: &Card,
        demand: Demand,
        length: u64,
    ) -> Option<Refusal> {
        let budget = rank.budget.unwrap_or(card.capacity);
        let at_start = on(rank, Account::Baseline, demand);
        let free = card.capacity.saturating_sub(at_start);
        if free < budget {
            let fraction = self.fraction.get();
            return Some(refusals::free_at_start(index, free, card.capacity, fraction, budget, card.other_processes));
        }
        let load = demand.of(&rank.load_peak);
        if load > card.capacity {
            return Some(refusals::out_of_memory(Cause::WeightsDoNotFit, index, load, card.capacity));
        }
        let profiling = at_start + charged(rank, demand);
        if profiling > card.capacity {
            return Some(refusals::out_of_memory(Cause::ActivationOrLogitsPeak, index, profiling, card.capacity));
        }
        let Some(available) = self.available(rank, demand) else {
            return Some(refusals::no_blocks(index, charged(rank, demand), budget));
        };
        if kv.blocks(available) == 0 && kv.block_bytes() > Bytes::ZERO {
            return Some(refusals::no_blocks(index, charged(rank, demand) + kv.block_bytes(), budget));
        }
        let need = kv.sequence_bytes(length);
        (need > available)
            .then(|| refusals::sequence_too_long(index, length, need, available, kv.longest(available, length)))
    }

    fn workload(&self, length: Tokens) -> Workload {
        Workload {
            max_model_len: Some(length),
            max_num_seqs: Some(self.scheduler.sequences),
            max_num_batched_tokens: Some(self.scheduler.batched_tokens),
            dtype: self.dtype,
            quantization: self.model.quantization.as_ref().map(|q| q.method.clone()),
            kv_cache_dtype: self.kv_dtype,
            knobs: vec![
                ("gpu_memory_utilization", json!(self.fraction.get())),
                ("block_size", json!(self.scheduler.block_size)),
                ("enforce_eager", json!(self.settings.enforce_eager.unwrap_or(false))),
            ],
        }
    }

    fn warnings(&self, limit: Option<u64>, cards: &[Card]) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(card) = cards.iter().find(|c| c.shared_pool) {
            warnings.push(format!(
                "{} shares its memory with the host: what the host's processes use comes off the capacity",
                card.label
            ));
        }
        if limit.is_none() {
            warnings.push("the config states no context length; vLLM then takes 2048".to_owned());
        }
        if self.layout.dp > 1 {
            warnings.push(format!(
                "the plan is for one of the {} data-parallel replicas; each needs as many cards again",
                self.layout.dp
            ));
        }
        let cut = self.model.quantization.as_ref().filter(|q| q.method == "gptq" && !q.act_order);
        if let Some(group) = cut.and_then(|q| q.group_size) {
            let per_rank = self.model.intermediate_size / u64::from(self.layout.tp);
            if !per_rank.is_multiple_of(group) {
                warnings.push(format!(
                    "{per_rank} inputs of `down_proj` a rank are no multiple of the quantisation group {group}: vLLM builds \
                     this with one group too few, and whether it then loads is not known"
                ));
            }
        }
        warnings
    }
}

/// What the budget pays for besides the KV pool.
fn charged(rank: &RankPlan, demand: Demand) -> Bytes {
    on(rank, Account::Budget, demand)
}

/// Sum of the lines on one account.
fn on(rank: &RankPlan, account: Account, demand: Demand) -> Bytes {
    rank.lines.iter().filter(|l| l.account == account).map(|l| demand.of(&l.estimate)).sum()
}
