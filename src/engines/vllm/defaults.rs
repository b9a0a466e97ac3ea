//! What vLLM chooses where the user sets nothing.

use super::options;
use crate::engines::{ContextLength, EngineError, EntryPoint, Settings};
use crate::hardware::Card;
use crate::model::{LayerCache, Model, RopeScaling};
use crate::profiles::{CardDefaults, SchedulerConstants};
use crate::units::{DType, Tokens};

/// Length used when a config states none (`config/model.py`, `_get_and_verify_max_len`).
const FALLBACK_LENGTH: u64 = 2048;

/// Scheduler settings after defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler {
    /// `max_num_batched_tokens` (T).
    pub batched_tokens: u64,
    /// `max_num_seqs` (S).
    pub sequences: u64,
    /// Tokens of a KV block.
    pub block_size: u64,
}

/// What the defaults follow from besides the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// The longest sequence.
    pub length: u64,
    /// Whether the model sees images.
    pub images: bool,
}

impl Scheduler {
    /// Resolves the scheduler's settings for a card and a workload.
    ///
    /// # Errors
    /// When a setting is zero.
    pub fn resolve(
        settings: &Settings,
        card: &Card,
        workload: Workload,
        constants: &SchedulerConstants,
    ) -> Result<Self, EngineError> {
        let length = workload.length;
        let kind = kind(card, constants)
            .ok_or_else(|| EngineError::Unknown("the profile of vLLM has no defaults for this card".to_owned()))?;
        let sequences_by_default = kind.sequences;
        let batched_tokens = settings.max_num_batched_tokens.unwrap_or_else(|| {
            let tokens = match settings.entry_point {
                EntryPoint::Server => kind.server,
                EntryPoint::Library => kind.library,
            };
            let tokens = batched(settings, workload, constants, tokens);
            let all = length.saturating_mul(settings.max_num_seqs.unwrap_or(sequences_by_default));
            if constants.at_most_all_sequences { tokens.min(all) } else { tokens }
        });
        let sequences = settings.max_num_seqs.unwrap_or(sequences_by_default.min(batched_tokens));
        let block_size = settings.block_size.unwrap_or(constants.block_size);
        for (flag, value) in
            [("max-num-batched-tokens", batched_tokens), ("max-num-seqs", sequences), ("block-size", block_size)]
        {
            if value == 0 || value > 1 << 32 {
                let expected = "must be a positive number below 2^32".to_owned();
                return Err(EngineError::Setting { flag, value: value.to_string(), expected });
            }
        }
        if batched_tokens < sequences {
            return Err(EngineError::Refused {
                message: format!(
                    "max_num_batched_tokens ({batched_tokens}) must be greater than or equal to max_num_seqs ({sequences})."
                ),
                hint: Some(format!("`--max-num-seqs {batched_tokens}` or less is accepted")),
            });
        }
        let whole = if constants.whole_prompts {
            !chunks(settings, workload, constants)
        } else {
            settings.chunked_prefill == Some(false)
        };
        if whole && batched_tokens < length {
            return Err(EngineError::Refused {
                message: format!(
                    "max_num_batched_tokens ({batched_tokens}) is smaller than max_model_len ({length}). This effectively \
                     limits the maximum sequence length to max_num_batched_tokens and makes vLLM reject longer sequences. \
                     Please increase max_num_batched_tokens or decrease max_model_len."
                ),
                hint: Some(format!("`--max-model-len {batched_tokens}`, or chunked prefill, is accepted")),
            });
        }
        Ok(Self { batched_tokens, sequences, block_size })
    }
}

/// The defaults for a card.
fn kind<'a>(card: &Card, constants: &'a SchedulerConstants) -> Option<&'a CardDefaults> {
    let holds = |part: &String| {
        card.name.as_bytes().windows(part.len().max(1)).any(|w| w.eq_ignore_ascii_case(part.as_bytes()))
    };
    constants.cards.iter().find(|kind| card.capacity >= kind.from && !kind.except.iter().any(holds))
}

/// Whether an engine that takes whole prompts by default chunks them here.
fn chunks(settings: &Settings, workload: Workload, constants: &SchedulerConstants) -> bool {
    let unasked = workload.length > constants.chunked_above
        && !workload.images
        && !options::switch(settings, "enable-lora")
        && !settings.engine_flags.contains_key("speculative-model")
        && !settings.engine_flags.contains_key("speculative-config");
    settings.chunked_prefill.unwrap_or(unasked)
}

/// `max_num_batched_tokens` by default: a step that takes whole prompts must hold the longest one.
fn batched(settings: &Settings, workload: Workload, constants: &SchedulerConstants, of_card: u64) -> u64 {
    let at_least = if workload.images { constants.image_tokens } else { 0 };
    match (constants.whole_prompts, settings.chunked_prefill) {
        (true, _) if chunks(settings, workload, constants) => constants.chunked_tokens.max(at_least),
        (true, _) | (false, Some(false)) => of_card.max(workload.length).max(at_least),
        (false, _) => of_card,
    }
}

