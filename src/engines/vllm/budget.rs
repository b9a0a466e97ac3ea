//! The start-up budget: what vLLM allows itself, what is left for the KV pool, and which check stops it first.

use std::sync::Arc;

use serde_json::json;

use super::defaults::{self, Scheduler};
use super::extras::draft::Draft;
use super::extras::{draft, lora, offload};
use super::ledger::{Ledger, same_card};
use super::peaks::{Run, sees_images};
use super::pool::{Kind, Pool};
use super::{KvLayout, PageOptions, Release, after_load, deepseek_v4, eras, options, parallel, refusals, sharding};
use crate::engines::torch_allocator::{self, Allocated};
use crate::engines::{
    Account, Component, Deployment, EngineError, EnginePlan, Line, RankPlan, RankShard, Settings, ShardTotals, Workload,
};
use crate::hardware::Card;
use crate::model::Model;
use crate::profiles::VllmEra;
use crate::sharding::{ExpertRule, Layout, Rank, ShardError, ShardingRules, Stage, shard};
use crate::units::{Bytes, DType, Estimate, Fraction, Tokens};

/// Plans a deployment.
pub fn plan(deployment: &Deployment<'_>) -> Result<EnginePlan, EngineError> {
    let model = after_load::as_chosen(deployment.model, deployment.settings)?;
    let deployment = &Deployment { model: &model, ..*deployment };
    let start = Start::resolve(deployment)?;
    let Deployment { model, settings, fleet, .. } = *deployment;
    if fleet.cards.len() < start.layout.ranks() as usize {
        return Err(EngineError::TooFewCards { ranks: start.layout.ranks(), cards: fleet.cards.len() });
    }
    let with_draft = match &start.draft {
        Draft::Model(draft) => Some(draft::with_caches(model, draft)),
        Draft::None | Draft::Unknown(_) => None,
    };
    let stages = start.stage_tensors()?;
    let mut kinds: Vec<Kind> = Vec::new();
    let mut kind_of = Vec::with_capacity(start.layout.ranks() as usize);
    for rank in start.layout.iter() {
        let index = rank.global(start.layout) as usize;
        let own = &fleet.cards[index];
        let samples = !start.era.activation.sampler_on_first_rank_only || rank.tp_rank == 0;
        let same = |kind: &Kind| {
            kind.rank.pp_rank == Some(rank.pp_rank)
                && kind.samples == samples
                && same_card(&fleet.cards[kind.first], own)
        };
        let found = match kinds.iter().position(same) {
            Some(found) => found,
            None => {
                let stage = &start.rules.stages[rank.pp_rank as usize];
                let tensors = &stages[rank.pp_rank as usize];
                let kv = start.kv_layout(with_draft.as_ref().unwrap_or(model), stage);
                let plan = start.rank(rank, stage, index, own, tensors, samples, &kv);
                kinds.push(Kind { first: index, samples, rank: plan, kv, capacity: own.capacity });
                kinds.len() - 1
            }
        };
        kind_of.push((rank, found));
    }
    let limit = defaults::model_length(model);
    let pool = Pool {
        era: start.era,
        fixed: settings.kv_cache_memory,
        fraction: start.fraction.get(),
        stated: start.stated,
        limit,
    };
    let sized = pool.size(&mut kinds);
    let mut ranks = Vec::with_capacity(kind_of.len());
    for (card, (rank, kind)) in kind_of.into_iter().enumerate() {
        let mut plan = kinds[kind].rank.clone();
        plan.tp_rank = Some(rank.tp_rank);
        plan.card = card;
        ranks.push(plan);
    }
    Ok(EnginePlan {
        workload: start.workload(sized.length),
        offload: Some(start.host(&ranks)?),
        ranks,
        kv: sized.kv,
        refusals: sized.refusals,
        warnings: start.warnings(limit, &fleet.cards),
        assumptions: Vec::new(),
        replicas: start.layout.dp,
    })
}

