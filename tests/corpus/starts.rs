//! Rows of `runs/vllm.jsonl` against plans.

use std::sync::LazyLock;

use serde_json::Value;
use shardfit::engines::{
    Account, Component, ContextLength, Demand, Deployment, EnginePlan, RankPlan, Settings, Version, engine,
};
use shardfit::hardware::{Card, Fleet, FleetSource};
use shardfit::model::{Model, Part};
use shardfit::planning::{State, Verdict};
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::units::{Bytes, Fraction};

use crate::corpus;

/// A figure of a run beside the plan's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// GiB as printed.
    pub measured: f64,
    /// GiB planned: low, expected, high.
    pub planned: [f64; 3],
}

impl Figure {
    /// Relative difference of the expected figure.
    pub fn error(&self) -> f64 {
        (self.planned[1] - self.measured) / self.measured.abs().max(0.01)
    }

    /// Whether the bounds cover what was measured, up to the two decimals that logs print.
    pub fn covered(&self) -> bool {
        (self.planned[0] - 0.005..=self.planned[2] + 0.005).contains(&self.measured)
    }
}

/// One run, planned.
pub struct Compared {
    /// The row.
    pub row: Value,
    /// The model.
    pub model: Model,
    /// Version it ran.
    pub version: Version,
    /// The plan.
    pub plan: EnginePlan,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the row names its card.
    pub card_known: bool,
}

/// Why a row is not compared.
pub type Skipped = String;

static GPUS: LazyLock<GpuCatalogue> = LazyLock::new(GpuCatalogue::built_in);

/// Fields that must not be deduced for a row to be scored.
const STATED: [&str; 4] = ["model", "tp", "engine_version", "quantization"];

