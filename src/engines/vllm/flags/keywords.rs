//! `LLM(model="…", tensor_parallel_size=4)`: the same settings under their Python names.

use super::{Applied, Program, apply, catalog};
use crate::engines::Version;
use crate::engines::command_line::CommandError;
use crate::engines::command_line::Warning;
use crate::engines::command_line::flags::read;
use crate::engines::{EntryPoint, Settings};

/// Reads keyword arguments of `LLM`, each a name and its value as plain text: `True`, `None`, a number, a string without its quotes, JSON.
///
/// # Errors
/// When a value is malformed.
pub fn read_keywords(
    keywords: &[(&str, &str)],
    version: Option<Version>,
) -> Result<(Applied, Vec<Warning>), CommandError> {
    let catalog = catalog(Program::Library, version);
    let mut words = Vec::new();
    let mut warnings = Vec::new();
    for &(name, value) in keywords {
        let Some(flag) = catalog.by_name(name) else {
            warnings.push(Warning::UnknownFlag { flag: name.to_owned(), nearest: catalog.nearest(name) });
            continue;
        };
        match value {
            "None" => {}
            "True" => words.push(format!("--{}", flag.name())),
            "False" => words.push(format!("--no-{}", flag.name())),
            value => words.push(format!("--{}={value}", flag.name())),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let reading = read(&words, &catalog)?;
    warnings.extend(reading.warnings);
    let applied = apply(&reading.occurrences, version)?;
    let settings = Settings { entry_point: EntryPoint::Library, ..applied.settings };
    Ok((Applied { settings, ..applied }, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::ContextLength;

    #[test]
    fn keywords_are_flags_with_underscores() {
        let (applied, warnings) = read_keywords(
            &[
                ("model", "Qwen/Qwen2.5-7B-Instruct"),
                ("tensor_parallel_size", "4"),
                ("enforce_eager", "True"),
                ("enable_prefix_caching", "False"),
                ("max_model_len", "8192"),
                ("swap_space", "4"),
                ("quantization", "None"),
                ("limit_mm_per_prompt", r#"{"image": 2}"#),
                ("tensor_parallel", "2"),
            ],
            None,
        )
        .unwrap();
        let settings = applied.settings;
        assert_eq!(applied.model.as_deref(), Some("Qwen/Qwen2.5-7B-Instruct"));
        assert_eq!(settings.tensor_parallel, Some(4));
        assert_eq!(settings.enforce_eager, Some(true));
        assert_eq!(settings.prefix_caching, Some(false));
        assert_eq!(settings.max_model_len, ContextLength::Tokens(8192));
        assert_eq!(settings.quantization, None);
        assert_eq!(settings.engine_flags["swap-space"], "4");
        assert_eq!(settings.engine_flags["limit-mm-per-prompt"], r#"{"image": 2}"#);
        assert_eq!(settings.entry_point, EntryPoint::Library);
        // A beginning of a name is enough on the command line, not in Python.
        assert_eq!(
            warnings,
            [Warning::UnknownFlag {
                flag: "tensor_parallel".to_owned(),
                nearest: Some("--tensor-parallel-size".to_owned())
            }]
        );
    }
}
