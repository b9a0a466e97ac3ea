//! What is known of the deployment: from flags, from a pasted command, and from what the log says of itself.

use super::{Events, Value};
use crate::engines::Settings;
use crate::engines::command_line::CommandTemplate;
use crate::model::Model;
use crate::planning::PlanRequest;
use crate::profiles::models::{ModelProfile, built_in_models};
use crate::units::{Bytes, DType};

/// The model, as far as it is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KnownModel {
    /// Its name or path.
    pub name: Option<String>,
    /// All facts, where its config could be read.
    pub model: Option<Model>,
    /// Parameters: counted, or read from the name (`7B`).
    pub parameters: Option<u64>,
    /// Bytes of its weights as published.
    pub weights: Option<Bytes>,
    /// Whether the figures are read from the name alone.
    pub is_guessed: bool,
}

impl KnownModel {
    /// A model whose config was read.
    #[must_use]
    pub fn of(model: Model) -> Self {
        let weights = model.checkpoint_bytes();
        let parameters = Some(model.parameters()).filter(|p| *p > 0);
        Self { name: model.id.clone(), parameters, weights, model: Some(model), is_guessed: false }
    }

    /// A model of which nothing but the name is known. A built-in model of that name, however it is written (`Llama 3.1 8B`), is taken
    /// for it; else sizes in the name (`7B`, `8x7B`) and formats (`AWQ`, `FP8`) are taken at their word.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if let Some(model) = loosely_named(name) {
            return Self { name: Some(name.to_owned()), ..Self::of(model) };
        }
        let parameters = parameters_of(name);
        let weights = parameters.and_then(|p| p.checked_mul(bits_of(name))).map(|bits| Bytes(bits / 80));
        Self { name: Some(name.to_owned()), model: None, parameters, weights, is_guessed: true }
    }

    /// Weights in 16 bits.
    #[must_use]
    pub fn in_16_bits(&self) -> Option<Bytes> {
        self.parameters.map(|p| DType::BF16.size(p))
    }

    /// Whether the published weights are smaller than 16 bits a parameter.
    #[must_use]
    pub fn is_quantised(&self) -> bool {
        self.weights.zip(self.in_16_bits()).is_some_and(|(w, full)| w.0 < full.0 / 10 * 8)
    }
}

/// What is known of the deployment; the log fills what flags leave open.
#[derive(Clone, Default)]
pub struct Facts {
    /// Engine.
    pub engine: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Model.
    pub model: KnownModel,
    /// Cards that the engine can see.
    pub cards: Option<u32>,
    /// CUDA total of the smallest of them.
    pub capacity: Option<Bytes>,
    /// Tensor-parallel degree.
    pub tensor_parallel: Option<u32>,
    /// Pipeline-parallel degree.
    pub pipeline_parallel: Option<u32>,
    /// The share of a card that the engine allows itself.
    pub memory_share: Option<f64>,
    /// Settings that flags or a command state.
    pub settings: Settings,
    /// Everything that planning needs, where it is known.
    pub request: Option<PlanRequest>,
    /// The command, to be written again with changes.
    pub template: Option<CommandTemplate>,
}

/// The built-in model that a name means when blanks, publishers and endings such as `-Instruct` are left out; none where several could be
/// meant.
fn loosely_named(name: &str) -> Option<Model> {
    let wanted = bare(name);
    let mut found = built_in_models().iter().filter(|m| !wanted.is_empty() && bare(m.name()) == wanted);
    let first = found.next()?;
    let config = serde_json::from_str(first.config).ok()?;
    let quantization = first.quantization.map(serde_json::from_str).transpose().ok()?;
    let model = Model::from_config(&config, quantization.as_ref()).ok()?.named(first.id());
    // Several of one size (a base model and its chat) are one to a diagnosis; of several sizes none is meant.
    let same = |m: &ModelProfile| m.name().len().abs_diff(first.name().len()) <= 12;
    found.all(same).then_some(model)
}

fn bare(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let plain: String = last.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut plain = plain.as_str();
    plain = plain.strip_prefix("meta").unwrap_or(plain);
    while let Some(shorter) = ["instruct", "chat", "hf", "it"].iter().find_map(|end| plain.strip_suffix(end)) {
        plain = shorter;
    }
    plain.to_owned()
}

/// Engines that give their own words; the rest are libraries and systems beneath them.
const ENGINES: &[&str] = &[
    "vllm",
    "sglang",
    "lmdeploy",
    "tensorrt-llm",
    "llama.cpp",
    "ollama",
    "transformers",
    "tgi",
    "mlc-llm",
    "exllamav2",
    "exllamav3",
    "openllm",
    "mlx",
    "tensorrt",
];

