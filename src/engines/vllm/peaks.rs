//! Transient peaks: what the profiling run of vLLM's V1 engine finds.

use super::defaults::Scheduler;
use crate::model::Model;
use crate::profiles::{ActivationConstants, GraphConstants};
use crate::sharding::{Layout, Stage};
use crate::units::{Basis, Bytes, DType, Estimate, Formula};

/// Peak of activations on one rank: the larger of a forward pass over T tokens and a sampler pass over S rows of logits.
///
/// The forward pass is widest in the feed-forward layer (gate and up, then their product) unless the heads are wider; logits are gathered
/// over the tensor-parallel group, so every rank of the last stage holds S × V of them whatever the degree.
#[must_use]
pub fn activation(
    model: &Model,
    layout: Layout,
    stage: &Stage,
    scheduler: Scheduler,
    dtype: DType,
    constants: &ActivationConstants,
) -> Estimate {
    let (t, s) = (scheduler.batched_tokens, scheduler.sequences);
    let (h, v) = (model.hidden_size, model.vocab_size);
    let tp = u64::from(layout.tp.max(1));
    let i = model.intermediate_size / tp;
    let heads =
        (model.attention_heads.saturating_add(model.kv_heads.saturating_mul(2)) / tp).saturating_mul(model.head_width);
    let rows = |width: u64| dtype.size(t.saturating_mul(width));
    let hidden = constants.forward_hidden;
    let feed_forward = rows(i.saturating_mul(3).saturating_add(h.saturating_mul(hidden)));
    let attention = rows(heads.saturating_mul(2).saturating_add(h.saturating_mul(3)));
    // Between stages hidden state and residual are handed over.
    let handed_over = if layout.pp > 1 { rows(h.saturating_mul(2)) } else { Bytes::ZERO };
    let forward = feed_forward.max(attention) + handed_over;

    let logits = s.saturating_mul(v) as f64;
    let wide = if dtype == DType::F32 { 2.0 } else { 0.0 };
    let sampler = Bytes((logits * (constants.sampler_bytes + wide)) as u64) + rows(h) + constants.sampler_constant;
    let (expected, formula) = if stage.head && sampler >= forward {
        let rule = "sampler pass: 38·S·V + T·H·b + 0.05 GiB";
        (sampler, Formula::with(rule, &[("S", s), ("V", v), ("T", t), ("H", h), ("b", dtype.bits() / 8)]))
    } else if feed_forward >= attention {
        let rule = "forward pass: T·b·(3·I/tp + 4·H)";
        (forward, Formula::with(rule, &[("T", t), ("b", dtype.bits() / 8), ("I/tp", i), ("H", h)]))
    } else {
        let rule = "forward pass: T·b·(2·(heads + 2·KV heads)/tp·d + 3·H)";
        (forward, Formula::with(rule, &[("T", t), ("b", dtype.bits() / 8), ("heads", heads), ("H", h)]))
    };
    let scaled = |factor: f64| Bytes((expected.0 as f64 * factor) as u64);
    Estimate::between(scaled(constants.low), expected, scaled(constants.high), Basis::Profile, formula)
}

/// Memory of the captured CUDA graphs.
#[must_use]
pub fn graphs(model: &Model, stage: &Stage, scheduler: Scheduler, constants: &GraphConstants) -> Estimate {
    let layers = u64::from(stage.layers.end - stage.layers.start);
    let sizes = capture_sizes(scheduler, constants.largest_size);
    let per_layer = Bytes(constants.per_layer_at_67_sizes.0.saturating_mul(layers).saturating_mul(sizes) / 67);
    let expected = constants.constant + per_layer;
    let scaled = |factor: f64| Bytes((expected.0 as f64 * factor) as u64);
    debug_assert!(layers <= u64::from(model.layers));
    Estimate::between(
        scaled(constants.low),
        expected,
        scaled(constants.high),
        Basis::Profile,
        Formula::with("0.15 GiB + 16 MiB·L·n/67, n capture sizes", &[("L", layers), ("n", sizes)]),
    )
}

/// Batch sizes for which graphs are captured: 1, 2, 4, then every eighth up to twice the sequences.
fn capture_sizes(scheduler: Scheduler, largest: u64) -> u64 {
    let top = scheduler.sequences.saturating_mul(2).min(largest).min(scheduler.batched_tokens);
    [1, 2, 4].into_iter().filter(|size| *size <= top).count() as u64 + top / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capture_sizes_follow_the_sequences() {
        let sizes = |sequences| capture_sizes(Scheduler { batched_tokens: 8192, sequences, block_size: 16 }, 512);
        assert_eq!(sizes(1024), 67);
        assert_eq!(sizes(256), 67);
        assert_eq!(sizes(64), 19);
        assert_eq!(sizes(1), 2);
    }
}
