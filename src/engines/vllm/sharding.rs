//! How vLLM 0.11 divides a model.

use std::ops::Range;

use super::{Release, after_load, buffers, deepseek_v4, fallback, methods, stages};
use crate::model::{Model, Role};
use crate::sharding::{
    ExpertPadding, ExpertRule, Fusion, Generated, Layout, ShardError, ShardingRules, Split, TabledBuffer,
};
use crate::units::DType;

/// Vocabulary entries are padded to a multiple of this (`layers/vocab_parallel_embedding.py`, `DEFAULT_VOCAB_PADDING_SIZE`).
const VOCABULARY_MULTIPLE: u64 = 64;

/// The sharding rules of a model on this layout.
///
/// # Errors
/// When the layers do not form that many stages, or a partition does not add up.
pub fn rules(
    model: &Model,
    layout: Layout,
    dtype: DType,
    partition: Option<&[u32]>,
    release: Release,
) -> Result<ShardingRules, ShardError> {
    // `model_loader/bitsandbytes_loader.py`; plain matrices are divided first and quantised afterwards.
    if layout.tp > 1 && model.quantization.as_ref().is_some_and(|q| q.method == "bitsandbytes" && !q.at_load) {
        return Err(ShardError::QuantizationState { tp: u64::from(layout.tp) });
    }
    fallback::check(model, layout, release)?;
    methods::check(model, release)?;
    // With several replicas the shared experts work on each rank's own tokens, whole (`config/parallel.py`, `use_sequence_parallel_moe`).
    let whole_shared = layout.ep && layout.tp > 1 && layout.dp > 1;
    let shared = |split| if whole_shared { Split::Replicated } else { split };
    let mut generated =
        fallback::buffers(model, release).unwrap_or_else(|| buffers::of_class(model, layout, dtype, release));
    if !deepseek_v4::is(model) {
        generated.extend(after_load::loaded_scales(model, layout, dtype, release));
    }
    // The replicas of data parallelism share the experts (`layers/fused_moe/config.py`, `FusedMoEParallelConfig.make`).
    let ways = layout.tp.saturating_mul(layout.dp);
    Ok(ShardingRules {
        splits: vec![
            (Role::TokenEmbedding, Split::Vocabulary),
            (Role::LayerEmbedding, Split::Vocabulary),
            (Role::LmHead, Split::Vocabulary),
            // SigLIP's positions go through the same class as tokens (`models/siglip.py`).
            (Role::PatchPositionEmbedding, Split::Vocabulary),
            (Role::QueryKeyValue, Split::Column),
            (Role::HeadwiseQueryKeyNorm, Split::Column),
            (Role::AttentionOutput, Split::Row),
            (Role::GroupedOutput, Split::Column),
            (Role::GateUp, Split::Column),
            (Role::Up, Split::Column),
            (Role::Down, Split::Row),
            (Role::Sinks, Split::Column),
            (Role::LatentQuery, Split::Column),
            (Role::LatentKeyValue, Split::Column),
            (Role::ExpertGateUp, Split::Column),
            (Role::ExpertUp, Split::Column),
            (Role::ExpertDown, Split::Row),
            (Role::SharedExpertGateUp, shared(Split::Column)),
            (Role::SharedExpertUp, shared(Split::Column)),
            (Role::SharedExpertDown, shared(Split::Row)),
            (Role::StateIn, Split::Column),
            (Role::StateGates, Split::Column),
            (Role::StateConvolution, Split::Column),
            (Role::StateDecay, Split::Column),
            (Role::StateHeads, Split::Column),
            (Role::StateStep, Split::Column),
            (Role::StateNorm, Split::Column),
            (Role::StateSelection, Split::Row),
            (Role::StateOut, Split::Row),
        ],
        fusions: [
            state_fusions(model),
            vec![
                Fusion { role: Role::QueryKeyValue, name: "qkv_proj" },
                Fusion { role: Role::GateUp, name: "gate_up_proj" },
                Fusion { role: Role::SharedExpertGateUp, name: "gate_up_proj" },
                Fusion { role: Role::LatentDown, name: "fused_qkv_a_proj" },
                Fusion { role: Role::Compressor, name: "fused_wkv_wgate" },
                Fusion { role: Role::ExpertGateUp, name: "w13" },
                Fusion { role: Role::ExpertUp, name: "w13" },
                Fusion { role: Role::ExpertDown, name: "w2" },
            ],
        ]
        .concat(),
        vocabulary_multiple: VOCABULARY_MULTIPLE,
        row_multiples: deepseek_v4::row_multiples(model),
        embedding_rows: fallback::embedding_rows(model, release),
        share_tied: true,
        repeat_kv_heads: true,
        floor_groups: after_load::floors_groups(model, release, false),
        floor_expert_groups: after_load::floors_groups(model, release, true),
        expert_bytes: after_load::experts_in_bytes(model, layout),
        expert_padding: ExpertPadding::NONE,
        file_state: false,
        experts: if layout.ep { ExpertRule::Whole { ways, redundant: 0 } } else { ExpertRule::Sliced { ways } },
        dtypes: dtypes(model, release),
        dtype,
        stages: stages::of_ranges(model, self::partition(model.layers, layout.pp, partition)?),
        whole_towers: buffers::has_whole_tower(model),
        tabled: release
            .vision_table_rows
            .map(|rows| TabledBuffer { suffix: VISION_FREQUENCIES, rows })
            .into_iter()
            .collect(),
        generated,
    })
}

