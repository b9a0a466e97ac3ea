//! `AutoModelForCausalLM.from_pretrained(…)`, what is done with the model afterwards, and `generate(…)`.

use std::collections::BTreeMap;

use super::arguments::{Argument, Call, Script};
use super::expression::{Literal, literal};
use super::maximum::size;
use super::vllm::computed;
use super::{ScriptError, ScriptReading};
use crate::engines::transformers::flag;
use crate::engines::{ContextLength, EntryPoint, Settings};
use crate::units::Bytes;

/// Keywords that change no memory worth planning.
const WITHOUT_EFFECT: [&str; 22] = [
    "trust_remote_code",
    "low_cpu_mem_usage",
    "cache_dir",
    "token",
    "use_auth_token",
    "local_files_only",
    "use_safetensors",
    "variant",
    "offload_folder",
    "offload_state_dict",
    "offload_buffers",
    "use_cache",
    "force_download",
    "resume_download",
    "proxies",
    "subfolder",
    "code_revision",
    "output_loading_info",
    "ignore_mismatched_sizes",
    "attn_implementation_autoset",
    "pad_token_id",
    "config",
];

/// Reads the call and its surroundings.
pub(super) fn read(script: &Script, call: &Call) -> Result<ScriptReading, ScriptError> {
    let mut reader = Reader {
        script,
        line: call.line,
        model: None,
        revision: None,
        settings: Settings { entry_point: EntryPoint::Library, ..Settings::default() },
        notes: Vec::new(),
    };
    for (position, argument) in script.arguments(call).iter().enumerate() {
        reader.argument(call, position, argument)?;
    }
    reader.moves(call);
    reader.generation();
    let model = reader.model.ok_or_else(|| ScriptError::NoModel { line: call.line, call: call.name.clone() })?;
    let model = match reader.revision {
        Some(revision) => format!("{model}@{revision}"),
        None => model,
    };
    Ok(ScriptReading { engine: "transformers", model, settings: reader.settings, line: call.line, notes: reader.notes })
}

struct Reader<'a> {
    script: &'a Script,
    line: usize,
    model: Option<String>,
    revision: Option<String>,
    settings: Settings,
    notes: Vec<String>,
}

