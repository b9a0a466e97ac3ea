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
    /// positions are rotated, three rows in float32), or four rows and the feed-forward rows; beside it are the pixels and the rows that the
    /// text model takes over.
    pub(super) fn image_pass(&self, whole_prompts: bool) -> Option<(Bytes, Formula)> {
        let item = largest(&self.model.architecture)?;
        let tower = self.tower()?;
        let items = self.items(item, whole_prompts);
        let (b, h) = (self.dtype.bits() / 8, tower.hidden);
        let rotated = if item.rotated { h.saturating_mul(12) } else { 0 };
        let heads = h.saturating_mul(5 * b).saturating_add(rotated) / self.tower_ways();
        let attention = h.saturating_mul(2 * b).saturating_add(heads);
        let feed_forward = h.saturating_mul(4 * b).saturating_add(tower.feed_forward.saturating_mul(b));
        let each = attention.max(feed_forward).saturating_add(item.inputs.saturating_mul(b));
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
