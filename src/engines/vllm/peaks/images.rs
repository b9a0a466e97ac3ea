//! The pass over the largest images that the profiling run makes before the text.

use super::Run;
use crate::model::{Instances, Kind, Module, Part, Role};
use crate::profiles::{ImageItem, vllm_profile};
use crate::units::{Bytes, Formula};

/// Sizes of a vision tower's layers.
struct Tower {
    hidden: u64,
    /// Elements of a patch's feed-forward rows on one rank: gate, up and product, or the first matrix's output and its activation.
    feed_forward: u64,
}

impl Run<'_> {
    /// Peak of the vision tower over the dummy images of the profiling run; `None` where the model's largest image is not known.
    ///
    /// A patch holds two rows of hidden state and what one rank's heads work on (queries, keys and values, copies of the first two and, where
    /// positions are rotated, three rows in float32), or four rows and the feed-forward rows; beside it are the pixels, rows kept from inner
    /// layers, and the rows that the text model takes over.
    pub(super) fn image_pass(&self, whole_prompts: bool) -> Option<(Bytes, Formula)> {
        let item = largest(&self.model.architecture)?;
        let tower = self.tower()?;
        let items = self.items(item, whole_prompts);
        let (b, h) = (self.dtype.bits() / 8, tower.hidden);
        let rotated = if item.rotated { h.saturating_mul(12) } else { 0 };
        let heads = h.saturating_mul(5 * b).saturating_add(rotated) / self.tower_ways();
        let attention = h.saturating_mul(2 * b).saturating_add(heads);
        let feed_forward = h.saturating_mul(4 * b).saturating_add(tower.feed_forward.saturating_mul(b));
        let beside = item.inputs.saturating_add(item.kept.saturating_mul(h)).saturating_mul(b);
        let each = attention.max(feed_forward).saturating_add(beside);
        let patches = items.saturating_mul(item.patches);
        let outputs = self.dtype.size(items.saturating_mul(item.tokens).saturating_mul(self.model.hidden_size));
        let formula = Formula::with(
            "pass over images: patches·each + tokens·H·b",
            &[("patches", patches), ("each", each), ("tokens", items.saturating_mul(item.tokens))],
        );
        Some((Bytes(patches.saturating_mul(each)) + outputs, formula))
    }

    /// Images of one run. The old core fills a prompt with an image and a video of that size for each sequence that finds room; the new one
    /// takes as many of the largest kind as the step's tokens hold (`v1/core/encoder_cache_manager.py`, `compute_encoder_budget`).
    fn items(&self, item: &ImageItem, whole_prompts: bool) -> u64 {
        let fitting = (self.scheduler.batched_tokens / item.tokens.max(1)).clamp(1, self.scheduler.sequences.max(1));
        let kinds = if whole_prompts && item.videos && !self.images_only { 2 } else { 1 };
        fitting.saturating_mul(kinds)
    }

    fn tower(&self) -> Option<Tower> {
        let blocks = |role: Role| {
            let of_tower = |m: &&Module| matches!(m.instances, Instances::Tower(_)) && m.part == Part::Vision;
            self.model.modules.iter().filter(of_tower).find(move |m| m.role == role)
        };
        let rows = |module: &Module| match &module.kind {
            Kind::Linear { output, .. } => Some(output.iter().map(|s| s.rows).sum::<u64>()),
            _ => None,
        };
        let Kind::Linear { input: hidden, .. } = blocks(Role::QueryKeyValue)?.kind else { return None };
        // Gate and up are one module or two of one role.
        let gated = blocks(Role::GateUp).and_then(|m| Some((rows(m)?, blocks(Role::Down)?)));
        let width = match gated {
            Some((_, down)) => match down.kind {
                Kind::Linear { input, .. } => input.saturating_mul(3),
                _ => return None,
            },
            None => rows(blocks(Role::Up)?)?.saturating_mul(2),
        };
        Some(Tower { hidden, feed_forward: width / self.tower_ways() })
    }

    fn tower_ways(&self) -> u64 {
        if self.tower_whole { 1 } else { self.ways() }
    }
}