impl Facts {
    /// The facts with what the log says; flags win.
    #[must_use]
    pub fn with_log(mut self, events: &Events) -> Self {
        let text = |name: &str| match events.field(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let count = |name: &str| events.number(name).filter(|n| (1.0..=65536.0).contains(n)).map(|n| n as u32);
        if self.engine.is_none() {
            self.engine = engine_of(events);
        }
        self.version = self.version.or_else(|| text("engine_version"));
        self.tensor_parallel = self.tensor_parallel.or_else(|| count("tensor_parallel_size"));
        self.pipeline_parallel = self.pipeline_parallel.or_else(|| count("pipeline_parallel_size"));
        self.cards = self.cards.or_else(|| count("cuda_devices"));
        self.memory_share = self
            .memory_share
            .or_else(|| events.number("gpu_memory_utilization").or_else(|| events.number("mem_fraction_static")));
        let stated = events.number("total_gib").and_then(|n| super::field::bytes("total_gib", n));
        self.capacity = stated.or(self.capacity);
        if self.model.name.is_none()
            && let Some(name) = text("model")
        {
            self.model = KnownModel::named(&name);
        }
        self
    }

    /// Cards that hold parts of one copy of the model; 1 where nothing divides it.
    #[must_use]
    pub fn ranks(&self) -> u32 {
        self.tensor_parallel.unwrap_or(1).saturating_mul(self.pipeline_parallel.unwrap_or(1)).max(1)
    }

    /// Whether more cards are there than hold a part of the model.
    #[must_use]
    pub fn has_idle_cards(&self) -> bool {
        self.cards.is_some_and(|cards| cards > self.ranks())
    }

    /// Weights of one card as published, if they were divided evenly.
    #[must_use]
    pub fn weights_per_card(&self) -> Option<Bytes> {
        self.model.weights.map(|w| Bytes(w.0 / u64::from(self.ranks())))
    }

    /// Whether the engine is one of these.
    #[must_use]
    pub fn runs(&self, engines: &[&str]) -> bool {
        self.engine.as_deref().is_some_and(|engine| engines.contains(&engine))
    }
}

/// The engine of a log: who states its configuration or fails in its own words.
fn engine_of(events: &Events) -> Option<String> {
    use crate::profiles::oom::Role;
    let mut votes = std::collections::BTreeMap::<&str, u32>::new();
    for event in &events.list {
        if let Some(speaker) = event.speaker {
            *votes.entry(speaker).or_default() += 4;
        }
        let Some(engine) = ENGINES.iter().find(|e| **e == event.engine) else { continue };
        let weight = match event.role {
            Role::Config => 100,
            Role::Failure | Role::Suspicion => 10,
            Role::State | Role::Gauge => 3,
            Role::Consequence | Role::Decline => 1,
            // Frames of one name occur in many programs; their paths spoke above.
            Role::Frame => 0,
        };
        *votes.entry(engine).or_default() += weight;
    }
    votes
        .into_iter()
        .filter(|(_, weight)| *weight > 0)
        .max_by_key(|(_, weight)| *weight)
        .map(|(engine, _)| engine.to_owned())
}

/// Parameters by a name: `7B`, `8x22B`, `2.4T`; the first such part counts, and the active part of sparse models (`A3B`) does not.
fn parameters_of(name: &str) -> Option<u64> {
    let mut words = name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).map(str::to_ascii_lowercase);
    words.find_map(|word| {
        let word = word.trim_start_matches("llama").trim_start_matches('v');
        let (digits, scale) = match (word.strip_suffix('b'), word.strip_suffix('t'), word.strip_suffix('m')) {
            (Some(digits), ..) => (digits, 1e9),
            (_, Some(digits), _) => (digits, 1e12),
            (.., Some(digits)) => (digits, 1e6),
            _ => return None,
        };
        let number = match digits.split_once('x') {
            // Experts share attention and embeddings.
            Some((experts, each)) => experts.parse::<f64>().ok()? * each.parse::<f64>().ok()? * 0.84,
            None => digits.parse::<f64>().ok()?,
        };
        let parameters = number * scale;
        (1e7..=1e14).contains(&parameters).then_some(parameters as u64)
    })
}

/// Tenths of bits a parameter takes, by the format in a name; scales and unquantised parts included.
fn bits_of(name: &str) -> u64 {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    if has(&["int8", "8bit", "8-bit", "fp8", "w8a8", "q8_0", "w8a16"]) {
        return 84;
    }
    if has(&["awq", "gptq", "int4", "4bit", "4-bit", "w4a16", "nf4", "fp4", "q4_", "q4f", "iq4", "gpt-oss", "mxfp4"]) {
        return 46;
    }
    let bits = name.split(|c: char| !(c.is_ascii_digit() || c == '.' || c.is_ascii_alphabetic()));
    let stated = bits.filter_map(|w| w.strip_suffix("bpw")?.parse::<f64>().ok()).next();
    stated.filter(|b| (1.0..16.0).contains(b)).map_or(160, |b| (b * 10.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_sizes() {
        for (name, parameters, bits) in [
            ("Qwen/Qwen2.5-72B-Instruct-AWQ", Some(72_000_000_000), 46),
            ("Qwen3-235B-A22B-FP8", Some(235_000_000_000), 84),
            ("Mixtral-8x7B", Some(47_040_000_000), 160),
            ("Euryale-1.3-L2-70B-4.65bpw-h6-exl2", Some(70_000_000_000), 46),
            ("Llama-3-8B-Instruct-q4f16_1-MLC", Some(8_000_000_000), 46),
            ("facebook/opt-125m", Some(125_000_000), 160),
            ("llama-7b", Some(7_000_000_000), 160),
            ("GLM-4.7-Flash", None, 160),
        ] {
            assert_eq!((parameters_of(name), bits_of(name)), (parameters, bits), "{name}");
        }
        let model = KnownModel::named("some-7B-AWQ");
        assert!(model.is_quantised() && model.is_guessed);
        assert_eq!(model.weights, Some(Bytes(7_000_000_000 * 46 / 80)));
    }
}
