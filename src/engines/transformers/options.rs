//! What was asked of Transformers, with the defaults of its version.

use crate::engines::{ContextLength, EngineError, Settings, Version};
use crate::model::Model;
use crate::profiles::TransformersProfile;
use crate::sharding::{Caps, Device, DeviceMap, Strategy};
use crate::units::{Bytes, DType};

/// First version with Transformers' own planner, and with the config's element type as the default.
pub(super) const V5: Version = Version { major: 5, minor: 0, patch: 0 };

/// Flags of this engine that have no shared name.
pub mod flag {
    /// Tokens generated, of the stated length; the rest is the prompt.
    pub const NEW_TOKENS: &str = "max-new-tokens";
    /// `attn_implementation`.
    pub const ATTENTION: &str = "attn-implementation";
    /// `BitsAndBytesConfig(load_in_4bit=True)`.
    pub const LOAD_IN_4BIT: &str = "load-in-4bit";
    /// `BitsAndBytesConfig(load_in_8bit=True)`.
    pub const LOAD_IN_8BIT: &str = "load-in-8bit";
    /// `bnb_4bit_use_double_quant`.
    pub const DOUBLE_QUANT: &str = "bnb-4bit-use-double-quant";
    /// `.to(device)` or `.cuda()` after loading.
    pub const TO_DEVICE: &str = "to-device";
    /// `num_beams`.
    pub const BEAMS: &str = "num-beams";
    /// Logits of all positions: `model(…)` called directly, as for scoring.
    pub const ALL_LOGITS: &str = "all-logits";
    /// Version of the ExLlama kernels in `GPTQConfig(exllama_config=…)`.
    pub const EXLLAMA: &str = "exllama-version";
}

/// Where modules go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placing {
    /// By a strategy.
    Strategy(Strategy),
    /// By hand, or on one device.
    Map(DeviceMap),
}

/// How attention is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attention {
    /// Scores of all pairs of tokens are written out.
    Eager,
    /// torch's `scaled_dot_product_attention`.
    Sdpa,
    /// FlashAttention.
    Flash,
}

impl Attention {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Sdpa => "sdpa",
            Self::Flash => "flash_attention_2",
        }
    }
}

/// Quantisation while loading, by bitsandbytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BitsAndBytes {
    /// One byte a weight and a scale a row.
    Int8,
    /// Half a byte a weight and a scale every 64, quantised once more or not.
    Nf4 { double: bool },
}

/// Everything that was asked.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub placing: Placing,
    /// `max_memory`, where set.
    pub max_memory: Option<Caps>,
    pub dtype: DType,
    pub on_the_fly: Option<BitsAndBytes>,
    /// Sequences, beams included.
    pub sequences: u64,
    /// Tokens of each in the end.
    pub length: u64,
    /// How many of them are generated; the rest is the prompt. `None` takes the whole length as the prompt.
    pub new_tokens: Option<u64>,
    /// Whether the length was not stated.
    pub assumed_length: bool,
    pub attention: Attention,
    pub moved_to: Option<u32>,
    pub all_logits: bool,
    pub exllama: Option<u64>,
}

impl Options {
    /// Reads the settings.
    pub(super) fn read(
        settings: &Settings,
        model: &Model,
        version: Version,
        profile: &TransformersProfile,
    ) -> Result<Self, EngineError> {
        for (name, degree) in [("tp", settings.tensor_parallel), ("pp", settings.pipeline_parallel)] {
            if degree.is_some_and(|degree| degree > 1) {
                return Err(EngineError::Refused {
                    message: format!(
                        "`--{name}` above 1: only whole modules on cards (`device_map`) are planned for Transformers"
                    ),
                    hint: Some("spread the model with `--device-map auto`".to_owned()),
                });
            }
        }
        let (length, assumed_length) = length(settings, model, profile);
        let beams = number(settings, flag::BEAMS)?.unwrap_or(1).max(1);
        Ok(Self {
            placing: placing(settings)?,
            max_memory: max_memory(settings)?,
            dtype: dtype(settings, model, version)?,
            on_the_fly: on_the_fly(settings)?,
            sequences: settings.batch_size.unwrap_or(1).max(1).saturating_mul(beams),
            length,
            new_tokens: number(settings, flag::NEW_TOKENS)?,
            assumed_length,
            attention: attention(settings, version)?,
            moved_to: moved_to(settings)?,
            all_logits: truth(settings, flag::ALL_LOGITS)?,
            exllama: number(settings, flag::EXLLAMA)?,
        })
    }
}

impl Options {
    /// Tokens of the prompt, of a whole length.
    pub(super) fn prompt(&self, length: u64) -> u64 {
        self.new_tokens.map_or(length, |new| length.saturating_sub(new).max(1))
    }
}

fn wrong(flag: &'static str, value: &str, expected: impl Into<String>) -> EngineError {
    EngineError::Setting { flag, value: value.to_owned(), expected: expected.into() }
}

