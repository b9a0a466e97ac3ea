//! Python scripts that load a model: the literal arguments of `from_pretrained(…)` and `LLM(…)`. Nothing is executed or imported.

mod arguments;
mod expression;
mod maximum;
mod tokens;
mod transformers;
mod vllm;

use std::path::Path;

use super::SourceError;
use super::local::read_bounded;
use crate::engines::Settings;
use crate::engines::command_line::CommandError;
use arguments::{Script, find_calls};

/// Largest script, in bytes: those that load a model by hand have a few thousand.
const MAX_SCRIPT_BYTES: u64 = 4_000_000;

/// Most further calls named one by one.
const NAMED: usize = 4;

/// What a script asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptReading {
    /// Engine by name: `transformers` or `vllm`.
    pub engine: &'static str,
    /// The model: a Hub id with its revision, or a path.
    pub model: String,
    /// What the literal arguments set.
    pub settings: Settings,
    /// Line of the call, counted from 1.
    pub line: usize,
    /// What a person should know: arguments that are computed and so left out, flags that are not known, further models.
    pub notes: Vec<String>,
}

/// Why a script says nothing about memory.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] SourceError),
    /// Neither call is there.
    #[error("the script loads no model: neither `….from_pretrained(…)` of a model class nor `LLM(…)` is called in it")]
    NoCall,
    /// The model's name is computed.
    #[error("line {line}: the model of `{call}` is no literal: `{text}`")]
    ModelNotLiteral {
        /// Line of the call.
        line: usize,
        /// The call.
        call: String,
        /// The expression.
        text: String,
    },
    /// No model at all.
    #[error("line {line}: `{call}` names no model")]
    NoModel {
        /// Line of the call.
        line: usize,
        /// The call.
        call: String,
    },
    /// A value that the engine would refuse.
    #[error("line {line}: {error}")]
    Value {
        /// Line of the call.
        line: usize,
        /// What is wrong with it.
        error: String,
    },
}

impl ScriptError {
    /// What to do about it.
    #[must_use]
    pub fn repair(&self) -> String {
        match self {
            Self::File(error) => error.repair(),
            Self::NoCall => "name the model and its settings on the command line".to_owned(),
            Self::ModelNotLiteral { .. } | Self::NoModel { .. } => {
                "name the model on the command line, and repeat the script's settings as flags".to_owned()
            }
            Self::Value { .. } => "correct the value in the script".to_owned(),
        }
    }
}

impl ScriptError {
    fn value(line: usize, error: &CommandError) -> Self {
        Self::Value { line, error: error.to_string() }
    }
}

/// Reads a script from a file.
///
/// # Errors
/// When the file cannot be read, or loads no model by literals.
pub fn open_script(path: &Path) -> Result<ScriptReading, ScriptError> {
    let bytes = read_bounded(path, MAX_SCRIPT_BYTES)?;
    read_script(&String::from_utf8_lossy(&bytes))
}

/// Reads a script.
///
/// # Errors
/// When it loads no model by literals.
pub fn read_script(text: &str) -> Result<ScriptReading, ScriptError> {
    let script = Script::new(text);
    let calls = find_calls(&script);
    let first = calls.first().ok_or(ScriptError::NoCall)?;
    let mut reading = match first.engine {
        arguments::Loader::Transformers => transformers::read(&script, first)?,
        arguments::Loader::Vllm => vllm::read(&script, first)?,
    };
    for other in calls.iter().skip(1).take(NAMED) {
        reading
            .notes
            .push(format!("line {}: `{}` loads another model, which is not planned for", other.line, other.name));
    }
    Ok(reading)
}

#[cfg(test)]
mod tests;
