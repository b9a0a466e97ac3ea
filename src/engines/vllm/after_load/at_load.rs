//! Quantisation while loading, and the state that bitsandbytes keeps beside its weights.

use super::{Built, Kernels, Tally, marlin_workspace, signed};
use crate::model::Part;
use crate::sharding::{Fill, RankTensor};
use crate::units::DType;

/// Weights that share a scale in bitsandbytes' 4-bit formats.
const BLOCK: u64 = 64;
/// Entries of the table of 4-bit floats.
const TABLE: u64 = 16;
/// Scales that share a scale where they are quantised themselves; vLLM quantises so while loading too (`compress_statistics`).
const SCALES: u64 = 256;
/// Entries of the table of 8-bit floats.
const BYTES: u64 = 256;

pub(super) fn module(kernels: &Kernels<'_>, module: &Built<'_>, tally: &mut Tally) {
    let Some(weight) = module.tensor("weight") else { return };
    match (kernels.quantization.method.as_str(), weight.dtype) {
        ("bitsandbytes", DType::U8) => {
            // Each stored matrix has its own scales, and a table.
            let elements = weight.shape.iter().copied().fold(2, u64::saturating_mul);
            let (blocks, matrices) = (elements.div_ceil(BLOCK), matrices(weight));
            let state = if kernels.release.nested_scales {
                // One byte each, with a scale for every 256 of them and a table of 8-bit floats.
                let tables = (TABLE + BYTES).saturating_mul(matrices);
                DType::U8.size(blocks) + DType::F32.size(blocks.div_ceil(SCALES).saturating_add(tables))
            } else {
                DType::F32.size(blocks.saturating_add(TABLE.saturating_mul(matrices)))
            };
            tally.add("quantisation state", weight, signed(state));
        }
        ("bitsandbytes", DType::I8) => {
            tally.add("quantisation state", weight, signed(DType::F32.size(Built::size(weight, 0))));
        }
        ("fp8", dtype) if dtype.bits() > 8 && is_matrix(weight) => {
            // One scale, in newer cards' kernels; Marlin has one for each output.
            let elements = weight.shape.iter().copied().fold(1, u64::saturating_mul);
            tally.replace("quantised while loading", weight, elements, DType::F8_E4M3);
            if kernels.capable(8, 9) {
                tally.add("scales", weight, signed(DType::F32.size(1)));
            } else {
                tally.add("scales", weight, signed(dtype.size(Built::size(weight, 0))));
                tally.add("Marlin workspace", weight, i128::from(marlin_workspace(kernels.card)));
            }
        }
        _ => {}
    }
}

/// Whether quantisation while loading is about it: the matrices of layers, but not tables, norms, routers and convolutions.
fn is_matrix(weight: &RankTensor) -> bool {
    let quantised = !matches!(weight.part, Part::Embedding | Part::LmHead | Part::Norm | Part::Router | Part::Rotary);
    quantised && weight.shape.len() == 2 && weight.shape.iter().all(|size| *size > 1)
}

/// Stored matrices of a module.
fn matrices(weight: &RankTensor) -> u64 {
    match &weight.fill {
        Fill::Files(copies) => copies.len() as u64,
        Fill::Generated | Fill::Alias(_) => 1,
    }
}
