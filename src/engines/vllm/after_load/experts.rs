//! Routed experts: which tensors vLLM builds for them, and what its kernels change.

use super::{Built, Kernels, Tally, marlin_workspace, mxfp4, signed};
use crate::engines::vllm::Release;
use crate::hardware::Card;
use crate::model::{Instances, Model, Part, Quantization};
use crate::sharding::{Generated, Layout, RankTensor};
use crate::units::{DType, round_up};

/// Thread blocks a multiprocessor that Marlin's kernel for experts runs: its lock words are so many more.
pub(super) const BLOCKS: u64 = 4;

/// Whether a rank's slice may cut a quantisation group: GPTQ's `create_weights` divides with floor, AWQ's refuses
/// (`gptq_marlin.py`, `awq.py`); compressed-tensors' refuses, but did not for experts (`compressed_tensors_moe.py`); NVFP4's
/// does for experts (`modelopt.py`, `ModelOptNvFp4FusedMoE.create_weights`).
#[must_use]
pub fn floors_groups(model: &Model, release: Release, experts: bool) -> bool {
    model.quantization.as_ref().is_some_and(|q| match q.method.as_str() {
        "gptq" | "auto-round" => true,
        "compressed-tensors" => experts && !release.refuses_cut_expert_groups,
        "modelopt_fp4" | "modelopt_mixed" => experts,
        _ => false,
    })
}

/// Inputs of a group where experts of AWQ and GPTQ checkpoints are kept in bytes, because Marlin does not take their slices
/// (`marlin_utils.py`, `check_moe_marlin_supports_layer`): groups are halved until they divide (`moe_wna16.py`, `create_weights`).
#[must_use]
pub fn experts_in_bytes(model: &Model, layout: Layout) -> Option<u64> {
    let quantization = model.quantization.as_ref()?;
    let words = match quantization.method.as_str() {
        "awq" => true,
        // Weights that are not symmetric have no kernel in words.
        "gptq" => quantization.symmetric,
        _ => return None,
    };
    let (width, hidden) = sizes(model, layout)?;
    if words && marlin_takes(quantization, width, hidden) {
        return None;
    }
    let mut group = quantization.group_size?;
    while group > 1 && !(width.is_multiple_of(group) && hidden.is_multiple_of(group)) {
        group /= 2;
    }
    Some(group)
}

/// Width of an expert's slice, and of the hidden state.
fn sizes(model: &Model, layout: Layout) -> Option<(u64, u64)> {
    let experts = model.experts.as_ref()?;
    let ways = if layout.ep { 1 } else { u64::from(layout.tp.saturating_mul(layout.dp)).max(1) };
    Some((experts.intermediate_size / ways, model.hidden_size))
}

/// Whether Marlin multiplies experts of this width.
fn marlin_takes(quantization: &Quantization, width: u64, hidden: u64) -> bool {
    let group = quantization.group_size;
    hidden.is_multiple_of(128)
        && width.is_multiple_of(group.unwrap_or(0).max(64))
        && group.is_none_or(|g| matches!(g, 32 | 64 | 128))
}

/// Lock words that AWQ and GPTQ experts have from construction on (`awq_marlin.py` `AWQMoEMethod`, `gptq_marlin.py`
/// `GPTQMarlinMoEMethod`).
#[must_use]
pub fn expert_workspaces(model: &Model, layout: Layout, card: &Card) -> Option<Generated> {
    let quantization = model.quantization.as_ref()?;
    let experts = model.experts.as_ref()?;
    if !matches!(quantization.method.as_str(), "awq" | "gptq") || experts_in_bytes(model, layout).is_some() {
        return None;
    }
    Some(Generated {
        name: "model.layers.{}.mlp.experts.workspace".to_owned(),
        instances: Instances::Layers(experts.layers.clone()),
        part: Part::Experts,
        dtype: DType::I32,
        shape: vec![BLOCKS * marlin_workspace(card) / 4],
        copies: 1,
    })
}

/// Suffixes of the first and the last matrices of all experts.
pub(super) const MATRICES: [&str; 2] = ["w13_", "w2_"];

pub(super) fn module(kernels: &Kernels<'_>, module: &Built<'_>, tally: &mut Tally) {
    for prefix in MATRICES {
        let tensor = |name: &str| module.tensor(&format!("{prefix}{name}"));
        if let Some(weight) = tensor("weight").or_else(|| tensor("weight_packed")) {
            match weight.dtype {
                DType::F8_E4M3 => float8(kernels, module, prefix, weight, tally),
                DType::U8 if kernels.quantization.method == "mxfp4" => {
                    mxfp4::module(kernels, module, prefix, weight, tally)
                }
                // DeepSeek V4's four-bit experts lie in the kernel's own form already.
                DType::U8 if tensor("weight_scale").is_some_and(|scale| scale.dtype == DType::F8_E8M0) => {}
                DType::U8 => nvfp4(kernels, module, prefix, weight, tally),
                DType::I32 => packed(kernels, module, prefix, weight, tally),
                dtype if dtype.bits() > 8 && kernels.quantization.at_load => at_load(kernels, prefix, weight, tally),
                _ => {}
            }
        } else if tensor("qweight").is_some() && !kernels.quantization.act_order {
            drop_order(module, prefix, tally);
        }
    }
}

/// The order of rows is dropped where there is none.
fn drop_order(module: &Built<'_>, prefix: &str, tally: &mut Tally) {
    for name in ["g_idx", "weight_g_idx", "g_idx_sort_indices"] {
        if let Some(index) = module.tensor(&format!("{prefix}{name}")) {
            tally.remove("group indices", index);
        }
    }
}

