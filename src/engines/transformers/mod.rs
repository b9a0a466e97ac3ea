//! Hugging Face Transformers: whole modules on cards, no budget, a cache that grows with the text.

mod judge;
mod kernels;
mod ledger;
mod loading;
mod options;
mod placement;
mod runtime;
mod tensors;

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    Demand, Deployment, Engine, EngineError, EnginePlan, HostLine, Knob, KvCapacity, RankPlan, RankShard, Settings,
    Version, Workload, host,
};
use crate::hardware::Card;
use crate::model::{IndexSet, Model, Part};
use crate::profiles::{TransformersProfile, transformers_profile};
use crate::sharding::{Device, ModuleTree, Planner, RankTensor, Strategy};
use crate::units::{Bytes, DType, Tokens};
use judge::{Judge, placement_warnings};
use ledger::{CardShare, Ledger, layers};
use options::{Options, Placing, V5};
use placement::Placement;
use runtime::Duties;

pub use options::flag;

/// Hugging Face Transformers with accelerate.
pub struct Transformers;

impl Engine for Transformers {
    fn name(&self) -> &'static str {
        "transformers"
    }

    fn newest(&self) -> Version {
        let profile = transformers_profile().ok().and_then(|p| p.newest.parse().ok());
        profile.unwrap_or(V5)
    }

    fn caveat(&self, version: Version) -> Option<String> {
        // Placement was compared with accelerate 1.15 under 4.57 and with 5.23; older planners may differ in detail.
        let compared = [(4, 57), (5, 23)];
        (!compared.contains(&(version.major, version.minor)))
            .then(|| format!("Transformers {version} is planned by the rules of 4.57 and 5.23; placement can differ"))
    }

    fn spell(&self, knob: Knob, value: &str) -> Option<String> {
        match knob {
            Knob::DType => Some(format!("torch_dtype=\"{value}\"")),
            Knob::DeviceMap => Some(format!("device_map=\"{value}\"")),
            Knob::MaxMemory => Some(format!("max_memory={value}")),
            Knob::ContextLength => Some(format!("max_length={value}")),
            Knob::TensorParallel
            | Knob::PipelineParallel
            | Knob::DataParallel
            | Knob::MemoryFraction
            | Knob::Sequences
            | Knob::CacheType
            | Knob::Eager => None,
        }
    }

    fn plan(&self, deployment: &Deployment<'_>) -> Result<EnginePlan, EngineError> {
        with_planning(deployment, |planning| planning.plan())
    }

    fn host(&self, deployment: &Deployment<'_>, plan: &EnginePlan) -> Option<Vec<HostLine>> {
        Some(host::transformers(deployment, plan))
    }

    fn shards(&self, deployment: &Deployment<'_>) -> Result<Vec<RankShard>, EngineError> {
        with_planning(deployment, |planning| {
            let placement = planning.place(planning.options)?;
            let offloads = planning.offloaded(&placement).iter().any(|(_, tensors)| !tensors.is_empty());
            let shares = planning.gathered(&placement, offloads)?;
            let on_card = |(device, tensors)| match device {
                Device::Card(rank) => Some(RankShard { rank, tensors }),
                Device::Cpu | Device::Disk => None,
            };
            Ok(shares.into_iter().filter_map(on_card).collect())
        })
    }
}

/// Reads what was asked and lists the tensors.
fn with_planning<T>(
    deployment: &Deployment<'_>,
    then: impl FnOnce(Planning<'_>) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let profile = transformers_profile()
        .map_err(|error| EngineError::Unknown(format!("the profile of Transformers is malformed: {error}")))?;
    let Deployment { model, settings, fleet, version } = *deployment;
    let options = Options::read(settings, model, version, &profile)?;
    let tensors =
        tensors::tensors(model, options.dtype, version).map_err(|error| EngineError::Unknown(error.to_string()))?;
    let cards = &fleet.cards;
    then(Planning { model, settings, options: &options, tensors: &tensors, cards, version, profile: &profile })
}

/// A model as its classes build it in `dtype`, and the tree that the planner of `version` walks, which counts some tensors in its own way.
///
/// # Errors
/// When the model cannot be built whole.
pub fn module_tree(
    model: &Model,
    dtype: DType,
    version: Version,
) -> Result<(Vec<RankTensor>, ModuleTree, Planner), EngineError> {
    let profile = transformers_profile().map_err(|error| EngineError::Unknown(error.to_string()))?;
    let settings = Settings { dtype: Some(dtype.torch_name().to_owned()), ..Settings::default() };
    let options = Options::read(&settings, model, version, &profile)?;
    let tensors = tensors::tensors(model, dtype, version).map_err(|error| EngineError::Unknown(error.to_string()))?;
    let tree = ModuleTree::new(&tensors, |tensor| tensors::planned_bits(tensor, model, &options, version));
    Ok((tensors, tree, placement::planner(version)))
}

/// One deployment.
#[derive(Clone, Copy)]
struct Planning<'a> {
    model: &'a Model,
    settings: &'a Settings,
    options: &'a Options,
    tensors: &'a [RankTensor],
    cards: &'a [Card],
    version: Version,
    profile: &'a TransformersProfile,
}