/// The longest context that the model itself supports: `max_position_embeddings`, lengthened by the rope scaling kinds that vLLM lengthens
/// for.
#[must_use]
pub fn model_length(model: &Model) -> Option<u64> {
    let stated = model.max_position?;
    let scaled = |length: u64, factor: f64| (length as f64 * factor) as u64;
    // Models with several tables (Gemma 3) state the length that they reach by scaling.
    let [rope] = model.ropes.as_slice() else { return Some(stated) };
    Some(match rope.scaling {
        RopeScaling::None | RopeScaling::Multimodal | RopeScaling::Llama3 | RopeScaling::LongRope { .. } => stated,
        RopeScaling::Linear(factor) | RopeScaling::Dynamic(factor) => scaled(stated, factor),
        RopeScaling::Yarn { factor, original } => scaled(original, factor),
    })
}

/// `max_model_len`: given, the model's own, or `None` for the automatic choice.
///
/// # Errors
/// When the user asks for more than the model supports, which vLLM refuses.
pub fn context(settings: &Settings, model: &Model) -> Result<Option<Tokens>, EngineError> {
    let supported = model_length(model).unwrap_or(FALLBACK_LENGTH);
    match settings.max_model_len {
        ContextLength::Model => Ok(Some(Tokens(supported))),
        ContextLength::Auto => Ok(None),
        ContextLength::Tokens(0) => Err(EngineError::Setting {
            flag: "max-model-len",
            value: "0".to_owned(),
            expected: "must be a positive number, or `auto`".to_owned(),
        }),
        ContextLength::Tokens(length) if length > supported => Err(EngineError::Refused {
            message: format!(
                "User-specified max_model_len ({length}) is greater than the derived max_model_len ({supported})"
            ),
            hint: Some(format!("`--max-model-len {supported}` is the most this model supports without rope scaling")),
        }),
        ContextLength::Tokens(length) => Ok(Some(Tokens(length))),
    }
}

/// Element type of weights and activations: as typed, else the config's, with float32 checkpoints and unsupported types brought to 16 bits
/// (`config/model.py`, `_resolve_auto_dtype`).
///
/// # Errors
/// When the typed name is no element type that vLLM runs.
pub fn dtype(settings: &Settings, model: &Model, card: &Card) -> Result<DType, EngineError> {
    let bf16 = card.compute_capability.is_none_or(|capability| capability >= (8, 0));
    let preferred = if bf16 { DType::BF16 } else { DType::F16 };
    match settings.dtype.as_deref() {
        None | Some("auto") => Ok(match model.dtype {
            Some(DType::F16) => DType::F16,
            Some(DType::BF16) | None | Some(_) => preferred,
        }),
        Some(text) => match text.parse() {
            Ok(dtype @ (DType::F16 | DType::BF16 | DType::F32)) => Ok(dtype),
            Ok(_) | Err(_) => Err(EngineError::Setting {
                flag: "dtype",
                value: text.to_owned(),
                expected: "must be auto, half, float16, bfloat16, float or float32".to_owned(),
            }),
        },
    }
}

/// Element type of the KV cache: by default the model's, for sparse latent attention the 8-bit layout (`models/config.py`,
/// `DeepseekV32ForCausalLM`).
///
/// # Errors
/// When the typed name is none that vLLM knows.
pub fn kv_cache_dtype(settings: &Settings, model_dtype: DType, model: &Model) -> Result<DType, EngineError> {
    let sparse = |cache: &LayerCache| matches!(cache, LayerCache::Latent { sparse: true, .. });
    match settings.kv_cache_dtype.as_deref() {
        None | Some("auto") if model.caches.iter().any(|group| sparse(&group.cache)) => Ok(DType::F8_E4M3),
        None | Some("auto") => Ok(model_dtype),
        Some("fp8_ds_mla") => Ok(DType::F8_E4M3),
        Some("fp8" | "fp8_e4m3" | "fp8_inc") => Ok(DType::F8_E4M3),
        Some("fp8_e5m2") => Ok(DType::F8_E5M2),
        Some("int8_per_token_head") => Ok(DType::I8),
        Some("bfloat16") => Ok(DType::BF16),
        Some("float16" | "half") => Ok(DType::F16),
        Some(other) => Err(EngineError::Setting {
            flag: "kv-cache-dtype",
            value: other.to_owned(),
            expected: "must be auto, bfloat16, float16, fp8, fp8_e4m3, fp8_e5m2 or int8_per_token_head".to_owned(),
        }),
    }
}