/// The largest image of a model.
fn largest(architecture: &str) -> Option<&'static ImageItem> {
    let items = &vllm_profile().ok()?.images;
    items.iter().find(|item| item.architectures.iter().any(|name| name == architecture))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::engines::{Component, Deployment, EntryPoint, Settings, engine};
    use crate::hardware::{Card, Fleet, FleetSource};
    use crate::model::Model;
    use crate::profiles::gpus::GpuCatalogue;
    use crate::profiles::models::built_in_model;

    /// GiB of activations on the first rank, and what they follow from.
    fn peak(id: &str, version: &str, gpu: &str, settings: &Settings) -> (f64, String) {
        let profile = built_in_model(id).unwrap();
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let model = Model::from_config(&read(profile.config), profile.quantization.map(read).as_ref()).unwrap();
        let card = Card::of_profile(&GpuCatalogue::built_in().select(gpu).unwrap());
        let cards = vec![card; settings.tensor_parallel.unwrap_or(1) as usize];
        let fleet = Fleet { cards, source: FleetSource::Given };
        let deployment = Deployment { model: &model, settings, fleet: &fleet, version: version.parse().unwrap() };
        let plan = engine("vllm").unwrap().plan(&deployment).unwrap();
        let line = plan.ranks[0].lines.iter().find(|l| l.component == Component::Activation).unwrap();
        (line.estimate.expected.as_gib(), line.estimate.formula.to_string())
    }

    #[test]
    fn the_largest_image_decides_where_few_sequences_are_sampled() {
        let settings = Settings { tensor_parallel: Some(2), ..Settings::default() };
        // 65,536 patches of (4·1152 + 2·4304/2)·2 + 1536·2 bytes, and 16,384 rows of 5120.
        let (gib, formula) = peak("Qwen/Qwen3.5-27B", "0.26.0", "RTX-5090", &settings);
        assert!((gib - 1.431).abs() < 0.01, "{gib}");
        assert!(formula.starts_with("pass over images"), "{formula}");
        // A tower that every rank runs whole.
        let mut whole = settings;
        whole.engine_flags.insert("mm-encoder-tp-mode".to_owned(), "data".to_owned());
        assert!(peak("Qwen/Qwen3.5-27B", "0.26.0", "RTX-5090", &whole).0 > gib + 0.4);
    }

    #[test]
    fn the_sampler_decides_where_the_vocabulary_is_large() {
        // Published on 0.19: 3.89 GiB.
        let (gib, formula) = peak("google/gemma-3-4b-it", "0.19.0", "H100", &Settings::default());
        assert!((gib - 3.89).abs() < 0.03, "{gib}");
        assert!(formula.starts_with("sampler pass"), "{formula}");
    }

    #[test]
    fn the_old_core_adds_a_video_unless_none_is_allowed() {
        let mut settings = Settings {
            entry_point: EntryPoint::Library,
            max_model_len: crate::engines::ContextLength::Tokens(16384),
            max_num_seqs: Some(1),
            ..Settings::default()
        };
        let both = peak("Qwen/Qwen2.5-VL-7B-Instruct", "0.7.3", "A100-80GB", &settings).0;
        settings.engine_flags.insert("limit-mm-per-prompt".to_owned(), "image=1,video=0".to_owned());
        let image = peak("Qwen/Qwen2.5-VL-7B-Instruct", "0.7.3", "A100-80GB", &settings).0;
        assert!((both / image - 2.0).abs() < 0.01, "{both} {image}");
    }

    #[test]
    fn the_environment_chooses_the_sampler() {
        let of = |version: &str, choice: Option<&str>| {
            let mut settings = Settings::default();
            if let Some(choice) = choice {
                settings.engine_flags.insert("VLLM_USE_FLASHINFER_SAMPLER".to_owned(), choice.to_owned());
            }
            peak("Qwen/Qwen3-14B", version, "H100", &settings).0
        };
        // 38 or 14.5 bytes for each of 1024 × 151,936 entries: 3.40 GiB apart.
        assert!((of("0.11.2", None) - of("0.11.2", Some("1")) - 3.405).abs() < 0.01);
        assert!((of("0.8.5", Some("0")) - of("0.8.5", None) - 3.405).abs() < 0.01);
        assert!((of("0.17.0", None) - of("0.17.0", Some("1"))).abs() < 1e-9);
    }
}
