//! Published Transformers runs against plans.
#![allow(dead_code, reason = "each test uses a part")]

use serde_json::Value;
use shardfit::engines::transformers::{Transformers, flag};
use shardfit::engines::{
    Component, ContextLength, Demand, Deployment, Engine, EnginePlan, RankPlan, Settings, Version,
};
use shardfit::hardware::{Fleet, FleetSource};
use shardfit::model::Model;
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::units::Bytes;

/// A run whose peak was printed: a sum over its cards, in bytes.
pub struct Run<'a> {
    /// The row.
    pub row: &'a Value,
    /// Sum of `max_memory_allocated`.
    pub peak: u64,
    /// Version stated, or that of the series.
    pub version: Version,
}

/// Rows of Transformers with a prompt, generated tokens and a peak.
pub fn run(row: &Value) -> Option<Run<'_>> {
    if row["engine"].as_str()? != "transformers" {
        return None;
    }
    let peak = (row["measured"]["peak_allocated_total_mib"].as_f64()? * 1048576.0) as u64;
    row["batch"]["input_tokens"].as_u64()?;
    let stated = row["engine_version"].as_str()?.strip_prefix("transformers ")?;
    // The oldest series names no version; its torch is that of 4.38.
    let version = stated.split(',').next()?.parse().unwrap_or(Version { major: 4, minor: 38, patch: 2 });
    Some(Run { row, peak, version })
}

/// The plan of a run.
pub fn plan(model: &Model, run: &Run<'_>) -> Result<EnginePlan, String> {
    let row = run.row;
    let number = |value: &Value| value.as_u64().ok_or_else(|| format!("{value} is no number"));
    let (input, generated) = (number(&row["batch"]["input_tokens"])?, number(&row["batch"]["generated_tokens"])?);
    let flash = row["flags"]["flash_attn"].as_bool().unwrap_or(false);
    let mut settings = Settings {
        device_map: Some("auto".to_owned()),
        dtype: Some(row["dtype"].as_str().unwrap_or("auto").to_owned()),
        max_model_len: ContextLength::Tokens(input + generated),
        ..Settings::default()
    };
    settings.engine_flags.insert(flag::NEW_TOKENS.to_owned(), generated.to_string());
    if flash {
        settings.engine_flags.insert(flag::ATTENTION.to_owned(), "flash_attention_2".to_owned());
    }
    let name = row["gpu"].as_str().unwrap_or("A100-80GB").trim_start_matches("NVIDIA ").replace(' ', "-");
    let profile = GpuCatalogue::built_in().select(&name).map_err(|e| e.to_string())?;
    let card = shardfit::hardware::Card::of_profile(&profile);
    let cards = vec![card; row["gpu_count"].as_u64().unwrap_or(1) as usize];
    let fleet = Fleet { cards, source: FleetSource::Given };
    let deployment = Deployment { model, settings: &settings, fleet: &fleet, version: run.version };
    Transformers.plan(&deployment).map_err(|e| e.to_string())
}

/// What torch counts as allocated at its highest, on all cards: weights, cache and activations, or more while loading.
pub fn allocated(plan: &EnginePlan) -> Bytes {
    let counted = [Component::Weights, Component::KvCache, Component::Activation];
    let around = [Component::Context, Component::OtherProcesses];
    let sum = |rank: &RankPlan, of: &[Component]| of.iter().map(|c| rank.expected(*c)).sum::<Bytes>();
    let top = |rank: &RankPlan| {
        let loading = rank.load_peak.expected.saturating_sub(sum(rank, &around));
        sum(rank, &counted).max(loading)
    };
    plan.ranks.iter().map(top).sum()
}

/// The same at the low and the high end of each estimate.
pub fn bounds(plan: &EnginePlan) -> [Bytes; 2] {
    let counted = [Component::Weights, Component::Activation];
    [Demand::Low, Demand::High].map(|demand| {
        let top = |rank: &RankPlan| {
            let lines = rank.lines.iter().filter(|l| counted.contains(&l.component));
            let lines: Bytes = lines.map(|l| demand.of(&l.estimate)).sum();
            let context = rank.expected(Component::Context) + rank.expected(Component::OtherProcesses);
            (lines + rank.kv[demand as usize]).max(demand.of(&rank.load_peak).saturating_sub(context))
        };
        plan.ranks.iter().map(top).sum()
    })
}

/// What the steps after the prompt take: the same with the low end of activations, which is that of decoding.
pub fn steps(plan: &EnginePlan) -> Bytes {
    let low = |rank: &RankPlan| {
        let lines = rank.lines.iter().filter(|l| l.component == Component::Activation);
        let growing = |l: &shardfit::engines::Line| l.what == "activations and logits above the cache";
        let lines: Bytes = lines.map(|l| if growing(l) { l.estimate.low } else { l.estimate.expected }).sum();
        lines + rank.expected(Component::Weights) + rank.expected(Component::KvCache)
    };
    plan.ranks.iter().map(low).sum()
}

/// Weights and cache alone: what is held after the last step.
pub fn held(plan: &EnginePlan) -> Bytes {
    let counted = [Component::Weights, Component::KvCache];
    plan.ranks.iter().map(|rank| counted.into_iter().map(|c| rank.expected(c)).sum::<Bytes>()).sum()
}
