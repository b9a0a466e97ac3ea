//! Models that can be planned for with no network and no checkpoint: the `config.json` that their publishers gave them.
//!
//! One file a model in `profiles/models/`, named `organisation--name.json`. Each is a valid `config.json`, read by the same code as one
//! from disk, without what only tokenizers and training need, and with its public origin under `_source`.

mod embedded;

use embedded::MODELS;

use super::nearest::nearest;

/// A model built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelProfile {
    /// File stem: organisation and name, joined by `--`.
    stem: &'static str,
    /// Text of its `config.json`.
    pub config: &'static str,
    /// Text of its `hf_quant_config.json`, where the publisher keeps the quantisation there.
    pub quantization: Option<&'static str>,
}

/// An id that leads to no single built-in model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectModelError {
    /// No built-in model has this id.
    #[error("`{id}` is not built in")]
    Unknown {
        /// What was asked for.
        id: String,
        /// Ids that look like it, best first.
        nearest: Vec<String>,
    },
    /// Several organisations publish a model of this name.
    #[error("`{name}` could be {}: name one of them", candidates.join(" or "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Ids of the models it may mean.
        candidates: Vec<String>,
    },
}

impl ModelProfile {
    /// Who publishes it: `Qwen`.
    #[must_use]
    pub fn organisation(&self) -> &'static str {
        self.parts().0
    }

    /// Its name without the organisation: `Qwen2.5-72B-Instruct`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.parts().1
    }

    /// Its id on the Hub: `Qwen/Qwen2.5-72B-Instruct`.
    #[must_use]
    pub fn id(&self) -> String {
        let (organisation, name) = self.parts();
        format!("{organisation}/{name}")
    }

    fn parts(&self) -> (&'static str, &'static str) {
        self.stem.split_once("--").unwrap_or(("", self.stem))
    }
}

/// All built-in models, by id.
#[must_use]
pub const fn built_in_models() -> &'static [ModelProfile] {
    MODELS
}

/// The built-in model `id`, whatever the case: `organisation/name`, or the name alone where only one organisation has it. No file is
/// parsed.
///
/// # Errors
/// When there is none, with the nearest ids, or when several share the bare name.
pub fn built_in_model(id: &str) -> Result<&'static ModelProfile, SelectModelError> {
    let id = id.trim();
    let mut matches = MODELS.iter().filter(|model| match id.split_once('/') {
        Some((organisation, name)) => {
            model.organisation().eq_ignore_ascii_case(organisation) && model.name().eq_ignore_ascii_case(name)
        }
        None => model.name().eq_ignore_ascii_case(id),
    });
    match (matches.next(), matches.next()) {
        (Some(model), None) => Ok(model),
        (Some(first), Some(second)) => Err(SelectModelError::Ambiguous {
            name: id.to_owned(),
            candidates: [first, second].into_iter().chain(matches).map(ModelProfile::id).collect(),
        }),
        (None, _) => Err(SelectModelError::Unknown { id: id.to_owned(), nearest: near(id) }),
    }
}

/// Ids near a name that is not built in: compared by what stands behind the slash, as the organisation is what people leave out.
fn near(id: &str) -> Vec<String> {
    let name = id.rsplit('/').next().unwrap_or(id);
    let names = nearest(name, MODELS.iter().map(ModelProfile::name), 3);
    names
        .into_iter()
        .flat_map(|name| MODELS.iter().filter(move |model| model.name() == name))
        .map(ModelProfile::id)
        .take(3)
        .collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests compare the registered models with the folder")]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_file_is_registered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/models");
        let files: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let mut registered = BTreeSet::new();
        for model in MODELS {
            assert!(registered.insert(format!("{}.json", model.stem)), "{} is registered twice", model.stem);
            if model.quantization.is_some() {
                registered.insert(format!("{}.hf_quant_config.json", model.stem));
            }
        }
        assert_eq!(files, registered, "add the file's stem to src/profiles/models/embedded.rs");
    }

    #[test]
    fn every_model_is_a_configuration_with_its_origin() {
        assert!(MODELS.len() >= 130);
        for model in MODELS {
            let config: Value = serde_json::from_str(model.config).unwrap_or_else(|e| panic!("{}: {e}", model.stem));
            assert!(config["architectures"][0].is_string() && config["model_type"].is_string(), "{}", model.stem);
            assert!(config["_source"].as_str().is_some_and(|s| s.len() > 10), "{}: no origin", model.stem);
            assert!(!model.organisation().is_empty(), "{}", model.stem);
            if let Some(second) = model.quantization {
                let second: Value = serde_json::from_str(second).unwrap();
                assert!(second["quantization"].is_object(), "{}", model.stem);
            }
        }
    }

    #[test]
    fn ids_differ_by_more_than_case() {
        let ids: BTreeSet<String> = MODELS.iter().map(|model| model.id().to_lowercase()).collect();
        assert_eq!(ids.len(), MODELS.len());
    }

    #[test]
    fn ids_are_found_in_any_case() {
        for (text, id) in [
            ("Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen2.5-72B-Instruct"),
            ("qwen/qwen2.5-72b-instruct", "Qwen/Qwen2.5-72B-Instruct"),
            ("Qwen2.5-72B-Instruct-AWQ", "Qwen/Qwen2.5-72B-Instruct-AWQ"),
            (" deepseek-v3 ", "deepseek-ai/DeepSeek-V3"),
        ] {
            assert_eq!(built_in_model(text).map(ModelProfile::id), Ok(id.to_owned()), "{text}");
        }
    }

    #[test]
    fn near_misses_are_suggested() {
        let cases = [
            ("Qwen/Qwen2.5-72B-Instuct", "Qwen/Qwen2.5-72B-Instruct"),
            ("meta/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
            ("DeepSeekV3", "deepseek-ai/DeepSeek-V3"),
        ];
        for (text, id) in cases {
            let Err(SelectModelError::Unknown { nearest, .. }) = built_in_model(text) else {
                panic!("{text} was found")
            };
            assert_eq!(nearest.first().map(String::as_str), Some(id), "{text}: {nearest:?}");
        }
        for text in ["", "/", "Qwen/", "gpt-9"] {
            assert!(matches!(built_in_model(text), Err(SelectModelError::Unknown { .. })), "{text}");
        }
    }

    #[test]
    fn a_second_file_holds_the_quantisation_that_the_first_lacks() {
        let model = built_in_model("nvidia/Llama-3.1-70B-Instruct-FP8").unwrap();
        assert!(model.quantization.is_some_and(|text| text.contains("FP8")));
        assert!(!model.config.contains("quantization_config"));
    }
}
