//! Engine flags without a shared name that change memory, read from their raw values.

use serde_json::Value;

use crate::engines::{EngineError, Settings, Version};
use crate::units::{Bytes, DType};

/// `--enable-lora` and what goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoraOptions {
    /// `--max-loras`.
    pub adapters: u64,
    /// `--max-lora-rank`.
    pub rank: u64,
    /// `--fully-sharded-loras`.
    pub fully_sharded: bool,
    /// `--lora-extra-vocab-size`; 0 where the version has none.
    pub extra_vocabulary: u64,
    /// `--lora-dtype`; `None` for the model's.
    pub dtype: Option<DType>,
}

/// What speculates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speculation {
    /// Looks tokens up in the prompt (or in suffixes of earlier answers): no weights.
    Lookup,
    /// Layers that come with the target's checkpoint (MTP).
    OwnLayers,
    /// Another model, by id or path.
    Draft(String),
}

/// A flag as it was typed.
pub fn raw<'a>(settings: &'a Settings, flag: &str) -> Option<&'a str> {
    settings.engine_flags.get(flag).map(String::as_str)
}

/// The environment variable that says which kernels sample.
pub const FLASHINFER_SAMPLER: &str = "VLLM_USE_FLASHINFER_SAMPLER";

/// A choice that is on, off, or left to the engine.
#[must_use]
pub fn chosen(settings: &Settings, name: &str) -> Option<bool> {
    raw(settings, name).map(|_| switch(settings, name))
}

/// Whether bitsandbytes' scales stay quantised. From 0.8 on vLLM brings them back to numbers while loading (`bitsandbytes_loader.py`,
/// `_dequantize_dq`), unless the program around it undoes that, as Unsloth does.
#[must_use]
pub fn keeps_nested_scales(settings: &Settings, version: Version) -> bool {
    chosen(settings, "bnb-4bit-use-double-quant").unwrap_or(version < Version::new(0, 8, 0))
}

/// Whether a switch is on.
pub fn switch(settings: &Settings, flag: &str) -> bool {
    raw(settings, flag).is_some_and(|text| !matches!(text, "false" | "False" | "0"))
}

fn wrong(flag: &'static str, value: &str, expected: &str) -> EngineError {
    EngineError::Setting { flag, value: value.to_owned(), expected: expected.to_owned() }
}

/// A count; `default` when it is not set.
///
/// # Errors
/// When it is no whole number up to `most`.
pub fn count(settings: &Settings, flag: &'static str, default: u64, most: u64) -> Result<u64, EngineError> {
    let Some(text) = raw(settings, flag) else { return Ok(default) };
    let parsed = text.parse::<u64>().ok().filter(|n| *n <= most);
    parsed.ok_or_else(|| wrong(flag, text, &format!("must be a whole number up to {most}")))
}

/// GiB as vLLM takes them; `None` when not set.
///
/// # Errors
/// When it is no number from 0 to 2^20.
pub fn gibibytes(settings: &Settings, flag: &'static str) -> Result<Option<Bytes>, EngineError> {
    let Some(text) = raw(settings, flag) else { return Ok(None) };
    let parsed = text.parse::<f64>().ok().filter(|x| (0.0..=1_048_576.0).contains(x));
    parsed.map(|gib| Some(Bytes::from_gib(gib))).ok_or_else(|| wrong(flag, text, "must be a number of GiB"))
}

/// The LoRA settings; `None` without `--enable-lora`. Defaults are those of `config/lora.py`.
///
/// # Errors
/// When a value is out of its range.
pub fn lora(settings: &Settings, extra_vocabulary: u64) -> Result<Option<LoraOptions>, EngineError> {
    if !switch(settings, "enable-lora") {
        return Ok(None);
    }
    let dtype = match raw(settings, "lora-dtype") {
        None | Some("auto") => None,
        Some(text) => Some(text.parse().map_err(|_| wrong("lora-dtype", text, "must be auto, float16 or bfloat16"))?),
    };
    Ok(Some(LoraOptions {
        adapters: count(settings, "max-loras", 1, 1 << 16)?,
        rank: count(settings, "max-lora-rank", 16, 1 << 16)?,
        fully_sharded: switch(settings, "fully-sharded-loras"),
        extra_vocabulary: match extra_vocabulary {
            0 => 0,
            default => count(settings, "lora-extra-vocab-size", default, 1 << 20)?,
        },
        dtype,
    }))
}

/// What speculates: `--speculative-config`, or the single flags that came before and after it.
///
/// # Errors
/// When the configuration is no JSON object.
pub fn speculation(settings: &Settings) -> Result<Option<Speculation>, EngineError> {
    let config = speculative_config(settings)?;
    let field = |name: &str| config.get(name).and_then(Value::as_str);
    let method = field("method").or_else(|| raw(settings, "spec-method"));
    let model = field("model").or_else(|| raw(settings, "spec-model")).or_else(|| raw(settings, "speculative-model"));
    Ok(match (method, model) {
        (Some("ngram" | "ngram_gpu" | "suffix"), _) | (_, Some("[ngram]" | "ngram")) => Some(Speculation::Lookup),
        (Some(method), _) if method == "mtp" || method.ends_with("_mtp") => Some(Speculation::OwnLayers),
        (_, Some(model)) => Some(Speculation::Draft(model.to_owned())),
        (Some(_), None) | (None, None) => None,
    })
}

