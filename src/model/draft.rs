//! The draft layers that a checkpoint brings along: copies of the last layers, each fed with a token's embedding and the hidden state before
//! it (DeepSeek V3, GLM-4.5, Qwen 3-Next, MiMo, ERNIE 4.5; vLLM 0.11 `models/deepseek_mtp.py`, `glm4_moe_mtp.py`, `qwen3_next_mtp.py`).

use super::config::{ConfigError, Fields};
use super::{CacheGroup, IndexSet, Instances, Kind, Model, Module, Part, Role, Segment, SegmentKind};

/// Names that configs give the number of such layers.
const COUNTS: &[&str] = &["num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"];

/// How many draft layers a config states, at most as many as there are layers.
pub(super) fn layers(text: &Fields<'_>, most: u32) -> Result<u32, ConfigError> {
    let stated = text.optional_u64(COUNTS)?.unwrap_or(0);
    Ok(u32::try_from(stated).unwrap_or(most).min(most))
}

/// What joins the two inputs: a norm for each, a matrix kept whole and unquantised, and a norm before the head, which is the model's own.
const NORMS: [&str; 3] = ["enorm", "hnorm", "shared_head.norm"];

impl Model {
    /// The draft layers as a model of their own, without embedding and head, which engines share with the target; `None` where there are
    /// none.
    #[must_use]
    pub fn own_draft(&self) -> Option<Self> {
        let first = self.layers.checked_sub(self.draft_layers).filter(|first| *first < self.layers)?;
        let place = first..self.layers;
        let within = |module: &Module| {
            let (Instances::Layers(layers) | Instances::Experts { layers, .. }) = &module.instances else {
                return None;
            };
            let own = layers.within(&place);
            let kept = !own.is_empty() && module.part != Part::Vision;
            kept.then(|| Module { instances: module.instances.with_layers(own), ..module.clone() })
        };
        let mut modules: Vec<Module> = self.modules.iter().filter_map(within).collect();
        let path = modules.first()?.path.split_once(".{}").map(|(layers, _)| format!("{layers}.{{}}"))?;
        let all = IndexSet::range(place.clone());
        let hidden = self.hidden_size;
        let add = |name: &str, part, role, kind| Module {
            path: format!("{path}.{name}"),
            instances: Instances::Layers(all.clone()),
            part,
            role,
            kind,
            dtype: None,
            tied_to: None,
        };
        modules.extend(NORMS.map(|name| {
            let kind = Kind::Vectors { width: hidden, names: &["weight"] };
            add(name, Part::Norm, Role::Norm, kind)
        }));
        let output = vec![Segment { rows: hidden, kind: SegmentKind::Features }];
        let joint = Kind::Linear { input: hidden.saturating_mul(2), output, bias: false };
        modules.push(add("eh_proj", Part::Other, Role::EmbeddingProjection, joint));
        let caches =
            self.caches.iter().map(|group| CacheGroup { layers: group.layers.within(&place), ..group.clone() });
        let experts = self.experts.clone().map(|mut experts| {
            experts.layers = experts.layers.within(&place);
            experts
        });
        Some(Self {
            id: None,
            modules,
            caches: caches.filter(|group| !group.layers.is_empty()).collect(),
            experts,
            ropes: Vec::new(),
            draft_layers: 0,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Model;
    use crate::profiles::models::built_in_model;

    fn model(id: &str) -> Model {
        let profile = built_in_model(id).unwrap();
        Model::from_config(&serde_json::from_str(profile.config).unwrap(), None).unwrap()
    }

    #[test]
    fn deepseek_v3_brings_one_layer_of_eleven_and_a_half_billion() {
        // DeepSeek's README_WEIGHTS.md: 11.5B parameters of its own beside the shared embedding and head of 0.9B each.
        let target = model("deepseek-ai/DeepSeek-V3");
        let draft = target.own_draft().unwrap();
        let (attention, experts, router, joint, norms) =
            (187_107_328, 257 * 3 * 2048 * 7168, 256 * 7168, 2 * 7168 * 7168, 5 * 7168);
        assert_eq!(draft.parameters(), attention + experts + router + joint + norms);
        assert_eq!(draft.caches[0].layers.len(), 1);
        assert!(model("Qwen/Qwen2.5-7B-Instruct").own_draft().is_none());
    }

    #[test]
    fn a_draft_keeps_the_storage_of_the_layer_it_copies() {
        let target = model("zai-org/GLM-5-FP8");
        let draft = target.own_draft().unwrap();
        for module in &draft.modules {
            let quantised = module.role.is_routed_expert();
            assert!(!quantised || draft.is_quantised(module), "{}", module.path);
            assert!(module.path.ends_with("eh_proj") == (module.role == crate::model::Role::EmbeddingProjection));
        }
    }
}
