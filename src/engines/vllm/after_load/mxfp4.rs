//! MXFP4 experts (gpt-oss): which kernel runs them, what it pads, what it keeps.

use super::experts::{BLOCKS, MATRICES};
use super::{Built, Kernels, Tally, marlin_workspace, signed};
use crate::hardware::Card;
use crate::sharding::{ExpertPadding, RankTensor};
use crate::units::round_up;

/// The kernel by card (`mxfp4.py`, `get_mxfp4_backend`; 0.25.1 `fused_moe/oracle/mxfp4.py`), with the packages of vLLM's own image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// FlashInfer's, on data-centre Blackwell.
    TrtLlm,
    /// OpenAI's Triton kernels, on Hopper.
    Triton,
    /// Everywhere else.
    Marlin,
}

fn kernel(card: &Card) -> Kernel {
    match card.compute_capability {
        Some((10, _)) => Kernel::TrtLlm,
        Some((9, _)) => Kernel::Triton,
        _ => Kernel::Marlin,
    }
}

/// What experts are padded to on construction (`Mxfp4MoEMethod.create_weights`).
#[must_use]
pub fn expert_padding(card: &Card) -> ExpertPadding {
    match kernel(card) {
        Kernel::TrtLlm => ExpertPadding { width: 256, hidden: 256 },
        Kernel::Triton => ExpertPadding { width: 64, hidden: 1 },
        Kernel::Marlin => ExpertPadding { width: 128, hidden: 256 },
    }
}

pub(super) fn module(kernels: &Kernels<'_>, module: &Built<'_>, prefix: &str, weight: &RankTensor, tally: &mut Tally) {
    let kernel = kernel(kernels.card);
    if kernel == Kernel::Marlin {
        if prefix == MATRICES[0] {
            tally.add("Marlin workspace", weight, i128::from(BLOCKS * marlin_workspace(kernels.card)));
        }
        return;
    }
    // Biases become float32: twice what they were.
    if let Some(bias) = module.tensor(&format!("{prefix}bias")) {
        tally.add("biases in float32", bias, signed(bias.bytes_each()));
    }
    if kernel == Kernel::Triton {
        // Swizzling pads the hidden state to 256 (log lines of gpt-oss-20b on Hopper: 13.5 GiB where 12.85 were created).
        let bias = module.tensor("w2_bias").map_or(0, |b| Built::size(b, 1));
        let padded = i128::from(round_up(bias, 256));
        if bias > 0 {
            let bytes = signed(weight.bytes_each());
            tally.add("padding of the hidden state", weight, bytes * padded / i128::from(bias) - bytes);
        }
    }
}
