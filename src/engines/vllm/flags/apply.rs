//! From flags with their values to the settings of a deployment.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::engines::Version;
use crate::engines::command_line::CommandError;
use crate::engines::command_line::flags::{Effect, Flag, Given, Occurrence, SharedSetting, is_auto};
use crate::engines::command_line::values;
use crate::engines::{ContextLength, Settings};
use crate::units::{Bytes, Fraction};

/// What the flags of a command set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    /// The settings.
    pub settings: Settings,
    /// `--model`.
    pub model: Option<String>,
    /// `--config`.
    pub config_file: Option<String>,
    /// `--device-ids`.
    pub devices: Option<String>,
}

/// Goes through `occurrences` in order; the last one of a flag wins, and single keys win over a whole JSON value, as in vLLM's
/// `utils/argparse_utils.py`.
///
/// # Errors
/// When a value is outside what the flag allows.
pub fn apply(occurrences: &[Occurrence], version: Option<Version>) -> Result<Applied, CommandError> {
    let mut applied = Applied::default();
    let mut keys: BTreeMap<&'static str, Value> = BTreeMap::new();
    for occurrence in occurrences {
        match occurrence.flag.effect {
            Effect::Nothing => {}
            Effect::Model => applied.model = text(&occurrence.given),
            Effect::ConfigFile => applied.config_file = text(&occurrence.given),
            Effect::Devices => applied.devices = text(&occurrence.given),
            Effect::Shared(setting) => set_shared(&mut applied.settings, setting, occurrence)?,
            Effect::Engine => match &occurrence.given {
                Given::Key { path, append, text } => {
                    set_key(keys.entry(occurrence.flag.name()).or_default(), path, *append, text)
                }
                given => set_engine(&mut applied.settings, occurrence.flag, given),
            },
            Effect::OptimizationLevel => set_level(&mut applied.settings, &mut keys, &occurrence.given, version),
        }
    }
    for (name, value) in keys {
        applied.settings.engine_flags.insert(name.to_owned(), value.to_string());
    }
    Ok(applied)
}

fn text(given: &Given) -> Option<String> {
    match given {
        Given::One(text) => Some(text.clone()),
        Given::Many(texts) => Some(texts.join(" ")),
        Given::Switch(on) => Some(on.to_string()),
        Given::Key { .. } | Given::Nothing => None,
    }
}

fn set_engine(settings: &mut Settings, flag: &Flag, given: &Given) {
    match text(given) {
        Some(text) => settings.engine_flags.insert(flag.name().to_owned(), text),
        None => settings.engine_flags.remove(flag.name()),
    };
}

/// `-O3` sets the compilation level up to 0.10, the compilation mode in 0.11 and the optimisation level since (parsers of the releases
/// read); `-O '{…}'` and `-O.key` stood for `--compilation-config`.
fn set_level(
    settings: &mut Settings,
    keys: &mut BTreeMap<&'static str, Value>,
    given: &Given,
    version: Option<Version>,
) {
    const CONFIG: &str = "compilation-config";
    match given {
        Given::Key { path, append, text } => set_key(keys.entry(CONFIG).or_default(), path, *append, text),
        Given::One(text) if values::json(text).is_some_and(|v| v.is_object()) => {
            settings.engine_flags.insert(CONFIG.to_owned(), text.clone());
        }
        Given::One(text) => match version {
            Some(version) if version < Version::new(0, 11, 0) => {
                set_key(keys.entry(CONFIG).or_default(), &["level".to_owned()], false, text)
            }
            Some(version) if version < Version::new(0, 12, 0) => {
                set_key(keys.entry(CONFIG).or_default(), &["mode".to_owned()], false, text)
            }
            _ => {
                settings.engine_flags.insert("optimization-level".to_owned(), text.clone());
            }
        },
        Given::Switch(_) | Given::Many(_) | Given::Nothing => {}
    }
}

