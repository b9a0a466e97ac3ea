//! MXFP4 experts (gpt-oss): which kernel runs them, what it pads, what it keeps.

use super::experts::{BLOCKS, MATRICES};
use super::{Built, Kernels, Tally, marlin_workspace, signed};
use crate::hardware::Card;
use crate::model::{Model, Part};
use crate::sharding::{ExpertPadding, Layout, RankTensor};
use crate::units::{Bytes, round_up};

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

/// What the experts of a rank would take more if Marlin ran them: it does on Hopper too where Triton's kernels are not installed, as in half of
/// the published runs of gpt-oss-120b, and pads their width to 128 instead of 64.
#[must_use]
pub fn with_the_fallback(model: &Model, layout: Layout, card: &Card, parts: &[(Part, Bytes)]) -> Bytes {
    let mxfp4 = model.quantization.as_ref().is_some_and(|q| q.method == "mxfp4");
    let (true, Kernel::Triton, Some(experts)) = (mxfp4, kernel(card), &model.experts) else { return Bytes::ZERO };
    let ways = if layout.ep { 1 } else { u64::from(layout.tp.max(1)) };
    let width = experts.intermediate_size / ways;
    let (own, padded) = (round_up(width, 64), round_up(width, 128));
    let bytes = parts.iter().find(|(part, _)| *part == Part::Experts).map_or(0, |(_, bytes)| bytes.0);
    Bytes((u128::from(bytes) * u128::from(padded - own) / u128::from(own.max(1))).try_into().unwrap_or(0))
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::with_the_fallback;
    use crate::hardware::Card;
    use crate::model::{Model, Part};
    use crate::profiles::gpus::GpuCatalogue;
    use crate::profiles::models::built_in_model;
    use crate::sharding::Layout;
    use crate::units::Bytes;

    #[test]
    fn marlin_pads_more_than_triton() {
        let config: Value = serde_json::from_str(built_in_model("openai/gpt-oss-20b").unwrap().config).unwrap();
        let model = Model::from_config(&config, None).unwrap();
        let more = |gpu: &str, tp: u32| {
            let card = Card::of_profile(&GpuCatalogue::built_in().select(gpu).unwrap());
            let layout = Layout { tp, pp: 1, dp: 1, ep: false };
            with_the_fallback(&model, layout, &card, &[(Part::Experts, Bytes(2880 * 1000))])
        };
        assert_eq!(more("H100", 1), Bytes(64 * 1000));
        // 360 columns: 384 in either.
        assert_eq!(more("H100", 8), Bytes::ZERO);
        assert_eq!(more("A100-80GB", 1), Bytes::ZERO);
    }
}
