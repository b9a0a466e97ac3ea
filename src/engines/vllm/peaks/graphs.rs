//! Captured CUDA graphs.

use super::super::defaults::Scheduler;
use crate::hardware::Card;
use crate::model::Model;
use crate::profiles::GraphConstants;
use crate::sharding::Stage;
use crate::units::{Basis, Bytes, Estimate, Formula};

/// Models with routed experts capture more kernels a layer (published: 1 to 5 GiB for large ones).
const EXPERTS_FACTOR: u64 = 2;

/// Memory of the captured CUDA graphs.
#[must_use]
pub fn graphs(model: &Model, stage: &Stage, card: &Card, scheduler: Scheduler, constants: &GraphConstants) -> Estimate {
    let layers = u64::from(stage.layers.end - stage.layers.start);
    let blackwell = card.compute_capability.is_some_and(|(major, _)| major == 10);
    let largest = constants.largest_blackwell.filter(|_| blackwell).unwrap_or(constants.largest);
    let sizes = capture_sizes(scheduler, largest, constants);
    let factor = if model.experts.is_some() { EXPERTS_FACTOR } else { 1 };
    let per_layer = constants.per_layer.0.saturating_mul(layers).saturating_mul(sizes).saturating_mul(factor);
    let expected = constants.constant + Bytes(per_layer / constants.at_sizes.max(1));
    let scaled = |factor: f64| Bytes((expected.0 as f64 * factor) as u64);
    Estimate::between(
        scaled(constants.low),
        expected,
        scaled(constants.high),
        Basis::Profile,
        Formula::with(
            "constant + per layer·L·n/sizes",
            &[
                ("constant", constants.constant.0),
                ("per layer", constants.per_layer.0.saturating_mul(factor)),
                ("L", layers),
                ("n", sizes),
                ("sizes", constants.at_sizes),
            ],
        ),
    )
}

/// Batch sizes for which graphs are captured: 1, 2, 4, then multiples of 8, and of 16 where the era has a coarse end.
fn capture_sizes(scheduler: Scheduler, largest: u64, constants: &GraphConstants) -> u64 {
    let top = scheduler.sequences.saturating_mul(constants.per_sequence).min(largest).min(scheduler.batched_tokens);
    let small = [1, 2, 4].into_iter().filter(|size| *size <= top).count() as u64;
    let coarse = match constants.coarse_from {
        Some(from) if top >= from => top / 16 - (from - 1) / 16,
        Some(_) | None => 0,
    };
    let fine = constants.coarse_from.map_or(top, |from| top.min(from.saturating_sub(1))) / 8;
    small + fine + coarse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::vllm_profile;

    #[test]
    fn capture_sizes_follow_the_sequences() {
        let eras = &vllm_profile().unwrap().eras;
        let sizes = |first: &str, sequences, largest| {
            let constants = &eras.iter().find(|e| e.first == first).unwrap().graphs;
            capture_sizes(Scheduler { batched_tokens: 8192, sequences, block_size: 16 }, largest, constants)
        };
        assert_eq!([1024, 256, 64, 1].map(|s| sizes("0.11.0", s, 512)), [67, 67, 19, 2]);
        assert_eq!(sizes("0.21.0", 1024, 512), 51);
        assert_eq!(sizes("0.21.0", 1024, 1024), 83);
        assert_eq!(sizes("0.8.0", 16, 512), 67);
        assert_eq!(sizes("0.2.0", 256, 256), 35);
    }
}