impl Planning<'_> {
    fn ledger(&self) -> Ledger<'_> {
        Ledger { model: self.model, options: self.options, version: self.version, profile: self.profile }
    }

    fn place(&self, options: &Options) -> Result<Placement, EngineError> {
        Placement::new(self.tensors, self.model, options, self.cards, self.version)
    }

    fn plan(self) -> Result<EnginePlan, EngineError> {
        let placement = self.place(self.options)?;
        let offloaded = self.offloaded(&placement);
        let offloads = offloaded.iter().any(|(_, tensors)| !tensors.is_empty());
        let shares = self.gathered(&placement, offloads)?;
        let ranks = self.ranks(&shares, &offloaded);
        if ranks.is_empty() {
            return Err(EngineError::Setting {
                flag: "device-map",
                value: self.settings.device_map.clone().unwrap_or_default(),
                expected: "puts nothing on any card".to_owned(),
            });
        }
        let longest = self.ledger().longest(&ranks, self.cards);
        let ranks: Vec<RankPlan> = ranks.into_iter().map(|(rank, _)| rank).collect();
        let judge =
            Judge { model: self.model, options: self.options, cards: self.cards, spread_fits: self.spread_fits() };
        let refusals = Demand::ALL.map(|demand| judge.refusal(&ranks, demand));
        let bytes = |device| -> Bytes {
            offloaded.iter().filter(|(d, _)| *d == device).flat_map(|(_, t)| t.iter().map(RankTensor::bytes)).sum()
        };
        Ok(EnginePlan {
            workload: self.workload(),
            kv: KvCapacity {
                blocks: None,
                tokens: None,
                printed_tokens: None,
                max_concurrency: None,
                longest_context: longest,
            },
            warnings: self.warnings(&ranks, &placement, bytes(Device::Cpu), bytes(Device::Disk)),
            ranks,
            refusals,
            assumptions: self.assumptions(offloads),
            offload: Some(bytes(Device::Cpu)),
            replicas: 1,
        })
    }

    /// Tensors kept in host memory and on disk.
    fn offloaded(&self, placement: &Placement) -> Vec<(Device, Vec<RankTensor>)> {
        let off = |device: &Device| matches!(device, Device::Cpu | Device::Disk);
        placement.shares.iter().filter(|(d, _)| off(d)).map(|(d, tensors)| (*d, tensors.clone())).collect()
    }

    /// Tensors on each card once the script is through: `.to(device)` brings them all to one.
    fn gathered(
        &self,
        placement: &Placement,
        offloads: bool,
    ) -> Result<BTreeMap<Device, Vec<RankTensor>>, EngineError> {
        match self.options.moved_to {
            None => Ok(placement.shares.clone()),
            Some(_) if offloads => Err(EngineError::Refused {
                message: "You can't move a model that has some modules offloaded to cpu or disk.".to_owned(),
                hint: Some("remove `.to(…)` after `from_pretrained(…, device_map=…)`".to_owned()),
            }),
            Some(card) => Ok(BTreeMap::from([(Device::Card(card), self.tensors.to_vec())])),
        }
    }

    /// One ledger for each card that holds something.
    fn ranks(
        &self,
        shares: &BTreeMap<Device, Vec<RankTensor>>,
        offloaded: &[(Device, Vec<RankTensor>)],
    ) -> Vec<(RankPlan, Duties)> {
        let held: Vec<(u32, &Vec<RankTensor>)> = shares
            .iter()
            .filter_map(|(device, tensors)| match device {
                Device::Card(card) => Some((*card, tensors)),
                Device::Cpu | Device::Disk => None,
            })
            .collect();
        let has = |tensors: &[RankTensor], part: Part| tensors.iter().any(|t| t.part == part);
        let main = held.first().map(|(card, _)| *card);
        let input = held.iter().find(|(_, tensors)| has(tensors, Part::Embedding)).map(|(card, _)| *card).or(main);
        let head_is_off = offloaded.iter().any(|(_, tensors)| has(tensors, Part::LmHead));
        let away = || offloaded.iter().flat_map(|(_, tensors)| tensors.iter());
        let visitors = IndexSet::from_indices(offloaded.iter().flat_map(|(_, t)| layers(t).iter().collect::<Vec<_>>()));
        held.iter()
            .map(|(card, tensors)| {
                let is_main = Some(*card) == main;
                // What is kept elsewhere computes on the first card.
                let largest = away().map(RankTensor::bytes_each).max().unwrap_or(Bytes::ZERO);
                let visiting = if is_main { (visitors.clone(), largest) } else { (IndexSet::default(), Bytes::ZERO) };
                let duties = Duties {
                    head: has(tensors, Part::LmHead) || (is_main && head_is_off),
                    input: Some(*card) == input,
                };
                let share = CardShare {
                    index: *card,
                    card: &self.cards[*card as usize],
                    tensors: (*tensors).clone(),
                    visiting,
                    duties,
                };
                (self.ledger().rank(share), duties)
            })
            .collect()
    }

    /// Whether the same weights would fit if the cards were used by `device_map="auto"`.
    fn spread_fits(&self) -> bool {
        let options = Options {
            placing: Placing::Strategy(Strategy::Balanced),
            max_memory: None,
            moved_to: None,
            ..self.options.clone()
        };
        let Ok(placement) = self.place(&options) else { return false };
        let offloaded = self.offloaded(&placement);
        offloaded.iter().all(|(_, tensors)| tensors.is_empty())
            && self
                .ranks(&placement.shares, &offloaded)
                .iter()
                .all(|(rank, _)| Demand::Expected.of(&rank.load_peak) <= self.cards[rank.card].capacity)
    }

    fn workload(&self) -> Workload {
        let options = self.options;
        let map = self.settings.device_map.as_ref().map_or(json!("cuda:0"), |map| json!(map));
        let mut knobs = vec![("device_map", map), ("attn_implementation", json!(options.attention.name()))];
        if let Some(caps) = &self.settings.max_memory {
            knobs.push(("max_memory", json!(caps.iter().map(|(k, v)| (k, v.to_string())).collect::<BTreeMap<_, _>>())));
        }
        if let Some(new) = options.new_tokens {
            knobs.push(("max_new_tokens", json!(new)));
        }
        let on_the_fly = options.on_the_fly.map(|_| "bitsandbytes".to_owned());
        Workload {
            max_model_len: Some(Tokens(options.length)),
            max_num_seqs: Some(options.sequences),
            max_num_batched_tokens: None,
            dtype: options.dtype,
            quantization: self.model.quantization.as_ref().map(|q| q.method.clone()).or(on_the_fly),
            kv_cache_dtype: options.dtype,
            knobs,
        }
    }

    fn warnings(&self, ranks: &[RankPlan], placement: &Placement, cpu: Bytes, disk: Bytes) -> Vec<String> {
        let mut warnings = placement_warnings(ranks, self.cards, self.options.moved_to.is_some());
        if cpu > Bytes::ZERO {
            warnings.push(format!("{cpu} of weights stay in host memory and are copied in for every token"));
        }
        if disk > Bytes::ZERO {
            warnings.push(format!(
                "{disk} of weights go to disk: loading needs `offload_folder`, and every token reads them again"
            ));
        }
        if cpu + disk > Bytes::ZERO && placement.reserved > Bytes::ZERO {
            warnings.push(format!(
                "the planner leaves {} of the first card open for the largest module it might bring back",
                placement.reserved
            ));
        }
        if let Some(stored) = self.model.dtype
            && self.options.dtype == DType::F32
            && stored.bits() < 32
        {
            warnings.push(format!(
                "weights load as float32 although the checkpoint is {stored}: pass torch_dtype=\"auto\""
            ));
        }
        warnings
    }

    fn assumptions(&self, offloads: bool) -> Vec<String> {
        let mut assumptions = Vec::new();
        if self.options.assumed_length {
            let (sequences, length) = (self.options.sequences, Tokens(self.options.length));
            assumptions.push(format!("batch {sequences}, {length} tokens"));
        }
        let host_stated = self.settings.max_memory.as_ref().is_some_and(|m| m.contains_key("cpu"));
        if offloads && !host_stated {
            assumptions.push("host memory is large enough for what is kept there".to_owned());
        }
        assumptions
    }
}