/// compressed-tensors' packed experts: Marlin drops the order and gets its lock words after loading; where it does not take the slices,
/// everything stays.
fn packed(kernels: &Kernels<'_>, module: &Built<'_>, prefix: &str, weight: &RankTensor, tally: &mut Tally) {
    let size = |prefix: &str, dimension| {
        module.tensor(&format!("{prefix}weight_scale")).map_or(0, |t| Built::size(t, dimension))
    };
    // Scales lie as experts × outputs × groups; what the last matrix puts out is the hidden state.
    let (hidden, width) = (size("w2_", 1), size("w13_", 1) / 2);
    if !marlin_takes(kernels.quantization, width, hidden) || !kernels.capable(8, 0) {
        return;
    }
    if !kernels.quantization.act_order {
        drop_order(module, prefix, tally);
    }
    if prefix == MATRICES[0] {
        tally.add("Marlin workspace", weight, i128::from(BLOCKS * marlin_workspace(kernels.card)));
    }
}

/// FP8 experts (`fp8.py` `Fp8MoEMethod`, `compressed_tensors_moe.py` `CompressedTensorsW8A8Fp8MoEMethod`): one scale an expert for the first
/// matrices, one for all activations; compressed-tensors' kernel wants the strides of its matrices.
fn float8(kernels: &Kernels<'_>, module: &Built<'_>, prefix: &str, weight: &RankTensor, tally: &mut Tally) {
    let scale = module.tensor(&format!("{prefix}weight_scale"));
    let experts = Built::size(weight, 0);
    let outputs = Built::size(weight, 1);
    let compressed = kernels.quantization.method == "compressed-tensors";
    let blocks = scale.is_none_or(|s| s.shape.len() == 3 && Built::size(s, 2) > 1);
    if let Some(input_scale) = module.tensor(&format!("{prefix}input_scale")) {
        tally.replace("scales of all experts", input_scale, u64::from(kernels.capable(8, 9)), DType::F32);
    }
    if kernels.capable(8, 9) {
        if let Some(scale) = scale.filter(|s| s.shape.len() == 2) {
            tally.replace("scales of fused matrices", scale, experts, DType::F32);
        }
        if compressed && !blocks && prefix == MATRICES[0] && kernels.capable(9, 0) {
            let strides = DType::I64.size(experts.saturating_mul(3));
            tally.add("strides of the experts' matrices", weight, signed(strides));
        }
        return;
    }
    let scale = scale.or_else(|| module.tensor(&format!("{prefix}weight_scale_inv")));
    if let Some(scale) = scale {
        let groups = if blocks { Built::size(scale, 2) } else { 1 };
        let scales = experts.saturating_mul(outputs).saturating_mul(groups);
        tally.replace("scales of each output for Marlin", scale, scales, DType::F16);
    }
    if prefix == MATRICES[0] {
        tally.add("Marlin workspace", weight, i128::from(BLOCKS * marlin_workspace(kernels.card)));
    }
}

/// NVFP4 experts (`modelopt.py`, `ModelOptNvFp4FusedMoE.process_weights_after_loading`): scales of groups in tiles of 128 × 4, and per
/// expert the products of scales.
fn nvfp4(kernels: &Kernels<'_>, module: &Built<'_>, prefix: &str, weight: &RankTensor, tally: &mut Tally) {
    let Some(scale) = module.tensor(&format!("{prefix}weight_scale")) else { return };
    let experts = Built::size(weight, 0);
    let [of_weight, of_input] = ["weight_scale_2", "input_scale"].map(|name| module.tensor(&format!("{prefix}{name}")));
    if kernels.capable(10, 0) {
        let tiles = round_up(Built::size(scale, 1), 128).saturating_mul(round_up(Built::size(scale, 2), 4));
        tally.replace("padding of scales to tiles", scale, experts.saturating_mul(tiles), scale.dtype);
        if let Some(global) = of_weight {
            tally.replace("scales of fused matrices", global, experts, DType::F32);
        }
        if let Some(global) = of_input {
            tally.replace("scales of fused matrices", global, 1, DType::F32);
        }
        // Products of both scales, and inverses of those of activations, for each expert.
        tally.add("scales of fused matrices", weight, signed(DType::F32.size(experts.saturating_mul(2))));
    } else {
        if let Some(global) = of_weight {
            tally.replace("scales of fused matrices", global, experts, DType::F16);
        }
        if prefix == MATRICES[0] {
            tally.add("Marlin workspace", weight, i128::from(BLOCKS * marlin_workspace(kernels.card)));
        }
    }
}

/// `--quantization fp8` on plain experts: one scale an expert.
fn at_load(kernels: &Kernels<'_>, prefix: &str, weight: &RankTensor, tally: &mut Tally) {
    if kernels.quantization.method != "fp8" {
        return;
    }
    let elements = weight.shape.iter().copied().fold(1, u64::saturating_mul);
    tally.replace("quantised while loading", weight, elements, DType::F8_E4M3);
    let experts = Built::size(weight, 0);
    if kernels.capable(8, 9) {
        tally.add("scales", weight, signed(DType::F32.size(experts)));
        return;
    }
    tally.add("scales", weight, signed(weight.dtype.size(experts.saturating_mul(Built::size(weight, 1)))));
    if prefix == MATRICES[0] {
        tally.add("Marlin workspace", weight, i128::from(BLOCKS * marlin_workspace(kernels.card)));
    }
}
