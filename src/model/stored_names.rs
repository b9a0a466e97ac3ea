//! Published checkpoints name some modules otherwise than the classes that load them do: the same modules under another prefix.

use super::{Kind, Model, Module};

/// Prefixes of classes, and what stands for them in files. Tried in this order.
const PREFIXES: &[(&str, &str)] = &[
    // Transformers before 4.52 kept decoders with a tower one level lower.
    ("model.language_model.", "language_model.model."),
    ("model.language_model.", "model."),
    ("lm_head.", "language_model.lm_head."),
    ("model.", ""),
    // The first GPT-2 and BLOOM checkpoints hold the bare decoder.
    ("transformer.", ""),
    // OPT and some Falcon files.
    ("model.decoder.", "decoder."),
];

impl Model {
    /// The same model with its modules named as in the files, as far as a known prefix explains the difference; `is_stored` tells whether
    /// the files hold a tensor of this name. Modules that no prefix explains keep their names.
    #[must_use]
    pub fn with_stored_names(mut self, is_stored: impl Fn(&str) -> bool) -> Self {
        let renamed: Vec<Option<String>> = self
            .modules
            .iter()
            .map(|module| self.stored_path(module, &is_stored).filter(|path| *path != module.path))
            .collect();
        let old: Vec<String> = self.modules.iter().map(|module| module.path.clone()).collect();
        for (module, path) in self.modules.iter_mut().zip(&renamed) {
            if let Some(path) = path {
                module.path.clone_from(path);
            }
        }
        for module in &mut self.modules {
            let Some(target) = &module.tied_to else { continue };
            if let Some((_, Some(path))) = old.iter().zip(&renamed).find(|(old, _)| *old == target) {
                module.tied_to = Some(path.clone());
            }
        }
        self
    }

    /// The path under which the files hold a module; `None` when they hold it under none that is known.
    fn stored_path(&self, module: &Module, is_stored: &impl Fn(&str) -> bool) -> Option<String> {
        let parameter = self.first_parameter(module)?;
        let held = |path: &str| {
            let name = format!("{path}.{parameter}");
            module.instances.names(&name).first().is_some_and(|name| is_stored(name))
        };
        if held(&module.path) {
            return Some(module.path.clone());
        }
        // A dot at the end, so that prefixes match modules without a name of their own below them.
        let path = format!("{}.", module.path);
        let candidates = PREFIXES.iter().filter_map(|(from, to)| {
            let rest = path.strip_prefix(from)?;
            Some(format!("{to}{rest}").trim_end_matches('.').to_owned())
        });
        candidates.into_iter().find(|candidate| held(candidate))
    }

    /// Suffix of the first tensor that the files hold of a module.
    fn first_parameter(&self, module: &Module) -> Option<String> {
        let name = match &module.kind {
            Kind::Linear { .. } | Kind::Conv1d { .. } => self.format(module).tensors.first()?.name.as_str(),
            Kind::Table { .. } => "weight",
            Kind::Vectors { names, .. } => names.first()?,
            Kind::Rows { parameters, .. } => parameters.first()?.name,
            Kind::Tensors(tensors) => tensors.first()?.0.as_str(),
            Kind::Stack(stack) => stack.name,
            Kind::Buffers(_) => return None,
        };
        Some(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    fn published(model: &Model, rename: fn(&str) -> String) -> HashSet<String> {
        model.tensors().iter().flat_map(|t| t.names()).map(|name| rename(&name)).collect()
    }

    fn small_vision_model() -> Model {
        let config = json!({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {"hidden_size": 64,
            "intermediate_size": 128, "num_hidden_layers": 6}, "vision_config": {"hidden_size": 48, "num_attention_heads": 4}});
        Model::from_config(&config, None).unwrap()
    }

    #[test]
    fn older_prefixes_are_found() {
        let model = small_vision_model();
        let stored = published(&model, |name| match name.strip_prefix("model.language_model.") {
            Some(rest) => format!("language_model.model.{rest}"),
            None => name.trim_start_matches("model.").to_owned(),
        });
        let named = model.clone().with_stored_names(|name| stored.contains(name));
        assert_eq!(published(&named, str::to_owned), stored);
        let head = named.modules.iter().find(|m| m.path == "lm_head").unwrap();
        assert_eq!(head.tied_to.as_deref(), Some("language_model.model.embed_tokens"));
    }

    #[test]
    fn names_that_agree_or_that_nothing_explains_stay() {
        let model = small_vision_model();
        let stored = published(&model, str::to_owned);
        assert_eq!(model.clone().with_stored_names(|name| stored.contains(name)), model);
        assert_eq!(model.clone().with_stored_names(|_| false), model);
    }
}
