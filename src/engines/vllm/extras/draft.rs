//! Draft models of speculative decoding: their weights beside the target's, their layers in the same KV pool.

use serde_json::Value;

use crate::engines::EngineError;
use crate::engines::vllm::options::{Speculation, speculation};
use crate::engines::{Settings, ShardTotals};
use crate::hardware::Card;
use crate::model::{CacheGroup, IndexSet, Model};
use crate::profiles::models::built_in_model;
use crate::sharding::{Layout, Rank, shard};
use crate::units::{Bytes, DType};

use super::super::{Release, after_load, refusals, sharding};

/// What speculation adds.
#[derive(Debug, Clone, PartialEq)]
pub enum Draft {
    /// Nothing speculates, or what does has no weights.
    None,
    /// A draft model.
    Model(Box<Model>),
    /// A draft whose facts are not at hand, and why.
    Unknown(String),
}

/// The draft of a deployment: a model of its own, or the layers that the target brings along.
///
/// Only built-in models are found here, because nothing in the middle reads files: a caller who finds the draft elsewhere puts it into
/// [`Settings::draft_model`].
///
/// # Errors
/// When the speculative configuration is malformed.
pub fn of(settings: &Settings, target: &Model) -> Result<Draft, EngineError> {
    let id = match speculation(settings)? {
        None | Some(Speculation::Lookup) => return Ok(Draft::None),
        Some(Speculation::OwnLayers) => {
            let none = || Draft::Unknown("the config names no draft layers (MTP), so none are counted".to_owned());
            return Ok(target.own_draft().map_or_else(none, |draft| Draft::Model(Box::new(draft))));
        }
        Some(Speculation::Draft(id)) => id,
    };
    if let Some(model) = &settings.draft_model {
        return Ok(Draft::Model(model.clone()));
    }
    let unknown =
        || Draft::Unknown(format!("the draft model `{id}` is not at hand: its weights and KV cache are not counted"));
    let Ok(profile) = built_in_model(&id) else { return Ok(unknown()) };
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let quantization = profile.quantization.and_then(read);
    let model = read(profile.config).and_then(|config| Model::from_config(&config, quantization.as_ref()).ok());
    Ok(model.map_or_else(unknown, |model| Draft::Model(Box::new(model.named(profile.id())))))
}

/// The draft's bytes on one rank of the target's group. A draft that shares nothing is built in full beside the target, on the last stage.
///
/// # Errors
/// When the draft cannot be divided as the target is.
pub fn bytes(draft: &Model, layout: Layout, dtype: DType, card: &Card, release: Release) -> Result<Bytes, EngineError> {
    let layout = Layout { pp: 1, ..layout };
    let refused = |error| of_draft(refusals::does_not_divide(&error, draft));
    refusals::heads_divide(draft, layout.tp).map_err(of_draft)?;
    let rules = sharding::rules(draft, layout, dtype, None, release).map_err(refused)?;
    let tensors = shard(draft, layout, &rules, Rank { tp_rank: 0, pp_rank: 0 }).map_err(refused)?;
    let changes = after_load::changes(draft, &tensors, card, release);
    Ok(ShardTotals::new(tensors, changes).resident)
}

/// The same refusal, said to be about the draft.
fn of_draft(error: EngineError) -> EngineError {
    match error {
        EngineError::Refused { message, .. } => EngineError::Refused {
            message: format!("draft model: {message}"),
            hint: Some("draft with a model whose heads divide, or set `draft_tensor_parallel_size` to 1".to_owned()),
        },
        other => other,
    }
}

/// The target with the draft's layers after its own, as far as the KV pool sees them.
#[must_use]
pub fn with_caches(target: &Model, draft: &Model) -> Model {
    let mut both = target.clone();
    let shifted = |layers: &IndexSet| IndexSet::from_indices(layers.iter().map(|l| l.saturating_add(target.layers)));
    both.caches.extend(draft.caches.iter().map(|g| CacheGroup { layers: shifted(&g.layers), cache: g.cache }));
    // Layers of one kind form one group, whichever model they are of.
    let mut merged: Vec<CacheGroup> = Vec::new();
    for group in both.caches {
        match merged.iter_mut().find(|m| m.cache == group.cache) {
            Some(same) => same.layers = IndexSet::from_indices(same.layers.iter().chain(group.layers.iter())),
            None => merged.push(group),
        }
    }
    both.caches = merged;
    both.layers = both.layers.saturating_add(draft.layers);
    both
}
