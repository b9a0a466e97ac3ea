//! Hugging Face Transformers: whole modules on cards, no budget, a cache that grows with the text.
//!
//! Known so far: everything on one card, and maps written by hand. The balancing strategies (`auto`, `balanced`, …) are refused until
//! their placement is modelled.

use std::sync::Arc;

use serde_json::json;

use super::{
    Account, Cause, Component, ContextLength, Demand, Deployment, Engine, EngineError, EnginePlan, Knob, KvCapacity,
    KvGroup, Line, RankPlan, RankShard, Refusal, Settings, ShardTotals, Version, Workload,
};
use crate::hardware::Card;
use crate::model::{Instances, LayerCache, Model, Part};
use crate::profiles::{TransformersProfile, transformers_profile};
use crate::sharding::{Device, DeviceMap, ExpertPadding, ExpertRule, Generated, ShardingRules, device_share};
use crate::units::{Basis, Bytes, DType, Estimate, Formula, Tokens};

/// Hugging Face Transformers with accelerate.
pub struct Transformers;

impl Engine for Transformers {
    fn name(&self) -> &'static str {
        "transformers"
    }

    fn newest(&self) -> Version {
        let profile = transformers_profile().ok().and_then(|p| p.newest.parse().ok());
        profile.unwrap_or(Version { major: 5, minor: 0, patch: 0 })
    }

    fn caveat(&self, _version: Version) -> Option<String> {
        None
    }

    fn spell(&self, knob: Knob, value: &str) -> Option<String> {
        match knob {
            Knob::DType => Some(format!("torch_dtype=\"{value}\"")),
            Knob::TensorParallel
            | Knob::PipelineParallel
            | Knob::ContextLength
            | Knob::MemoryFraction
            | Knob::Sequences
            | Knob::CacheType
            | Knob::Eager => None,
        }
    }

    fn plan(&self, deployment: &Deployment<'_>) -> Result<EnginePlan, EngineError> {
        let profile = transformers_profile()
            .map_err(|error| EngineError::Unknown(format!("the profile of Transformers is malformed: {error}")))?;
        let Deployment { model, settings, fleet, version } = *deployment;
        let map = device_map(settings)?;
        if let Some(highest) = map.highest_card()
            && highest as usize >= fleet.cards.len()
        {
            return Err(EngineError::TooFewCards { ranks: highest + 1, cards: fleet.cards.len() });
        }
        let (length, assumed) = length(settings, model, &profile);
        let load = Load {
            model,
            map: &map,
            rules: rules(model, dtype(settings, model, version)?),
            batch: settings.batch_size.unwrap_or(1),
            length,
            version,
            profile: &profile,
        };
        load.plan(&fleet.cards, assumed, settings)
    }

    fn shards(&self, deployment: &Deployment<'_>) -> Result<Vec<RankShard>, EngineError> {
        let Deployment { model, settings, fleet, version } = *deployment;
        let map = device_map(settings)?;
        let rules = rules(model, dtype(settings, model, version)?);
        let mut shards = Vec::new();
        for rank in (0u32..).take(fleet.cards.len()) {
            let tensors = device_share(model, &rules, &map, Device::Card(rank))
                .map_err(|error| EngineError::Unknown(error.to_string()))?;
            if !tensors.is_empty() {
                shards.push(RankShard { rank, tensors });
            }
        }
        Ok(shards)
    }
}

/// The map that was set; none is everything on the first card.
fn device_map(settings: &Settings) -> Result<DeviceMap, EngineError> {
    let Some(text) = settings.device_map.as_deref() else { return Ok(DeviceMap::single(Device::Card(0))) };
    if matches!(text, "auto" | "balanced" | "balanced_low_0" | "sequential") {
        return Err(EngineError::Unknown(format!(
            "where `device_map=\"{text}\"` places modules is not modelled yet; write the map as JSON, or name one device"
        )));
    }
    DeviceMap::parse(text).map_err(|error| EngineError::Setting {
        flag: "device-map",
        value: text.to_owned(),
        expected: error.to_string(),
    })
}

/// Element type at load: as typed; else float32 before version 5 and the config's from it on. A quantised checkpoint loads its other
/// tensors as float16 unless told otherwise.
fn dtype(settings: &Settings, model: &Model, version: Version) -> Result<DType, EngineError> {
    let of_config = model.dtype.unwrap_or(DType::F32);
    match settings.dtype.as_deref() {
        Some("auto") => Ok(of_config),
        Some(text) => text.parse().map_err(|_| EngineError::Setting {
            flag: "dtype",
            value: text.to_owned(),
            expected: "must be auto or a floating-point type such as bfloat16".to_owned(),
        }),
        None if version.major >= 5 => Ok(of_config),
        None if model.quantization.is_some() => Ok(DType::F16),
        None => Ok(DType::F32),
    }
}

