//! `LLM(…)`.

use super::arguments::{Call, Script};
use super::expression::literal;
use super::{ScriptError, ScriptReading};
use crate::engines::vllm::flags::read_keywords;

/// Reads the keywords of `LLM(…)`.
pub(super) fn read(script: &Script, call: &Call) -> Result<ScriptReading, ScriptError> {
    let mut notes = Vec::new();
    let mut keywords: Vec<(String, String)> = Vec::new();
    for (position, argument) in script.arguments(call).iter().enumerate() {
        let name = match &argument.keyword {
            Some(name) => name.clone(),
            None if position == 0 && !argument.unpacked => "model".to_owned(),
            None => {
                notes.push(format!("line {}: `{}` is not read", call.line, script.quote(argument.value)));
                continue;
            }
        };
        match literal(script, argument.value).and_then(|value| value.plain()) {
            Some(value) => keywords.push((name, value)),
            None if name == "model" => {
                let text = script.quote(argument.value);
                return Err(ScriptError::ModelNotLiteral { line: call.line, call: call.name.clone(), text });
            }
            None => notes.push(computed(call.line, &name, &script.quote(argument.value))),
        }
    }
    let pairs: Vec<(&str, &str)> = keywords.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let (applied, warnings) = read_keywords(&pairs, None).map_err(|error| ScriptError::value(call.line, &error))?;
    notes.extend(warnings.iter().map(|warning| format!("line {}: {warning}", call.line)));
    let model = applied.model.ok_or_else(|| ScriptError::NoModel { line: call.line, call: call.name.clone() })?;
    Ok(ScriptReading { engine: "vllm", model, settings: applied.settings, line: call.line, notes })
}

/// What is said of an argument that is computed.
pub(super) fn computed(line: usize, name: &str, text: &str) -> String {
    format!("line {line}: `{name}` is computed (`{text}`) and taken as not set")
}