/// Sets one key of a JSON object; a value that is no JSON is a number with a suffix or a string.
fn set_key(root: &mut Value, path: &[String], append: bool, text: &str) {
    let value = if append {
        Value::Array(text.split(',').map(Value::from).collect())
    } else {
        serde_json::from_str(text)
            .ok()
            .or_else(|| values::count(text).map(Value::from))
            .unwrap_or_else(|| Value::from(text))
    };
    let mut place = root;
    for key in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(key.as_str()).or_insert(Value::Null);
    }
    match (place, value) {
        (Value::Array(old), Value::Array(new)) if append => old.extend(new),
        (place, value) => *place = value,
    }
}

fn set_shared(settings: &mut Settings, setting: SharedSetting, occurrence: &Occurrence) -> Result<(), CommandError> {
    let value = text(&occurrence.given);
    let read = Setting { occurrence, text: value.as_deref() };
    match setting {
        SharedSetting::TensorParallel => settings.tensor_parallel = read.degree()?,
        SharedSetting::PipelineParallel => settings.pipeline_parallel = read.degree()?,
        SharedSetting::DataParallel => settings.data_parallel = read.degree()?,
        SharedSetting::ExpertParallel => settings.expert_parallel = read.switch(),
        SharedSetting::DType => settings.dtype = value,
        SharedSetting::Quantization => settings.quantization = value,
        SharedSetting::KvCacheDType => settings.kv_cache_dtype = value,
        SharedSetting::MaxModelLen => {
            settings.max_model_len = match value.as_deref() {
                None => ContextLength::Model,
                Some(text) if is_auto(text) => ContextLength::Auto,
                Some(_) => read.count()?.map_or(ContextLength::Model, ContextLength::Tokens),
            }
        }
        SharedSetting::MaxNumSeqs => settings.max_num_seqs = read.count()?,
        SharedSetting::MaxNumBatchedTokens => settings.max_num_batched_tokens = read.count()?,
        SharedSetting::MemoryFraction => settings.memory_fraction = read.fraction()?,
        SharedSetting::KvCacheMemory => settings.kv_cache_memory = read.count()?.map(Bytes),
        SharedSetting::BlockSize => settings.block_size = read.count()?,
        SharedSetting::EnforceEager => settings.enforce_eager = read.switch(),
        SharedSetting::ChunkedPrefill => settings.chunked_prefill = read.switch(),
        SharedSetting::PrefixCaching => settings.prefix_caching = read.switch(),
        SharedSetting::CpuOffload => settings.cpu_offload = read.gibibytes()?,
    }
    Ok(())
}

/// The value of a shared setting and the flag to name when it is out of range.
struct Setting<'a> {
    occurrence: &'a Occurrence,
    text: Option<&'a str>,
}

impl Setting<'_> {
    fn read<T>(&self, parse: impl Fn(&str) -> Option<T>, expected: &'static str) -> Result<Option<T>, CommandError> {
        let Some(text) = self.text else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| CommandError::MalformedValue {
            flag: self.occurrence.typed.clone(),
            value: text.to_owned(),
            expected,
        })
    }

    fn degree(&self) -> Result<Option<u32>, CommandError> {
        self.read(
            |text| values::integer(text).and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0),
            "a whole number from 1 up",
        )
    }

    fn count(&self) -> Result<Option<u64>, CommandError> {
        self.read(|text| values::count(text).filter(|&n| n > 0), "a whole number from 1 up")
    }

    fn fraction(&self) -> Result<Option<Fraction>, CommandError> {
        self.read(
            |text| values::decimal(text).filter(|&x| x > 0.0).and_then(|x| Fraction::new(x).ok()),
            "a share of the card above 0 and up to 1, such as `0.9`",
        )
    }

    fn gibibytes(&self) -> Result<Option<Bytes>, CommandError> {
        self.read(|text| values::decimal(text).filter(|&x| x >= 0.0).map(Bytes::from_gib), "a number of GiB from 0 up")
    }

    fn switch(&self) -> Option<bool> {
        self.text.and_then(values::truth)
    }
}