/// Qwen 3.5's checkpoints keep apart what vLLM builds as one (`models/qwen3_5.py`, `packed_modules_mapping`).
fn state_fusions(model: &Model) -> Vec<Fusion> {
    if !model.architecture.starts_with("Qwen3_5") {
        return Vec::new();
    }
    vec![Fusion { role: Role::StateIn, name: "in_proj_qkvz" }, Fusion { role: Role::StateGates, name: "in_proj_ba" }]
}

/// Frequencies of the towers of Qwen's family.
const VISION_FREQUENCIES: &str = "visual.rotary_pos_emb.inv_freq";

/// Classes whose router is float32 whatever the model (`models/ernie45_moe.py`, `glm4_moe.py`, `minimax_m2.py`, `mimo_v2_flash.py`).
const ROUTER_IN_F32: &[&str] = &[
    "Ernie4_5_MoeForCausalLM",
    "Glm4MoeForCausalLM",
    "GlmMoeDsaForCausalLM",
    "MiniMaxM2ForCausalLM",
    "MiMoV2FlashForCausalLM",
];

/// Classes whose balancing bias is of the model's element type (`models/dots1.py`, `kimi_linear.py`).
const BALANCE_AS_MODEL: &[&str] = &["Dots1ForCausalLM", "KimiLinearForCausalLM"];

/// Roles that are held in another element type than the model's.
fn dtypes(model: &Model, release: Release) -> Vec<(Role, DType)> {
    let architecture = model.architecture.as_str();
    let mut dtypes = vec![(Role::StateDecay, DType::F32), (Role::IndexerNorm, DType::F32)];
    if deepseek_v4::is(model) {
        dtypes.extend([(Role::Sinks, DType::F32), (Role::RouterTable, DType::I32)]);
    }
    // `layers/kda.py`, `KimiDeltaAttention.__init__`.
    if architecture == "KimiLinearForCausalLM" {
        dtypes.push((Role::StateConvolution, DType::F32));
    }
    if !BALANCE_AS_MODEL.contains(&architecture) {
        dtypes.push((Role::RouterBias, DType::F32));
    }
    let nemotron = architecture == "NemotronHForCausalLM" && release.nemotron_router_in_f32;
    if nemotron || ROUTER_IN_F32.contains(&architecture) {
        dtypes.push((Role::Router, DType::F32));
    }
    dtypes
}

/// Layers of each stage: equal parts, the remainder one each to the stages before the last, from the back
/// (`distributed/utils.py`, `get_pp_indices`).
///
/// # Errors
/// When there are fewer layers than stages, or the partition given by hand has another sum or length.
pub fn partition(layers: u32, pp: u32, by_hand: Option<&[u32]>) -> Result<Vec<Range<u32>>, ShardError> {
    let error = ShardError::Stages { layers, stages: pp };
    if pp == 0 || pp > layers {
        return Err(error);
    }
    let sizes: Vec<u32> = match by_hand {
        Some(sizes) => {
            if sizes.len() != pp as usize || sizes.iter().try_fold(0u32, |a, b| a.checked_add(*b)) != Some(layers) {
                return Err(error);
            }
            sizes.to_vec()
        }
        None => {
            let (each, rest) = (layers / pp, layers % pp);
            // Stages pp−2, pp−3, … take one more each; the last never does: it has the head.
            (0..pp).map(|stage| each + u32::from(stage + 1 < pp && stage + 1 + rest >= pp)).collect()
        }
    };
    let mut start = 0;
    Ok(sizes
        .into_iter()
        .map(|size| {
            let range = start..start + size;
            start += size;
            range
        })
        .collect())
}

/// Buffers whose size follows the tokens of a step, alive from construction on.
#[must_use]
pub fn batch_buffers(model: &Model, batched_tokens: u64, dtype: DType, release: Release) -> Vec<Generated> {
    buffers::of_batch(model, batched_tokens, dtype, release)
}

#[cfg(test)]
mod tests {
    use super::partition;
    use crate::sharding::ShardError;

    fn sizes(layers: u32, pp: u32) -> Vec<u32> {
        partition(layers, pp, None).unwrap().into_iter().map(|r| r.end - r.start).collect()
    }

    #[test]
    fn the_remainder_goes_before_the_last_stage() {
        assert_eq!(sizes(80, 4), [20, 20, 20, 20]);
        assert_eq!(sizes(61, 2), [31, 30]);
        assert_eq!(sizes(61, 4), [15, 15, 16, 15]);
        assert_eq!(sizes(63, 4), [16, 16, 16, 15]);
        assert_eq!(sizes(5, 5), [1, 1, 1, 1, 1]);
        assert_eq!(partition(4, 5, None), Err(ShardError::Stages { layers: 4, stages: 5 }));
    }

    #[test]
    fn a_partition_by_hand_must_add_up() {
        assert_eq!(partition(10, 2, Some(&[7, 3])).unwrap(), [0..7, 7..10]);
        for wrong in [&[5, 4][..], &[10], &[u32::MAX, 11]] {
            assert!(partition(10, 2, Some(wrong)).is_err());
        }
    }
}