impl Reader<'_> {
    fn argument(&mut self, call: &Call, position: usize, argument: &Argument<'_>) -> Result<(), ScriptError> {
        let quoted = self.script.quote(argument.value);
        let name = match &argument.keyword {
            Some(name) => name.as_str(),
            None if position == 0 && !argument.unpacked => "pretrained_model_name_or_path",
            None => {
                self.notes.push(format!("line {}: `{quoted}` is not read", self.line));
                return Ok(());
            }
        };
        let is_model = name == "pretrained_model_name_or_path";
        match literal(self.script, argument.value) {
            Some(Literal::Text(text)) if is_model => self.model = Some(text),
            _ if is_model => {
                let call = call.name.clone();
                return Err(ScriptError::ModelNotLiteral { line: self.line, call, text: quoted });
            }
            Some(Literal::None) => {}
            Some(value) => {
                if !self.apply(name, &value)? {
                    self.notes.push(format!("line {}: `{name}={quoted}` is not understood and left out", self.line));
                }
            }
            None if WITHOUT_EFFECT.contains(&name) => {}
            None => self.notes.push(computed(self.line, name, &quoted)),
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.engine_flags.insert(name.to_owned(), value.into());
    }

    /// Takes a keyword; `false` when it is not known or its value makes no sense.
    fn apply(&mut self, name: &str, value: &Literal) -> Result<bool, ScriptError> {
        match (name, value) {
            ("torch_dtype" | "dtype", Literal::Text(dtype) | Literal::Torch(dtype)) => {
                self.settings.dtype = Some(dtype.clone());
            }
            ("device_map", Literal::Text(map) | Literal::Number(map)) => self.settings.device_map = Some(map.clone()),
            ("device_map", Literal::Dict(_)) => match value.json() {
                Some(map) => self.settings.device_map = Some(map.to_string()),
                None => return Ok(false),
            },
            ("max_memory", Literal::Dict(entries)) => self.settings.max_memory = Some(self.max_memory(entries)?),
            ("revision", Literal::Text(revision)) => self.revision = Some(revision.clone()),
            ("attn_implementation", Literal::Text(kind)) => self.set(flag::ATTENTION, kind.clone()),
            ("use_flash_attention_2", Literal::Bool(true)) => self.set(flag::ATTENTION, "flash_attention_2"),
            ("load_in_4bit", Literal::Bool(on)) => self.set(flag::LOAD_IN_4BIT, on.to_string()),
            ("load_in_8bit", Literal::Bool(on)) => self.set(flag::LOAD_IN_8BIT, on.to_string()),
            ("quantization_config", Literal::Call { name, arguments, computed: unread }) => {
                self.quantization(name, arguments);
                for argument in unread {
                    self.notes.push(computed(self.line, argument, name));
                }
            }
            ("tp_plan", Literal::Text(_)) => {
                self.notes.push(format!("line {}: `tp_plan` is not planned; whole modules on cards are", self.line));
            }
            ("use_flash_attention_2", Literal::Bool(false)) => {}
            (name, _) => return Ok(WITHOUT_EFFECT.contains(&name)),
        }
        Ok(true)
    }

    fn max_memory(&self, entries: &[(Literal, Literal)]) -> Result<BTreeMap<String, Bytes>, ScriptError> {
        let wrong = |what: String| ScriptError::Value { line: self.line, error: format!("`max_memory`: {what}") };
        let mut caps = BTreeMap::new();
        for (device, amount) in entries {
            let device = device.plain().ok_or_else(|| wrong("a device is no literal".to_owned()))?;
            let bytes = match amount {
                Literal::Number(bytes) => bytes.parse().ok().map(Bytes),
                Literal::Text(text) => size(text),
                _ => None,
            };
            let shown = amount.plain().unwrap_or_default();
            let bytes = bytes.ok_or_else(|| {
                wrong(format!(
                    "`{shown}` is no size: write a number of bytes, or one with GiB, MiB, GB or MB behind it"
                ))
            })?;
            caps.insert(device, bytes);
        }
        Ok(caps)
    }

    /// `BitsAndBytesConfig(…)` and `GPTQConfig(…)`.
    fn quantization(&mut self, class: &str, arguments: &[(String, Literal)]) {
        let is_on = |name: &str| arguments.iter().any(|(n, v)| n == name && *v == Literal::Bool(true));
        match class {
            "BitsAndBytesConfig" => {
                for (keyword, name) in [
                    ("load_in_4bit", flag::LOAD_IN_4BIT),
                    ("load_in_8bit", flag::LOAD_IN_8BIT),
                    ("bnb_4bit_use_double_quant", flag::DOUBLE_QUANT),
                ] {
                    if is_on(keyword) {
                        self.set(name, "true");
                    }
                }
            }
            "GPTQConfig" => {
                let version = arguments.iter().find(|(name, _)| name == "exllama_config").and_then(|(_, config)| {
                    let Literal::Dict(entries) = config else { return None };
                    let version = entries.iter().find(|(key, _)| *key == Literal::Text("version".to_owned()));
                    version.and_then(|(_, value)| value.plain())
                });
                if let Some(version) = version {
                    self.set(flag::EXLLAMA, version);
                }
            }
            other => self.notes.push(format!("line {}: `{other}` is not planned and left out", self.line)),
        }
    }

    /// `.to(device)` and `.cuda()`: the place of a model without a map, and a gathering of one with a map.
    fn moves(&mut self, call: &Call) {
        let device = |arguments: &[Argument<'_>]| match arguments.first() {
            None => None,
            Some(first) => match literal(self.script, first.value) {
                Some(Literal::Text(device)) => Some(device),
                Some(Literal::Number(ordinal)) => Some(ordinal),
                _ => None,
            },
        };
        let default = || Some("cuda".to_owned());
        let chained = self.script.chained(call).and_then(|(method, arguments)| match method {
            "to" => device(&arguments),
            "cuda" => device(&arguments).or_else(default),
            _ => None,
        });
        let later = || {
            let target = call.target.as_deref()?;
            let moved = self.script.method_calls(Some(target), "to").into_iter().find_map(|(_, a)| device(&a));
            moved.or_else(|| {
                let calls = self.script.method_calls(Some(target), "cuda");
                calls.first().and_then(|(_, arguments)| device(arguments).or_else(default))
            })
        };
        let Some(device) = chained.or_else(later) else { return };
        if !device.starts_with("cuda") && device.parse::<u32>().is_err() {
            return;
        }
        if self.settings.device_map.is_some() {
            self.set(flag::TO_DEVICE, device);
        } else {
            self.settings.device_map = Some(device);
        }
    }

    /// `generate(max_new_tokens=…, num_beams=…)`.
    fn generation(&mut self) {
        for (_, arguments) in self.script.method_calls(None, "generate") {
            for argument in arguments {
                let Some(name) = &argument.keyword else { continue };
                let Some(Literal::Number(value)) = literal(self.script, argument.value) else { continue };
                match name.as_str() {
                    "max_new_tokens" => self.set(flag::NEW_TOKENS, value),
                    "num_beams" => self.set(flag::BEAMS, value),
                    "max_length" => {
                        if let Ok(length) = value.parse() {
                            self.settings.max_model_len = ContextLength::Tokens(length);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
