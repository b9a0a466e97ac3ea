//! What vLLM's kernels change after the weights are in place (`process_weights_after_loading`).

use crate::engines::Change;
use crate::hardware::Card;
use crate::model::{Model, Part};
use crate::sharding::RankTensor;
use crate::units::{ByteDelta, Bytes};

/// Signed changes between the constructed tensors and those that stay resident.
#[must_use]
pub fn changes(model: &Model, tensors: &[RankTensor], card: &Card) -> Vec<Change> {
    let Some(quantization) = &model.quantization else { return Vec::new() };
    let hopper = card.compute_capability.is_some_and(|(major, _)| major == 9);
    match quantization.method.as_str() {
        "awq" => workspaces(tensors, card),
        // On Hopper the kernel behind the name is Machete, which keeps every tensor; Marlin replaces zero points and, unless the rows
        // are reordered, the index by empty tensors.
        "gptq" if hopper => Vec::new(),
        "gptq" => {
            let mut dropped = vec![("qzeros", "zero points")];
            if !quantization.act_order {
                dropped.push(("g_idx", "group indices"));
            }
            let mut changes = workspaces(tensors, card);
            for (suffix, what) in dropped {
                for part in Part::ALL {
                    let own = tensors.iter().filter(|t| t.part == part && t.name.ends_with(suffix));
                    let bytes: Bytes = own.map(RankTensor::bytes).sum();
                    if bytes > Bytes::ZERO {
                        changes.push(Change { what, part, bytes: Bytes::ZERO.delta(bytes) });
                    }
                }
            }
            changes
        }
        _ => Vec::new(),
    }
}

/// Marlin's lock words: one 32-bit word per multiprocessor for each quantised matrix.
fn workspaces(tensors: &[RankTensor], card: &Card) -> Vec<Change> {
    // Known by size alone: 132 is the largest count among the cards with these kernels; the difference is some KiB.
    let words = u64::from(card.multiprocessors.unwrap_or(132));
    let each = 4 * words;
    Part::ALL
        .into_iter()
        .filter_map(|part| {
            let matrices: u64 = tensors
                .iter()
                .filter(|t| t.part == part && t.name.ends_with(".qweight"))
                .map(|t| t.place.count())
                .sum();
            let bytes = ByteDelta(i128::from(matrices) * i128::from(each));
            (matrices > 0).then_some(Change { what: "Marlin workspace", part, bytes })
        })
        .collect()
}