/// Tokens of the stated workload, and whether they had to be assumed.
fn length(settings: &Settings, model: &Model, profile: &TransformersProfile) -> (u64, bool) {
    match settings.max_model_len {
        ContextLength::Tokens(tokens) => (tokens, false),
        ContextLength::Model | ContextLength::Auto => {
            (model.max_position.map_or(profile.assumed_length, |m| m.min(profile.assumed_length)), true)
        }
    }
}

fn rules(model: &Model, dtype: DType) -> ShardingRules {
    let frequencies = model.ropes.iter().map(|rope| Generated {
        name: "model.rotary_emb.inv_freq".to_owned(),
        instances: Instances::First,
        part: Part::Rotary,
        dtype: DType::F32,
        shape: vec![rope.width / 2],
        copies: 1,
    });
    ShardingRules {
        splits: Vec::new(),
        fusions: Vec::new(),
        vocabulary_multiple: 1,
        share_tied: true,
        repeat_kv_heads: false,
        floor_groups: false,
        floor_expert_groups: false,
        expert_bytes: None,
        expert_padding: ExpertPadding::NONE,
        file_state: true,
        experts: ExpertRule::AsStored,
        dtypes: Vec::new(),
        dtype,
        stages: Vec::new(),
        tabled: Vec::new(),
        whole_towers: true,
        generated: frequencies.collect(),
    }
}

struct Load<'a> {
    model: &'a Model,
    map: &'a DeviceMap,
    rules: ShardingRules,
    batch: u64,
    length: u64,
    version: Version,
    profile: &'a TransformersProfile,
}

