//! Classes that a release runs through Transformers' own code instead of a class of its own (`models/transformers`), and those it gave up.
//!
//! The modules are Transformers', with matrices and the token embedding replaced in place: nothing is fused, rotary frequencies stay
//! frequencies, and attention layers are no part of the module tree, so that no scales of theirs are listed.

use super::Release;
use crate::model::{Instances, Model, Part, Role};
use crate::sharding::{Generated, Layout, ShardError};
use crate::units::DType;

/// A class that lost its own implementation.
struct Former {
    /// The class of the config.
    architecture: &'static str,
    /// Transformers' class that is run in its place. It has no plan by which ranks could divide it.
    class: &'static str,
    /// The last release with an implementation.
    until: &'static str,
}

/// Classes without an implementation since 0.11 (`models/registry.py`, `_PREVIOUSLY_SUPPORTED_MODELS`).
const FORMER: &[Former] = &[Former {
    architecture: "MllamaForConditionalGeneration",
    class: "transformers.models.mllama.modeling_mllama.MllamaModel",
    until: "0.10.2",
}];

/// Classes whose own code says how ranks divide them, and whether they had one of vLLM's before (`models/registry.py`,
/// `_TRANSFORMERS_SUPPORTED_MODELS` of 0.11.2 and 0.25.1).
const BORROWED: &[(&str, bool)] =
    &[("SmolLM3ForCausalLM", false), ("GPTBigCodeForCausalLM", true), ("Starcoder2ForCausalLM", true)];

/// Whether the modules are Transformers' own.
fn is_borrowed(model: &Model, release: Release) -> bool {
    let class = |(name, once): &(&str, bool)| *name == model.architecture && (!once || release.refuses_former_classes);
    BORROWED.iter().any(class) || former(model, release).is_some()
}

fn former(model: &Model, release: Release) -> Option<&'static Former> {
    FORMER.iter().find(|former| release.without_former_classes && former.architecture == model.architecture)
}

/// Refuses what the release cannot run, or not divided.
///
/// # Errors
/// When the class is given up, or has no plan for more than one rank.
pub fn check(model: &Model, layout: Layout, release: Release) -> Result<(), ShardError> {
    match former(model, release) {
        Some(former) if release.refuses_former_classes => {
            Err(ShardError::FormerClass { class: former.architecture.to_owned(), until: former.until.to_owned() })
        }
        Some(former) if layout.tp > 1 => {
            Err(ShardError::NoPlan { class: former.class.to_owned(), until: former.until.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Entries of the token embedding that are built: those of the vocabulary, whatever the checkpoint has beyond.
pub fn embedding_rows(model: &Model, release: Release) -> Option<u64> {
    is_borrowed(model, release).then_some(model.vocab_size)
}

/// What is computed at load, where the class is Transformers' own.
pub fn buffers(model: &Model, release: Release) -> Option<Vec<Generated>> {
    if !is_borrowed(model, release) {
        return None;
    }
    let frequencies = model.ropes.iter().map(|rope| Generated {
        name: format!("{}.rotary_emb.inv_freq", text_path(model)),
        instances: Instances::First,
        part: Part::Rotary,
        dtype: DType::F32,
        shape: vec![rope.width / 2],
        copies: 1,
    });
    Some(frequencies.collect())
}

/// Path of the language model: that of its token embedding's parent.
fn text_path(model: &Model) -> &str {
    model.modules.iter().find(|module| module.role == Role::TokenEmbedding).map_or("model", |module| module.parent())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::models::built_in_model;

    #[test]
    fn a_former_class_divides_runs_whole_or_is_refused_by_release() {
        let profile = built_in_model("meta-llama/Llama-3.2-11B-Vision-Instruct").unwrap();
        let model = Model::from_config(&serde_json::from_str(profile.config).unwrap(), None).unwrap();
        let at = |version: &str, tp| {
            check(&model, Layout { tp, pp: 1, dp: 1, ep: false }, Release::of(version.parse().unwrap()))
        };
        assert_eq!(at("0.10.2", 2), Ok(()));
        assert_eq!(at("0.11.2", 1), Ok(()));
        assert!(matches!(at("0.11.2", 2), Err(ShardError::NoPlan { .. })));
        assert!(matches!(at("0.25.1", 1), Err(ShardError::FormerClass { .. })));
    }
}
