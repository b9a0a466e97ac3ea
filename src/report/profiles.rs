//! `shardfit/profiles/1` and `shardfit/profile/1`: what is known beforehand, and where each figure comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tool;
use crate::profiles::gpus::GpuProfile;
use crate::profiles::models::ModelProfile;
use crate::profiles::{CardCalibration, QuantProfile};
use crate::units::{Basis, Bytes};

/// All profiles, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileListReport {
    /// `shardfit/profiles/1`.
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// Each profile.
    pub profiles: Vec<ProfileName>,
}

/// One profile in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileName {
    /// `card`, `quantisation`, `model` or `calibration`.
    pub kind: String,
    /// What it is called.
    pub id: String,
    /// In a few words.
    pub summary: String,
}

/// One profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileReport {
    /// `shardfit/profile/1`.
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// `card`, `quantisation` or `model`.
    pub kind: String,
    /// What it is called.
    pub id: String,
    /// What is known, each with its source; what was measured on this machine stands before what it takes the place of.
    pub facts: Vec<ProfileFact>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileFact {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: String,
    /// How sure it is.
    pub basis: Basis,
    /// Where it comes from.
    pub source: String,
    /// Whether plans for this machine's cards use another figure in its place.
    pub replaced: bool,
}

impl ProfileListReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "shardfit/profiles/1";

    /// A list.
    #[must_use]
    pub fn new(profiles: Vec<ProfileName>) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), tool: Tool::this(), profiles }
    }
}

impl ProfileName {
    fn new(kind: &str, id: &str, summary: String) -> Self {
        Self { kind: kind.to_owned(), id: id.to_owned(), summary }
    }

    /// A kind of card.
    #[must_use]
    pub fn of_card(profile: &GpuProfile) -> Self {
        let GpuProfile { id, memory, architecture, .. } = profile;
        Self::new("card", id, format!("{} for CUDA, {}, {}", memory.cuda_total, memory.kind, architecture.name()))
    }

    /// A storage format.
    #[must_use]
    pub fn of_quantisation(profile: &QuantProfile) -> Self {
        Self::new("quantisation", &profile.id, profile.methods.join(", "))
    }

    /// A model.
    #[must_use]
    pub fn of_model(profile: &ModelProfile) -> Self {
        Self::new("model", &profile.id(), "its config, built in".to_owned())
    }

    /// A card that was measured.
    #[must_use]
    pub fn of_calibration(card: &CardCalibration) -> Self {
        let driver = card.driver.as_deref().unwrap_or("unknown");
        Self::new("calibration", &card.name, format!("measured {} on driver {driver}", card.measured))
    }
}

impl ProfileReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "shardfit/profile/1";

    fn new(kind: &str, id: &str, facts: Vec<ProfileFact>) -> Self {
        let (schema, kind) = (Self::SCHEMA.to_owned(), kind.to_owned());
        Self { schema, tool: Tool::this(), kind, id: id.to_owned(), facts }
    }

    /// A kind of card, with what was measured of one here.
    #[must_use]
    pub fn of_card(profile: &GpuProfile, measured: Option<&CardCalibration>) -> Self {
        let mut facts = measured.map(measured_facts).unwrap_or_default();
        let replaces_context = measured.is_some_and(|card| card.bare_context.is_some());
        let compute = |name: &str, value: String| fact(name, value, Basis::Profile, &profile.compute_source);
        let (major, minor) = profile.compute_capability;
        facts.extend([
            compute("names", profile.names.join(", ")),
            compute("architecture", profile.architecture.name().to_owned()),
            compute("compute capability", format!("{major}.{minor}")),
            compute("multiprocessors", profile.multiprocessors.to_string()),
            compute("NVLink", if profile.nvlink { "yes" } else { "no" }.to_owned()),
        ]);
        let memory = &profile.memory;
        let total = |name: &str, bytes: Bytes| fact(name, bytes.to_string(), memory.basis, &memory.source);
        facts.push(total("CUDA total", memory.cuda_total));
        facts.extend(memory.nvml_total.map(|bytes| total("NVML total", bytes)));
        facts.extend(memory.ecc.iter().map(|text| fact("ECC", text.clone(), memory.basis, &memory.source)));
        facts.extend(profile.context.iter().map(|context| {
            let value = format!("{} ({} to {})", context.expected, context.low, context.high);
            let replaced = replaces_context;
            ProfileFact { replaced, ..fact("context with kernels", value, context.basis, &context.source) }
        }));
        Self::new("card", &profile.id, facts)
    }

    /// A card that was measured and of which nothing else is known.
    #[must_use]
    pub fn of_calibration(card: &CardCalibration) -> Self {
        Self::new("card", &card.name, measured_facts(card))
    }

    /// A storage format: its tensors.
    #[must_use]
    pub fn of_quantisation(profile: &QuantProfile) -> Self {
        let known = |name: &str, value: String| fact(name, value, Basis::Profile, &profile.source);
        let mut facts = vec![known("methods", profile.methods.join(", "))];
        let tensors = profile.tensors.iter();
        facts.extend(tensors.map(|t| known(&t.name, format!("{} [{}]", t.dtype, t.dims.join(", ")))));
        Self::new("quantisation", &profile.id, facts)
    }

    /// A model: its config as published.
    #[must_use]
    pub fn of_model(profile: &ModelProfile, config: &serde_json::Map<String, serde_json::Value>) -> Self {
        let source = format!("config.json of {} on the Hub, the fields that matter", profile.id());
        let facts = config.iter().map(|(name, value)| fact(name, value.to_string(), Basis::File, &source));
        Self::new("model", &profile.id(), facts.collect())
    }
}

fn fact(name: &str, value: String, basis: Basis, source: &str) -> ProfileFact {
    ProfileFact { name: name.to_owned(), value, basis, source: source.to_owned(), replaced: false }
}

fn measured_facts(card: &CardCalibration) -> Vec<ProfileFact> {
    let driver = card.driver.as_deref().unwrap_or("unknown");
    let source = format!("`shardfit calibrate` on this machine, {}, driver {driver}", card.measured);
    let measured = |name: &str, value: String| fact(name, value, Basis::Measured, &source);
    let size = |name: &str, bytes: Option<Bytes>| bytes.map(|bytes| measured(name, bytes.to_string()));
    let rate = |name: &str, rate: Option<f64>| rate.map(|rate| measured(name, format!("{:.2} GB/s", rate / 1e9)));
    let facts = [
        size("bare context", card.bare_context),
        size("CUDA total here", Some(card.capacity)),
        size("most that fits beside a context", card.usable),
        size("allocations rounded to", card.granularity),
        rate("pinned memory to card", card.to_card),
        rate("card to pinned memory", card.from_card),
        size("CPU packs rows below", card.pack_below.map(Bytes)),
    ];
    facts.into_iter().flatten().collect()
}