fn placing(settings: &Settings) -> Result<Placing, EngineError> {
    // Without a map the model is loaded and then moved to the first card.
    let Some(text) = settings.device_map.as_deref() else {
        return Ok(Placing::Map(DeviceMap::single(Device::Card(0))));
    };
    if let Ok(strategy) = text.parse() {
        return Ok(Placing::Strategy(strategy));
    }
    let map = DeviceMap::parse(text).map_err(|error| {
        wrong(
            "device-map",
            text,
            format!("{error}; strategies are `auto`, `balanced`, `balanced_low_0` and `sequential`"),
        )
    })?;
    Ok(Placing::Map(map))
}

/// Card numbers, `cpu` and `disk`, as accelerate takes them. A card that is not named gets nothing.
fn max_memory(settings: &Settings) -> Result<Option<Caps>, EngineError> {
    let Some(entries) = &settings.max_memory else { return Ok(None) };
    let mut caps: Vec<(Device, Bytes)> = Vec::new();
    for (name, bytes) in entries {
        let device = match name.as_str() {
            "cpu" => Device::Cpu,
            "disk" => continue,
            ordinal => Device::Card(ordinal.parse().map_err(|_| {
                wrong("max-memory", name, "devices are card numbers, `cpu` and `disk`: `0=20GiB,1=20GiB,cpu=60GiB`")
            })?),
        };
        caps.push((device, *bytes));
    }
    Ok(Some(Caps::new(caps)))
}

/// Element type at load: as typed; else float32 before version 5 and the config's from it on. A quantised checkpoint loads its other
/// tensors as float16 unless told otherwise.
fn dtype(settings: &Settings, model: &Model, version: Version) -> Result<DType, EngineError> {
    let of_config = model.dtype.unwrap_or(DType::F32);
    let quantized = model.quantization.is_some() || on_the_fly(settings)?.is_some();
    match settings.dtype.as_deref() {
        Some("auto") => Ok(of_config),
        Some("half") => Ok(DType::F16),
        Some("float") => Ok(DType::F32),
        Some(text) => {
            let parsed = text.strip_prefix("torch.").unwrap_or(text).parse::<DType>().ok().filter(|d| d.is_float());
            parsed.ok_or_else(|| wrong("dtype", text, "must be auto or a floating-point type such as bfloat16"))
        }
        None if version >= V5 => Ok(of_config),
        None if quantized => Ok(DType::F16),
        None => Ok(DType::F32),
    }
}

/// `load_in_4bit`, `load_in_8bit`, or `--quantization bitsandbytes`, which is the 4-bit one elsewhere too.
fn on_the_fly(settings: &Settings) -> Result<Option<BitsAndBytes>, EngineError> {
    let nf4 = BitsAndBytes::Nf4 { double: truth(settings, flag::DOUBLE_QUANT)? };
    if truth(settings, flag::LOAD_IN_8BIT)? {
        return Ok(Some(BitsAndBytes::Int8));
    }
    if truth(settings, flag::LOAD_IN_4BIT)? {
        return Ok(Some(nf4));
    }
    match settings.quantization.as_deref() {
        Some("bitsandbytes" | "bnb") => Ok(Some(nf4)),
        Some(_) | None => Ok(None),
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

fn attention(settings: &Settings, version: Version) -> Result<Attention, EngineError> {
    // torch's fused attention is the default of models that support it since 4.36.
    let default =
        if version >= (Version { major: 4, minor: 36, patch: 0 }) { Attention::Sdpa } else { Attention::Eager };
    match settings.engine_flags.get(flag::ATTENTION).map(String::as_str) {
        None => Ok(default),
        Some("eager") => Ok(Attention::Eager),
        Some("sdpa") => Ok(Attention::Sdpa),
        Some("flash_attention_2" | "flash_attention_3" | "kernels-community/flash-attn") => Ok(Attention::Flash),
        Some(other) => Err(wrong(flag::ATTENTION, other, "must be eager, sdpa or flash_attention_2")),
    }
}

fn moved_to(settings: &Settings) -> Result<Option<u32>, EngineError> {
    let Some(text) = settings.engine_flags.get(flag::TO_DEVICE) else { return Ok(None) };
    match text.parse() {
        Ok(Device::Card(ordinal)) => Ok(Some(ordinal)),
        Ok(Device::Cpu | Device::Disk) | Err(_) => Err(wrong(flag::TO_DEVICE, text, "must be a card such as `cuda:0`")),
    }
}

fn number(settings: &Settings, name: &'static str) -> Result<Option<u64>, EngineError> {
    let Some(text) = settings.engine_flags.get(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| wrong(name, text, "must be a whole number"))
}

fn truth(settings: &Settings, name: &'static str) -> Result<bool, EngineError> {
    match settings.engine_flags.get(name).map(String::as_str) {
        None | Some("false" | "False") => Ok(false),
        Some("" | "true" | "True") => Ok(true),
        Some(other) => Err(wrong(name, other, "must be true or false")),
    }
}