/// Whether a row can be scored: nothing that matters was deduced.
pub fn dependable(row: &Value) -> bool {
    let inferred = row["inferred"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Trained beside the engine, with adapters of a rank that the page does not state.
    let adapters = row["lora"].as_bool() == Some(true) && row["lora_rank"].is_null();
    !adapters
        && !inferred.iter().any(|f| STATED.iter().any(|s| f.as_str() == Some(s)))
        && row["engine_version"].as_str().is_some_and(|text| text.parse::<Version>().is_ok())
}

/// The version of a row: as stated; the first of a series that is named without its last number; else, deduced, the newest that any row of
/// that month or before states.
fn version(row: &Value) -> Option<Version> {
    let read = |row: &Value| row["engine_version"].as_str().and_then(|text| text.parse::<Version>().ok());
    let series = |text: &str| text.strip_suffix(".x").or_else(|| text.strip_suffix("-nightly"))?.parse().ok();
    if let Some(version) = read(row).or_else(|| series(row["engine_version"].as_str()?)) {
        return Some(version);
    }
    let date = row["date"].as_str()?;
    let before = corpus::rows("runs/vllm.jsonl");
    // A year alone reaches to its end.
    let until = |other: &str| other.get(..date.len()).unwrap_or(other) <= date;
    before.iter().filter(|other| other["date"].as_str().is_some_and(until)).filter_map(read).max()
}

/// The card of a row; one of the right kind for rows without, whose weights alone can be compared.
fn card(row: &Value) -> (Card, bool) {
    let name = row["gpu"].as_str().unwrap_or("");
    // "24GB (RTX 4090 class)" names its class in brackets.
    let name = name.split_once('(').map_or(name, |(_, class)| class.trim_end_matches(" class)"));
    let named = name.trim_start_matches("NVIDIA ").trim_start_matches("Tesla ").trim_start_matches("GeForce ");
    let words: Vec<&str> = named.split(' ').collect();
    let tried = (1..=words.len()).rev().map(|n| words[..n].join(" "));
    let found = tried.flat_map(|name| [name.replace(' ', "-"), name]).find_map(|name| GPUS.select(&name).ok());
    let known = found.is_some();
    let profile = found.or_else(|| GPUS.select("H100").ok()).unwrap();
    let mut card = Card::of_profile(&profile);
    // Modified cards: the size in the name is far from the profile's.
    let size = words.last().and_then(|word| word.strip_suffix("GB")?.parse::<f64>().ok());
    if let Some(size) = size.filter(|size| (size / card.capacity.as_gib() - 1.0).abs() > 0.5) {
        card.capacity = Bytes::from_gib(size * 0.98);
    }
    if let Some(total) = row["gpu_total_gib"].as_f64() {
        card.capacity = Bytes::from_gib(total);
    }
    (card, known)
}

fn settings(row: &Value) -> Settings {
    let number = |key: &str| row[key].as_u64();
    let text = |key: &str| row[key].as_str().map(str::to_owned);
    let mut engine_flags = std::collections::BTreeMap::new();
    let mut flag = |name: &str, value: String| engine_flags.insert(name.to_owned(), value);
    if row["v1"].as_bool() == Some(false) {
        flag("VLLM_USE_V1", "0".to_owned());
    }
    for (name, value) in row["engine_flags"].as_object().into_iter().flatten() {
        flag(name, value.as_str().unwrap().to_owned());
    }
    if row["lora"].as_bool() == Some(true) {
        flag("enable-lora", "true".to_owned());
        flag("max-lora-rank", row["lora_rank"].as_u64().unwrap_or(16).to_string());
    }
    Settings {
        engine_flags,
        tensor_parallel: number("tp").map(|n| n as u32),
        pipeline_parallel: number("pp").map(|n| n as u32),
        dtype: text("dtype"),
        kv_cache_dtype: text("kv_cache_dtype"),
        max_model_len: number("max_model_len").map_or(ContextLength::Model, ContextLength::Tokens),
        max_num_seqs: number("max_num_seqs"),
        max_num_batched_tokens: number("max_num_batched_tokens"),
        memory_fraction: row["gpu_memory_utilization"].as_f64().and_then(|x| Fraction::new(x).ok()),
        enforce_eager: row["enforce_eager"].as_bool(),
        block_size: number("block_size"),
        ..Settings::default()
    }
}

/// Plans a row.
pub fn compare(row: &Value) -> Result<Compared, Skipped> {
    let id = row["model"].as_str().ok_or("no model")?;
    let mut model =
        corpus::published_model(id).ok_or("no config of the model is stored")?.map_err(|e| e.to_string())?;
    let version = version(row).ok_or("no version")?;
    let mut settings = settings(row);
    let method = row["quantization"].as_str();
    match (&model.quantization, method) {
        // Plain weights, quantised while loading.
        (None, Some(method @ ("bitsandbytes" | "fp8"))) => settings.quantization = Some(method.to_owned()),
        // A local copy of a published model, quantised by the usual recipe.
        (None, Some("gptq")) => {
            let recipe = corpus::published_model(&format!("{id}-GPTQ-Int4"));
            model = recipe.ok_or("no config")?.map_err(|e| e.to_string())?;
        }
        (None, Some(method)) => return Err(format!("ran as {method}; which matrices is not stated")),
        (Some(own), None) if row["quantization"].is_string() => {
            return Err(format!("ran plain, the config is {}", own.method));
        }
        _ => {}
    }
    let ranks = settings.tensor_parallel.unwrap_or(1) * settings.pipeline_parallel.unwrap_or(1);
    let (card, card_known) = card(row);
    let fleet = Fleet { cards: vec![card; ranks as usize], source: FleetSource::Given };
    let deployment = Deployment { model: &model, settings: &settings, fleet: &fleet, version };
    let plan = engine("vllm").unwrap().plan(&deployment).map_err(|e| e.to_string())?;
    let verdict = Verdict::of(&plan, &fleet);
    Ok(Compared { row: row.clone(), model, version, plan, verdict, card_known })
}

fn sum(rank: &RankPlan, keep: impl Fn(&shardfit::engines::Line) -> bool) -> [f64; 3] {
    Demand::ALL.map(|demand| {
        let lines = rank.lines.iter().filter(|l| keep(l)).map(|l| demand.of(&l.estimate));
        lines.sum::<Bytes>().as_gib()
    })
}

impl Compared {
    fn figure(&self, key: &str, planned: [f64; 3]) -> Option<Figure> {
        Some(Figure { measured: self.row["measured"][key].as_f64()?, planned })
    }

    /// The rank whose log lines the page shows: the first, unless the page is of another one.
    fn rank(&self) -> &RankPlan {
        &self.plan.ranks[self.row["rank"].as_u64().unwrap_or(0) as usize]
    }

    /// "Model loading took".
    pub fn weights(&self) -> Option<Figure> {
        let loaded = |l: &shardfit::engines::Line| l.component == Component::Weights || l.what == "rests of blocks";
        self.figure("weights_gib", sum(self.rank(), loaded))
    }

    /// Activation peak.
    pub fn activation(&self) -> Option<Figure> {
        self.figure("activation_peak_gib", sum(self.rank(), |l| l.component == Component::Activation))
    }

    /// Memory outside the tensor allocator.
    pub fn non_torch(&self) -> Option<Figure> {
        if !self.card_known {
            return None;
        }
        let outside = |l: &shardfit::engines::Line| {
            l.account == Account::Budget && matches!(l.component, Component::Context | Component::Communication)
        };
        self.figure("non_torch_gib", sum(self.rank(), outside))
    }

    /// CUDA graphs.
    pub fn graphs(&self) -> Option<Figure> {
        self.figure("graph_gib", sum(self.rank(), |l| l.component == Component::CudaGraph))
    }

    fn inferred(&self, field: &str) -> bool {
        self.row["inferred"].as_array().is_some_and(|fields| fields.iter().any(|f| f.as_str() == Some(field)))
    }

    /// "Available KV cache memory": the poorest rank's. Only where the card and the share of it are stated.
    pub fn pool(&self) -> Option<Figure> {
        let card = self.card_known && (!self.inferred("gpu") || self.row["gpu_total_gib"].is_number());
        let share = self.row["gpu_memory_utilization"].is_number() && !self.inferred("gpu_memory_utilization");
        if !(card && share) {
            return None;
        }
        let left = |demand: Demand| {
            let of = |rank: &RankPlan| {
                let charged =
                    rank.lines.iter().filter(|l| l.account == Account::Budget).map(|l| demand.of(&l.estimate));
                rank.budget.unwrap_or(Bytes::ZERO).as_gib() - charged.sum::<Bytes>().as_gib()
            };
            match self.row["rank"].is_u64() {
                true => of(self.rank()),
                false => self.plan.ranks.iter().map(of).fold(f64::INFINITY, f64::min),
            }
        };
        self.figure("kv_cache_gib", [left(Demand::High), left(Demand::Expected), left(Demand::Low)])
    }

    /// Whether it ran out of memory or was refused; `None` where the page does not say or the card is not known.
    pub fn died(&self) -> Option<bool> {
        self.row["measured"]["oom"].as_bool().filter(|_| self.card_known)
    }

    /// Whether the plan says that it fits, perhaps narrowly.
    pub fn starts(&self) -> bool {
        matches!(self.verdict.state, State::Fits | State::Tight)
    }

    /// Whether it is a text model.
    pub fn is_text(&self) -> bool {
        !self.model.modules.iter().any(|m| m.part == Part::Vision)
    }

    /// What to call the row.
    pub fn name(&self) -> String {
        let row = &self.row;
        format!(
            "{} {} {} tp {} pp {}",
            row["id"].as_str().unwrap_or("?"),
            self.version,
            row["model"].as_str().unwrap_or("?"),
            row["tp"],
            row["pp"]
        )
    }
}