impl Load<'_> {
    fn share(&self, device: Device) -> Result<ShardTotals, EngineError> {
        let tensors = device_share(self.model, &self.rules, self.map, device)
            .map_err(|error| EngineError::Unknown(error.to_string()))?;
        Ok(ShardTotals::new(tensors, Vec::new()))
    }

    fn plan(self, cards: &[Card], assumed: bool, settings: &Settings) -> Result<EnginePlan, EngineError> {
        let mut ranks = Vec::new();
        for (index, card) in (0u32..).zip(cards) {
            let totals = self.share(Device::Card(index))?;
            if totals.tensors.is_empty() {
                continue;
            }
            ranks.push(self.rank(index, card, totals));
        }
        if ranks.is_empty() {
            return Err(EngineError::Setting {
                flag: "device-map",
                value: settings.device_map.clone().unwrap_or_default(),
                expected: "puts nothing on any card".to_owned(),
            });
        }
        let offloaded = self.share(Device::Cpu)?.resident + self.share(Device::Disk)?.resident;
        let mut warnings = Vec::new();
        if offloaded > Bytes::ZERO {
            warnings.push(format!("{offloaded} of weights stay off the cards and are copied in for every token"));
        }
        let empty = cards.len().saturating_sub(ranks.len());
        if empty > 0 && settings.device_map.is_some() {
            warnings.push(format!("the map leaves {empty} of {} cards empty", cards.len()));
        }
        if self.rules.dtype == DType::F32 && self.model.dtype.is_some_and(|d| d.bits() < 32) {
            warnings.push(format!(
                "weights load as float32 although the checkpoint is {}: pass torch_dtype=\"auto\"",
                self.model.dtype.unwrap_or(DType::F32)
            ));
        }
        let refusals = Demand::ALL.map(|demand| self.refusal(&ranks, cards, demand));
        let assumption = format!("batch {}, {} tokens", self.batch, Tokens(self.length));
        Ok(EnginePlan {
            workload: Workload {
                max_model_len: Some(Tokens(self.length)),
                max_num_seqs: Some(self.batch),
                max_num_batched_tokens: None,
                dtype: self.rules.dtype,
                quantization: self.model.quantization.as_ref().map(|q| q.method.clone()),
                kv_cache_dtype: self.rules.dtype,
                knobs: vec![("device_map", settings.device_map.as_ref().map_or(json!("cuda:0"), |m| json!(m)))],
            },
            kv: KvCapacity {
                blocks: None,
                tokens: None,
                printed_tokens: None,
                max_concurrency: None,
                longest_context: self.longest(&ranks, cards),
            },
            ranks,
            refusals,
            warnings,
            assumptions: if assumed { vec![assumption] } else { Vec::new() },
        })
    }

    fn rank(&self, index: u32, card: &Card, totals: ShardTotals) -> RankPlan {
        let layers =
            |layer: &u32| self.map.device_of(&format!("model.layers.{layer}.self_attn.k_proj")) == Device::Card(index);
        let on_card: Vec<u32> = (0..self.model.layers).filter(layers).collect();
        let groups: Vec<KvGroup> = self
            .model
            .caches
            .iter()
            .map(|group| KvGroup {
                layers: on_card.iter().filter(|layer| group.layers.contains(**layer)).count() as u64,
                cache: group.cache,
                page_bytes: token_bytes(&group.cache, self.rules.dtype),
                block_size: 1,
            })
            .filter(|group| group.layers > 0)
            .collect();
        let kv = self.kv(&groups, self.length);
        let consecutive = on_card.first().copied().unwrap_or(0)..on_card.last().map_or(0, |l| l + 1);
        let mut lines = vec![Line {
            account: Account::Budget,
            component: Component::Weights,
            what: "parameters and buffers",
            estimate: Estimate::exact(
                totals.resident,
                Basis::Derived,
                Formula::with("whole modules as mapped", &[("constructed", totals.constructed.0)]),
            ),
        }];
        let growth = &self.profile.cache_growth;
        let share = |factor: f64| Bytes((kv.0 as f64 * factor) as u64);
        lines.push(Line {
            account: Account::Budget,
            component: Component::Allocator,
            what: "blocks left by a cache that grows by concatenation",
            estimate: Estimate::between(
                share(growth.low),
                share(growth.expected),
                share(growth.high),
                Basis::Assumed,
                Formula::plain("0 to 0.4 of the cache"),
            ),
        });
        lines.push(self.activation(&groups, &totals));
        lines.push(Line {
            account: Account::Baseline,
            component: Component::Context,
            what: "CUDA context",
            estimate: card.context.clone(),
        });
        lines.push(Line {
            account: Account::Baseline,
            component: Component::OtherProcesses,
            what: "processes that were there before",
            estimate: Estimate::exact(card.other_processes, Basis::Measured, Formula::plain("used before the start")),
        });
        let largest = totals.tensors.iter().map(|t| t.bytes_each()).max().unwrap_or(Bytes::ZERO);
        let base = totals.constructed + card.other_processes;
        let per_token: Bytes = groups.iter().map(|g| g.page_bytes * g.layers).sum();
        RankPlan {
            tp_rank: None,
            pp_rank: None,
            layers: consecutive,
            card: index as usize,
            budget: None,
            load_peak: Estimate::between(
                base + card.context.low,
                base + card.context.expected,
                base + card.context.high + largest,
                Basis::Derived,
                Formula::plain("weights + context + others (+ largest tensor)"),
            ),
            kv: [kv; 3],
            kv_line: Line {
                account: Account::Budget,
                component: Component::KvCache,
                what: "cache of the stated workload",
                estimate: Estimate::exact(
                    kv,
                    Basis::Derived,
                    Formula::with(
                        "batch·tokens·layers·2·KV heads·width·bytes",
                        &[("batch", self.batch), ("tokens", self.length), ("per token", per_token.0)],
                    ),
                ),
            },
            kv_bytes_per_token: (groups.len() <= 1).then_some(per_token),
            kv_groups: groups,
            tensors: Arc::new(totals),
            lines,
        }
    }

    /// Cache of all sequences at a length. Sliding layers keep the whole text until the step after the prefill.
    fn kv(&self, groups: &[KvGroup], length: u64) -> Bytes {
        let of = |g: &KvGroup| match g.cache {
            LayerCache::State(_) => g.page_bytes * g.layers,
            _ => g.page_bytes * g.layers * length,
        };
        groups.iter().map(of).sum::<Bytes>() * self.batch
    }

    /// The larger of a decode step (one layer's keys twice) and a prefill of the whole length, plus logits where the head is.
    fn activation(&self, groups: &[KvGroup], totals: &ShardTotals) -> Line {
        let (h, f, v) = (self.model.hidden_size, self.model.intermediate_size, self.model.vocab_size);
        let rows = self.batch.saturating_mul(self.length);
        let wide = self.rules.dtype.bits() / 16;
        let constants = &self.profile.prefill;
        let prefill = Bytes(
            rows.saturating_mul(
                h.saturating_mul(constants.hidden_bytes * wide + constants.norm_bytes)
                    .saturating_add(f.saturating_mul(constants.feed_forward_bytes * wide)),
            ),
        );
        let keyed = groups.iter().filter(|g| !matches!(g.cache, LayerCache::State(_)));
        let decode = keyed.map(|g| Bytes(g.page_bytes.0 / 2) * rows).max().unwrap_or(Bytes::ZERO);
        let has_head = totals.tensors.iter().any(|t| t.part == Part::LmHead);
        // From 4.45 on `generate` keeps the last position only; before, all positions in the model's type and once in float32.
        let positions = if self.version >= (Version { major: 4, minor: 45, patch: 0 }) { self.batch } else { rows };
        let logits =
            if has_head { Bytes(positions.saturating_mul(v).saturating_mul(2 * wide + 4)) } else { Bytes::ZERO };
        // Published peaks of 4.51 and later show the decode step only; why the prefill does not appear is not known.
        let expected = if self.version >= (Version { major: 4, minor: 51, patch: 0 }) {
            decode + logits
        } else {
            prefill.max(decode) + logits
        };
        Line {
            account: Account::Budget,
            component: Component::Activation,
            what: "activations and logits",
            estimate: Estimate::between(
                decode,
                expected,
                prefill.max(decode) + logits,
                Basis::Profile,
                Formula::with(
                    "max(B·T·(20·H + 6·F), one layer's keys) + logits",
                    &[("B·T", rows), ("H", h), ("F", f), ("V", v)],
                ),
            ),
        }
    }

    fn refusal(&self, ranks: &[RankPlan], cards: &[Card], demand: Demand) -> Option<Refusal> {
        ranks.iter().enumerate().find_map(|(index, rank)| {
            let capacity = cards[rank.card].capacity;
            let load = demand.of(&rank.load_peak);
            let steady = rank.steady(demand);
            let refuse = |cause: Cause, need: Bytes| {
                Some(Refusal {
                    cause,
                    rank: Some(index),
                    need: Some(need),
                    have: Some(capacity),
                    message: "CUDA out of memory.".to_owned(),
                })
            };
            if load > capacity {
                let halved = Bytes(rank.tensors.constructed.0 / 2);
                let by_accident = self.rules.dtype == DType::F32
                    && self.model.dtype.is_some_and(|d| d.bits() == 16)
                    && load.saturating_sub(halved) <= capacity;
                return refuse(if by_accident { Cause::WrongDtypeFp32 } else { Cause::WeightsDoNotFit }, load);
            }
            if steady > capacity {
                let without_peak = steady.saturating_sub(rank.expected(Component::Activation));
                let cause = if without_peak > capacity {
                    Cause::KvPoolExhaustedAtRuntime
                } else {
                    Cause::ActivationOrLogitsPeak
                };
                return refuse(cause, steady);
            }
            None
        })
    }

    /// The longest text whose cache and activations fit on every card at the best figures, at most what the model supports.
    fn longest(&self, ranks: &[RankPlan], cards: &[Card]) -> Option<Tokens> {
        let limit = self.model.max_position?;
        let fits = |length: u64| {
            let other = Load { length, rules: self.rules.clone(), ..*self };
            ranks.iter().all(|rank| {
                let activation = other.activation(&rank.kv_groups, &rank.tensors).estimate.expected;
                let kv = other.kv(&rank.kv_groups, length);
                let grown = Bytes((kv.0 as f64 * self.profile.cache_growth.expected) as u64);
                let fixed = rank.expected(Component::Weights)
                    + rank.expected(Component::Context)
                    + rank.expected(Component::OtherProcesses);
                fixed + kv + grown + activation <= cards[rank.card].capacity
            })
        };
        let (mut low, mut high) = (0, limit + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        (low > 0).then_some(Tokens(low))
    }
}

/// Bytes of one token in one layer; of a sequence's whole state where a layer keeps one.
fn token_bytes(cache: &LayerCache, dtype: DType) -> Bytes {
    let elements = match *cache {
        // Transformers unfolds the latent vector and keeps the keys and values of all heads.
        LayerCache::Latent { heads, key_width, value_width, .. } => {
            heads.saturating_mul(key_width.saturating_add(value_width))
        }
        LayerCache::State(state) => state.convolution_elements(1).saturating_add(state.recurrent_elements(1)),
        other => other.token_elements().unwrap_or(0),
    };
    dtype.size(elements)
}
