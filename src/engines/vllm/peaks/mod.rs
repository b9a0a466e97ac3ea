//! Transient peaks: what the profiling run finds.

mod experts;
mod graphs;
mod images;

pub use graphs::graphs;

use super::defaults::Scheduler;
use crate::model::{LayerCache, Model, Part};
use crate::profiles::{ExpertWorkspace, Spread, VllmEra};
use crate::sharding::{Layout, Stage};
use crate::units::{Basis, Bytes, DType, Estimate, Formula};

/// Rows of latent vectors that the profiling run unfolds into keys and values (`v1/attention/backends/mla/common.py`).
const UNFOLDED_ROWS: u64 = 65_536;

/// The profiling run of one rank.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The model.
    pub model: &'a Model,
    /// Degrees of parallelism.
    pub layout: Layout,
    /// What the rank builds.
    pub stage: &'a Stage,
    /// T and S.
    pub scheduler: Scheduler,
    /// Element type of activations.
    pub dtype: DType,
    /// Whether the rank samples.
    pub samples: bool,
    /// Whether images are part of the run.
    pub images: bool,
    /// Whether videos are left out of it.
    pub images_only: bool,
    /// Whether every rank holds the whole vision tower.
    pub tower_whole: bool,
    /// Whether FlashInfer samples, where that was set (`VLLM_USE_FLASHINFER_SAMPLER`).
    pub flashinfer: Option<bool>,
}