/// The tensors of every rank with their slices.
pub fn shards(deployment: &Deployment<'_>) -> Result<Vec<RankShard>, EngineError> {
    let model = after_load::as_chosen(deployment.model, deployment.settings)?;
    let deployment = &Deployment { model: &model, ..*deployment };
    let start = Start::resolve(deployment)?;
    let refused = |e: ShardError| refusals::does_not_divide(&e, deployment.model);
    start
        .layout
        .iter()
        .map(|rank| {
            let tensors = shard(deployment.model, start.layout, &start.rules, rank).map_err(refused)?;
            Ok(RankShard { rank: rank.global(start.layout), tensors })
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

/// One start of the engine with all settings resolved.
struct Start<'a> {
    model: &'a Model,
    settings: &'a Settings,
    card: &'a Card,
    layout: Layout,
    rules: ShardingRules,
    era: &'static VllmEra,
    dtype: DType,
    kv_dtype: DType,
    release: Release,
    scheduler: Scheduler,
    fraction: Fraction,
    /// Ranks that share the tokens of a sequence.
    context_ranks: u64,
    /// The longest sequence; `None` for the longest that fits.
    stated: Option<Tokens>,
    lora: Option<options::LoraOptions>,
    draft: Draft,
    /// The draft's weights on one rank of the last stage.
    draft_bytes: Option<Bytes>,
    images: bool,
}

/// Tensors of a stage, and what the allocator makes of them.
struct StageTensors {
    totals: Arc<ShardTotals>,
    allocated: Allocated,
}

impl<'a> Start<'a> {
    fn resolve(deployment: &Deployment<'a>) -> Result<Self, EngineError> {
        let Deployment { model, settings, fleet, version } = *deployment;
        let layout = layout(settings)?;
        refusals::heads_divide(model, layout.tp)?;
        let card = fleet.cards.first().ok_or_else(|| EngineError::Unknown("the fleet has no cards".to_owned()))?;
        let era = eras::era(version, card, settings)?;
        let dtype = defaults::dtype(settings, model, card)?;
        let release =
            Release { nested_scales: options::keeps_nested_scales(settings, version), ..Release::of(version) };
        let mut rules = sharding::rules(model, layout, dtype, settings.layer_partition.as_deref(), release)
            .map_err(|e| refusals::does_not_divide(&e, model))?;
        let stated = defaults::context(settings, model)?;
        let length = stated.map_or_else(|| defaults::model_length(model).unwrap_or(0), |tokens| tokens.0);
        let workload = defaults::Workload { length, images: sees_images(model) };
        let scheduler = Scheduler::resolve(settings, card, workload, &era.scheduler)?;
        rules.generated.extend(sharding::batch_buffers(model, scheduler.batched_tokens, dtype, release));
        rules.generated.extend(after_load::expert_workspaces(model, layout, card));
        rules.expert_padding = after_load::expert_padding(card);
        if let ExpertRule::Whole { redundant, .. } = &mut rules.experts {
            *redundant = parallel::redundant_experts(settings, model, layout)?;
        }
        let fraction = match settings.memory_fraction {
            Some(fraction) => fraction,
            None => Fraction::new(era.budget.memory_fraction).map_err(|e| EngineError::Unknown(e.to_string()))?,
        };
        let draft = draft::of(settings, deployment.model)?;
        let draft_bytes = match &draft {
            Draft::Model(model) => {
                let layout = Layout { tp: options::draft_ranks(settings)?.unwrap_or(layout.tp), ..layout };
                Some(draft::bytes(model, layout, dtype, card, release)?)
            }
            Draft::None | Draft::Unknown(_) => None,
        };
        Ok(Self {
            model,
            settings,
            card,
            layout,
            context_ranks: parallel::context_ranks(settings, model, layout)?,
            rules,
            era,
            dtype,
            kv_dtype: defaults::kv_cache_dtype(settings, dtype, model)?,
            release,
            scheduler,
            fraction,
            stated,
            lora: options::lora(settings, era.lora_extra_vocabulary)?,
            draft,
            draft_bytes,
            images: sees_images(model) && !options::without_images(settings),
        })
    }

    /// Tensors of each stage. All ranks of a stage have the same shapes, so one stands for all.
    fn stage_tensors(&self) -> Result<Vec<StageTensors>, EngineError> {
        (0..self.layout.pp)
            .map(|pp_rank| {
                let tensors = shard(self.model, self.layout, &self.rules, Rank { tp_rank: 0, pp_rank })
                    .map_err(|e| refusals::does_not_divide(&e, self.model))?;
                let allocated = torch_allocator::replay(&tensors);
                let mut changes = after_load::changes(self.model, &tensors, self.card, self.release);
                changes.extend(offload::changes(self.settings, &tensors));
                Ok(StageTensors { totals: Arc::new(ShardTotals::new(tensors, changes)), allocated })
            })
            .collect()
    }

    fn kv_layout(&self, model: &Model, stage: &Stage) -> KvLayout {
        let Scheduler { block_size, batched_tokens, .. } = self.scheduler;
        // A draft's layers are counted after the target's, on its last stage.
        let end = if stage.layers.end == self.model.layers { model.layers } else { stage.layers.end };
        let options = PageOptions {
            dtype: self.kv_dtype,
            model_dtype: self.dtype,
            block_size,
            capability: self.card.compute_capability,
        };
        KvLayout::new(model, self.layout, &(stage.layers.start..end), options, batched_tokens, self.release)
            .with_context_ranks(self.context_ranks)
    }

    /// What comes with the weights: adapters' buffers and a draft.
    fn extras(&self, stage: &Stage) -> Vec<(&'static str, Bytes)> {
        let mut extras = Vec::new();
        if let Some(options) = &self.lora {
            let bytes = lora::bytes(self.model, self.layout, &self.rules, stage, options, self.dtype);
            let vocabulary = lora::extra_vocabulary(self.model, self.layout, options, self.dtype);
            let wrapped = lora::vocabulary(self.model, stage, options, self.dtype);
            extras.push(("LoRA adapters", bytes + vocabulary + wrapped));
        }
        extras.extend(self.draft_bytes.filter(|_| stage.head).map(|bytes| ("draft model", bytes)));
        extras
    }

    /// The ledger of one rank, its KV pool still empty.
    #[expect(clippy::too_many_arguments, reason = "one rank's coordinates, its share and its card, all used once")]
    fn rank(
        &self,
        rank: Rank,
        stage: &Stage,
        index: usize,
        card: &Card,
        tensors: &StageTensors,
        samples: bool,
        kv: &KvLayout,
    ) -> RankPlan {
        let run = Run {
            model: self.model,
            layout: self.layout,
            stage,
            scheduler: self.scheduler,
            dtype: self.dtype,
            samples,
            images: self.images,
            images_only: options::without_videos(self.settings),
            tower_whole: options::tower_whole(self.settings) || self.model.architecture.starts_with("Gemma4"),
            flashinfer: options::chosen(self.settings, options::FLASHINFER_SAMPLER),
        };
        let ledger = Ledger {
            run,
            era: self.era,
            card,
            totals: &tensors.totals,
            allocated: tensors.allocated,
            extras: self.extras(stage),
            length: self.stated.map_or(0, |tokens| tokens.0),
            eager: self.settings.enforce_eager == Some(true),
        };
        RankPlan {
            tp_rank: Some(rank.tp_rank),
            pp_rank: Some(rank.pp_rank),
            layers: stage.layers.clone(),
            card: index,
            budget: Some(self.fraction.of(card.capacity)),
            load_peak: ledger.load_peak(),
            kv: [Bytes::ZERO; 3],
            kv_line: Line {
                account: Account::Budget,
                component: Component::KvCache,
                what: "KV pool",
                estimate: Estimate::zero("not sized yet"),
            },
            kv_bytes_per_token: kv.bytes_per_token(),
            kv_groups: kv.groups.clone(),
            lines: ledger.lines(),
            tensors: Arc::clone(&tensors.totals),
        }
    }

    /// Host memory of all ranks: offloaded weights, swap space, an offloaded KV cache.
    fn host(&self, ranks: &[RankPlan]) -> Result<Bytes, EngineError> {
        let weights: Bytes = ranks.iter().map(|rank| offload::moved(&rank.tensors.changes)).sum();
        let swap = offload::swap(self.settings, self.era)? * ranks.len() as u64;
        Ok(weights + swap + offload::cache(self.settings)?)
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
                "the plan is for one of {} data-parallel replicas, which need {} cards together; {} are named",
                self.layout.dp,
                self.layout.ranks().saturating_mul(self.layout.dp),
                cards.len()
            ));
        }
        if let Draft::Unknown(why) = &self.draft {
            warnings.push(why.clone());
        }
        warnings.extend(deepseek_v4::caveat(self.model));
        if options::switch(self.settings, "enable-sleep-mode") {
            warnings.push("asleep at level 1, vLLM keeps the weights in host memory".to_owned());
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
