//! Weights of 8 or 4 bits with scales beside them: FP8, INT8 and NVFP4.

use super::{Built, Kernels, Tally, marlin_workspace, signed};
use crate::sharding::RankTensor;
use crate::units::{DType, ceil_div, round_up};

pub(super) fn module(kernels: &Kernels<'_>, module: &Built<'_>, tally: &mut Tally) {
    let weight = module.tensor("weight").or_else(|| module.tensor("weight_packed"));
    let scale = module.tensor("weight_scale").or_else(|| module.tensor("weight_scale_inv"));
    let (Some(weight), Some(scale)) = (weight, scale) else { return };
    match weight.dtype {
        DType::F8_E4M3 => float8(kernels, module, weight, scale, tally),
        DType::I8 => int8(kernels, module, weight, scale, tally),
        DType::U8 => nvfp4(kernels, module, weight, scale, tally),
        _ => {}
    }
}

/// What one scale is for.
enum Scope {
    /// A matrix of a fused module.
    Matrix,
    /// An output feature.
    Output,
    /// A block of outputs and inputs.
    Block,
}

/// Scales of a weight `output × input` (its first dimension).
fn scope(weight: &RankTensor, scale: &RankTensor) -> Scope {
    match scale.shape.as_slice() {
        [_, inputs, ..] if *inputs > 1 => Scope::Block,
        [outputs, 1] if *outputs == Built::size(weight, 0) => Scope::Output,
        [_, _, ..] => Scope::Block,
        [outputs] if *outputs == Built::size(weight, 0) && *outputs > 1 => Scope::Output,
        [_] | [] => Scope::Matrix,
    }
}

/// FP8. Cards with FP8 units bring fused matrices to one scale; older ones keep the weights packed for Marlin, with scales of the model's
/// element type for each output (`fp8.py`, `utils/marlin_utils_fp8.py`).
fn float8(kernels: &Kernels<'_>, module: &Built<'_>, weight: &RankTensor, scale: &RankTensor, tally: &mut Tally) {
    let (outputs, inputs) = (Built::size(weight, 0), Built::size(weight, 1));
    let input_scale = module.tensor("input_scale");
    if kernels.capable(8, 9) {
        if matches!(scope(weight, scale), Scope::Matrix) {
            tally.replace("scales of fused matrices", scale, 1, DType::F32);
        }
        if let Some(input_scale) = input_scale {
            tally.replace("scales of fused matrices", input_scale, 1, DType::F32);
        }
        return;
    }
    let scales = match scope(weight, scale) {
        Scope::Matrix | Scope::Output => outputs,
        Scope::Block => {
            // Blocks are square: as many inputs as the number of blocks says.
            let block = ceil_div(inputs, Built::size(scale, 1).max(1));
            ceil_div(inputs, block.max(1)).saturating_mul(outputs)
        }
    };
    // The model's element type: 16 bits wherever Marlin runs.
    tally.replace("scales of each output for Marlin", scale, scales, DType::F16);
    tally.add("Marlin workspace", weight, i128::from(marlin_workspace(kernels.card)));
    // compressed-tensors keeps the scales of activations, although they are not used any more.
    if let Some(unused) = input_scale.filter(|_| kernels.quantization.method != "compressed-tensors") {
        tally.remove("scales of activations", unused);
    }
    if let Some(unused) = module.tensor("input_scale_ub") {
        tally.remove("scales of activations", unused);
    }
}

/// INT8: fused matrices with one scale each get one for each output; activations that are not symmetric need sums over the inputs
/// (`kernels/scaled_mm/cutlass.py`).
fn int8(kernels: &Kernels<'_>, module: &Built<'_>, weight: &RankTensor, scale: &RankTensor, tally: &mut Tally) {
    let outputs = Built::size(weight, 0);
    if matches!(scope(weight, scale), Scope::Matrix) && Built::size(scale, 0) > 1 {
        tally.replace("scales of each output", scale, outputs, DType::F32);
    }
    if kernels.quantization.asymmetric_input {
        tally.add("sums for activations around another value than zero", weight, signed(DType::I32.size(outputs)));
        if module.tensor("input_scale").is_some() {
            tally.add("zero point of activations", weight, signed(DType::I32.size(1)));
        }
    }
}

/// NVFP4 (`modelopt.py` `ModelOptNvFp4LinearMethod.process_weights_after_loading`, `utils/quant_utils.py` `swizzle_blockscale`): scales of
/// groups in tiles of 128 × 4, one scale a module, and products of scales; before Blackwell, Marlin.
fn nvfp4(kernels: &Kernels<'_>, module: &Built<'_>, weight: &RankTensor, scale: &RankTensor, tally: &mut Tally) {
    let (outputs, groups) = (Built::size(scale, 0), Built::size(scale, 1));
    let of_weight = module.tensor("weight_scale_2").or_else(|| module.tensor("weight_global_scale"));
    let of_input = module.tensor("input_scale").or_else(|| module.tensor("input_global_scale"));
    if kernels.capable(10, 0) {
        let tiles = round_up(outputs, 128).saturating_mul(round_up(groups, 4));
        tally.replace("padding of scales to tiles", scale, tiles, scale.dtype);
        for global in [of_weight, of_input].into_iter().flatten() {
            tally.replace("scales of fused matrices", global, 1, DType::F32);
        }
        // The product of both scales, and the inverse of that of activations.
        tally.add("scales of fused matrices", weight, 2 * signed(DType::F32.size(1)));
    } else {
        if let Some(global) = of_weight {
            tally.replace("scales of fused matrices", global, 1, DType::F16);
        }
        if let Some(global) = of_input {
            tally.replace("scales of fused matrices", global, 1, DType::F32);
        }
        tally.add("Marlin workspace", weight, i128::from(marlin_workspace(kernels.card)));
    }
}