/// Whether prompts may hold no videos.
#[must_use]
pub fn without_videos(settings: &Settings) -> bool {
    let limits = raw(settings, "limit-mm-per-prompt").unwrap_or_default();
    let mut pairs = limits.split([',', '{', '}']).filter_map(|part| part.split_once(['=', ':']));
    pairs.any(|(kind, limit)| kind.trim().trim_matches('"') == "video" && limit.trim() == "0")
}

/// Whether every rank runs the whole vision tower (`--mm-encoder-tp-mode data`).
#[must_use]
pub fn tower_whole(settings: &Settings) -> bool {
    raw(settings, "mm-encoder-tp-mode") == Some("data")
}

/// `draft_tensor_parallel_size`: ranks of the draft's layers, where they are not those of the target's.
///
/// # Errors
/// When the configuration is no JSON object, or the size no number from 1 on.
pub fn draft_ranks(settings: &Settings) -> Result<Option<u32>, EngineError> {
    match speculative_config(settings)?.get("draft_tensor_parallel_size") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0) {
            Some(ranks) => Ok(Some(ranks)),
            None => Err(wrong("speculative-config", &value.to_string(), "`draft_tensor_parallel_size` starts at 1")),
        },
    }
}

fn speculative_config(settings: &Settings) -> Result<serde_json::Map<String, Value>, EngineError> {
    const FLAG: &str = "speculative-config";
    let Some(text) = raw(settings, FLAG) else { return Ok(serde_json::Map::new()) };
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) | Err(_) => Err(wrong(FLAG, text, "must be a JSON object")),
    }
}

/// Whether images (and audio) are left out of the profiling run: no items allowed, or profiling of them skipped.
#[must_use]
pub fn without_images(settings: &Settings) -> bool {
    let none_allowed = raw(settings, "limit-mm-per-prompt").is_some_and(|text| {
        let pairs = text.split([',', '{', '}']).filter(|part| !part.trim().is_empty());
        let zero = |part: &str| part.rsplit(['=', ':']).next().is_some_and(|n| n.trim() == "0");
        pairs.map(zero).reduce(|a, b| a && b).unwrap_or(false)
    });
    none_allowed || switch(settings, "language-model-only") || switch(settings, "skip-mm-profiling")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &[(&str, &str)]) -> Settings {
        let engine_flags = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings { engine_flags, ..Settings::default() }
    }

    #[test]
    fn adapters_have_defaults() {
        assert_eq!(lora(&settings(&[]), 256).unwrap(), None);
        assert_eq!(lora(&settings(&[("enable-lora", "false")]), 256).unwrap(), None);
        let options = lora(&settings(&[("enable-lora", "true"), ("max-lora-rank", "64")]), 256).unwrap().unwrap();
        assert_eq!((options.adapters, options.rank, options.fully_sharded), (1, 64, false));
        assert!(lora(&settings(&[("enable-lora", "true"), ("max-loras", "many")]), 0).is_err());
    }

    #[test]
    fn what_speculates_is_told_apart() {
        let read = |text: &str| speculation(&settings(&[("speculative-config", text)]));
        assert_eq!(read(r#"{"method": "ngram", "num_speculative_tokens": 4}"#).unwrap(), Some(Speculation::Lookup));
        assert_eq!(read(r#"{"method": "deepseek_mtp"}"#).unwrap(), Some(Speculation::OwnLayers));
        assert_eq!(read(r#"{"method": "mtp", "model": "target"}"#).unwrap(), Some(Speculation::OwnLayers));
        let draft = read(r#"{"model": "Qwen/Qwen3-0.6B", "method": "draft_model"}"#).unwrap();
        assert_eq!(draft, Some(Speculation::Draft("Qwen/Qwen3-0.6B".to_owned())));
        assert!(read("[]").is_err());
        assert_eq!(speculation(&settings(&[("speculative-model", "[ngram]")])).unwrap(), Some(Speculation::Lookup));
    }

    #[test]
    fn a_draft_has_the_ranks_of_its_target_unless_told() {
        let read = |text: &str| draft_ranks(&settings(&[("speculative-config", text)]));
        assert_eq!(read(r#"{"model": "draft"}"#).unwrap(), None);
        assert_eq!(read(r#"{"model": "draft", "draft_tensor_parallel_size": 1}"#).unwrap(), Some(1));
        assert!(read(r#"{"model": "draft", "draft_tensor_parallel_size": 0}"#).is_err());
    }

    #[test]
    fn images_are_left_out_only_when_none_is_allowed() {
        let without = |text: &str| without_images(&settings(&[("limit-mm-per-prompt", text)]));
        assert!(without(r#"{"image": 0, "video": 0}"#));
        assert!(without("image=0"));
        assert!(!without(r#"{"image": 0, "video": 1}"#));
        assert!(!without("{}"));
        assert!(without_videos(&settings(&[("limit-mm-per-prompt", r#"{"image": 1, "video": 0}"#)])));
        assert!(!without_videos(&settings(&[("limit-mm-per-prompt", "image=0,video=10")])));
        assert!(without_images(&settings(&[("language-model-only", "true")])));
    }
}