impl Run<'_> {
    /// Bytes of T rows of so many elements.
    fn rows(&self, width: u64) -> Bytes {
        self.dtype.size(self.scheduler.batched_tokens.saturating_mul(width))
    }

    /// Ranks of a layer.
    fn ways(&self) -> u64 {
        u64::from(self.layout.tp.max(1))
    }

    /// Peak of activations: the larger of a forward pass over T tokens and a sampler pass over S rows of logits.
    ///
    /// The forward pass is widest in the feed-forward layer (gate and up, then their product) unless the heads are wider; logits are gathered
    /// over the tensor-parallel group, so every rank of the last stage holds S × V of them whatever the degree.
    #[must_use]
    pub fn activation(&self, era: &VllmEra) -> Estimate {
        let constants = &era.activation;
        let experts = self.expert_buffers(&era.experts);
        let (forward, forward_rule) = self.forward(era, experts);
        let (bytes, other) = self.sampler_bytes(era);
        let sampler = self.sampler(era, bytes);
        let images =
            if self.images { self.rows(self.model.hidden_size) + constants.image_constant } else { Bytes::ZERO };
        let kept = if era.experts.workspace == ExpertWorkspace::Kept { experts } else { Bytes::ZERO };
        // Whichever sampler runs.
        let worst = other.and_then(|bytes| self.sampler(era, bytes)).map_or(forward, |(peak, _)| peak.max(forward));
        let (peak, formula) = match sampler {
            Some((sampler, formula)) if sampler >= forward => (sampler, formula),
            _ => (forward, forward_rule),
        };
        let tower = if self.images { self.image_pass(era.scheduler.whole_prompts) } else { None };
        let (expected, formula) = match tower {
            Some((tower, formula)) if tower > peak + images + kept => (tower, formula),
            _ => (peak + images + kept, formula),
        };
        let spread = if self.images {
            constants.images
        } else if experts > Bytes::ZERO {
            constants.experts
        } else {
            constants.text
        };
        bounded(expected, expected.max(worst + images + kept), spread, formula)
    }

    /// Bytes of the sampler per sequence and word, and those of the other sampler where it cannot be told which one runs.
    fn sampler_bytes(&self, era: &VllmEra) -> (f64, Option<f64>) {
        let constants = &era.activation;
        match (constants.flashinfer, self.flashinfer) {
            (Some(own), Some(true)) => (own.bytes, None),
            (Some(own), None) if own.by_default => (own.bytes, Some(constants.sampler_bytes)),
            _ => (constants.sampler_bytes, None),
        }
    }

    /// The widest point of a forward pass, and its rule.
    fn forward(&self, era: &VllmEra, experts: Bytes) -> (Bytes, Formula) {
        let model = self.model;
        let h = model.hidden_size;
        let i = model.intermediate_size / self.ways();
        let heads = model.attention_heads.saturating_add(model.kv_heads.saturating_mul(2)) / self.ways();
        let width = heads.saturating_mul(model.head_width);
        let hidden = era.activation.forward_hidden;
        let inside = if era.experts.workspace == ExpertWorkspace::Kept { Bytes::ZERO } else { experts };
        // 8-bit matrices take their inputs quantised, beside the originals.
        let quantised = match model.quantization.as_ref().map(|q| q.method.as_str()) {
            Some("fp8" | "fbgemm_fp8") => Bytes(self.scheduler.batched_tokens.saturating_mul(i)),
            _ => Bytes::ZERO,
        };
        let feed_forward = self.rows(i.saturating_mul(3).saturating_add(h.saturating_mul(hidden))) + quantised;
        let routed = if inside > Bytes::ZERO { self.rows(h.saturating_mul(hidden + 1)) + inside } else { Bytes::ZERO };
        let attention = self.rows(width.saturating_mul(2).saturating_add(h.saturating_mul(3))) + self.unfolded(era);
        // Between stages hidden state and residual are handed over.
        let handed_over = if self.layout.pp > 1 { self.rows(h.saturating_mul(2)) } else { Bytes::ZERO };
        let (t, b) = (self.scheduler.batched_tokens, self.dtype.bits() / 8);
        let common = [("T", t), ("b", b), ("H", h)];
        let with = |rule, name, value| Formula::with(rule, &[common[0], common[1], common[2], (name, value)]);
        let (widest, formula) = if routed > feed_forward.max(attention) {
            (routed, with("forward pass: T·b·5·H + buffers of the experts", "buffers", inside.0))
        } else if feed_forward >= attention {
            (feed_forward, with("forward pass: T·b·(3·I/tp + hidden buffers·H)", "I/tp", i))
        } else {
            (attention, with("forward pass: T·b·(2·(heads + 2·KV heads)/tp·d + 3·H) + unfolded keys", "heads", heads))
        };
        (widest + handed_over, formula)
    }

    /// S rows of logits in every form that sampling needs; `None` where no logits are computed.
    fn sampler(&self, era: &VllmEra, bytes: f64) -> Option<(Bytes, Formula)> {
        if !(self.stage.head && self.samples) {
            return None;
        }
        let constants = &era.activation;
        let (s, v) = (self.scheduler.sequences, self.model.vocab_size);
        let wide = if self.dtype == DType::F32 { 2.0 } else { 0.0 };
        let each = bytes + wide;
        let logits = Bytes((s.saturating_mul(v) as f64 * each) as u64);
        let formula = Formula::with(
            "sampler pass: k/10·S·V + T·H·b + c",
            &[
                ("k", (each * 10.0) as u64),
                ("S", s),
                ("V", v),
                ("T", self.scheduler.batched_tokens),
                ("H", self.model.hidden_size),
                ("b", self.dtype.bits() / 8),
                ("c", constants.sampler_constant.0),
            ],
        );
        Some((logits + self.rows(self.model.hidden_size) + constants.sampler_constant, formula))
    }

    /// Keys and values that latent attention unfolds while profiling.
    fn unfolded(&self, era: &VllmEra) -> Bytes {
        // The old core profiled without a cache to unfold.
        if era.scheduler.whole_prompts {
            return Bytes::ZERO;
        }
        let latent = self.model.caches.iter().find_map(|group| match group.cache {
            LayerCache::Latent { rope, heads, key_width, value_width, .. } => {
                Some((heads, key_width.saturating_sub(rope).saturating_add(value_width)))
            }
            _ => None,
        });
        let Some((heads, width)) = latent else { return Bytes::ZERO };
        self.dtype.size(UNFOLDED_ROWS.saturating_mul(heads / self.ways()).saturating_mul(width))
    }
}

/// Whether a model sees images (or hears).
///
/// The pass over its largest image is computed for the classes whose largest image the profile knows; a video may be larger still, which the
/// bounds of such models allow for.
#[must_use]
pub fn sees_images(model: &Model) -> bool {
    model.modules.iter().any(|module| module.part == Part::Vision)
}

fn bounded(expected: Bytes, worst: Bytes, spread: Spread, formula: Formula) -> Estimate {
    let scaled = |bytes: Bytes, factor: f64| Bytes((bytes.0 as f64 * factor) as u64);
    Estimate::between(scaled(expected, spread.low), expected, scaled(worst, spread.high), Basis::Profile, formula)
}
