//! The tensors that Transformers' classes build: whole modules, one rotary table for all layers, and how its planner counts them.

use super::options::{BitsAndBytes, Options, V5};
use crate::engines::Version;
use crate::model::{IndexSet, Instances, Model, Module, Part, Role};
use crate::sharding::{
    ExpertPadding, ExpertRule, Fill, Generated, RankTensor, ShardError, ShardingRules, Where, whole_model,
};
use crate::units::DType;

/// Until here each layer kept its own tables of sines and cosines, as long as the model's context.
const ONE_ROTARY: Version = Version { major: 4, minor: 45, patch: 0 };

/// All tensors of the model.
pub(super) fn tensors(model: &Model, dtype: DType, version: Version) -> Result<Vec<RankTensor>, ShardError> {
    let wide_router_bias = version >= V5 || model.model_type.starts_with("glm4_moe");
    let rules = ShardingRules {
        splits: Vec::new(),
        fusions: Vec::new(),
        vocabulary_multiple: 1,
        row_multiples: Vec::new(),
        embedding_rows: None,
        share_tied: true,
        repeat_kv_heads: false,
        floor_groups: false,
        floor_expert_groups: false,
        expert_bytes: None,
        file_state: true,
        expert_padding: ExpertPadding::NONE,
        tabled: Vec::new(),
        whole_towers: true,
        experts: ExpertRule::AsStored,
        dtypes: if wide_router_bias { vec![(Role::RouterBias, DType::F32)] } else { Vec::new() },
        dtype,
        stages: Vec::new(),
        generated: buffers(model, dtype, version),
    };
    let mut tensors = whole_model(model, &rules)?;
    if model.model_type == "opt" {
        define_first(&mut tensors, "model.decoder.final_layer_norm.");
    }
    if version >= V5 {
        // Every rotary module keeps its frequencies twice; those of the decoder are listed above.
        let again = |t: &RankTensor| {
            let name = t.name.strip_suffix(".inv_freq").map(|module| format!("{module}.original_inv_freq"))?;
            let is_new = rules.generated.iter().all(|g| g.name != name);
            is_new.then(|| RankTensor { name, ..t.clone() })
        };
        tensors.extend(tensors.iter().filter_map(again).collect::<Vec<_>>());
    }
    Ok(tensors)
}

/// Moves the tensors of a module to where the layers begin: modules are placed in the order in which their class defines them.
fn define_first(tensors: &mut Vec<RankTensor>, module: &str) {
    let (moved, mut rest): (Vec<_>, Vec<_>) = tensors.drain(..).partition(|t| t.name.starts_with(module));
    let layers = rest.iter().position(|t| t.place != Where::Once).unwrap_or(rest.len());
    rest.splice(layers..layers, moved);
    *tensors = rest;
}

/// What is above the decoder layers (`model`), and the decoder layers (`model.layers.{}`).
fn decoder(model: &Model) -> Option<(&str, &str, &IndexSet)> {
    let of_decoder = |m: &&Module| m.part == Part::Attention || m.part == Part::Ssm;
    model.modules.iter().filter(of_decoder).find_map(|module| {
        let Instances::Layers(layers) = &module.instances else { return None };
        let list = &module.path[..module.path.find("{}")? + 2];
        let above = list.trim_end_matches(".{}");
        Some((above.rsplit_once('.').map_or("", |(above, _)| above), list, layers))
    })
}

/// Buffers that are computed at load and saved nowhere.
fn buffers(model: &Model, dtype: DType, version: Version) -> Vec<Generated> {
    let Some((above, list, layers)) = decoder(model) else { return Vec::new() };
    let every_layer = || Instances::Layers(IndexSet::range(0..model.layers));
    let mut found = Vec::new();
    let mut push = |name: String, instances: Instances, part: Part, dtype: DType, shape: Vec<u64>| {
        found.push(Generated { name, instances, part, dtype, shape, copies: 1 });
    };
    for (index, rope) in model.ropes.iter().enumerate() {
        let frequencies = vec![rope.width / 2];
        let table = vec![rope.max_position, rope.width];
        let module = if index == 0 { "rotary_emb" } else { "rotary_emb_local" };
        if version < ONE_ROTARY {
            let name = |buffer: &str| format!("{list}.self_attn.{module}.{buffer}");
            let here = || Instances::Layers(layers.clone());
            push(name("inv_freq"), here(), Part::Rotary, DType::F32, frequencies);
            push(name("cos_cached"), here(), Part::Rotary, dtype, table.clone());
            push(name("sin_cached"), here(), Part::Rotary, dtype, table);
            continue;
        }
        if version >= V5 {
            // One module holds the frequencies of all kinds of layers, each twice.
            let kind = match (model.ropes.len(), index) {
                (..2, _) => "",
                (_, 0) => "full_attention_",
                (_, _) => "sliding_attention_",
            };
            for buffer in ["inv_freq", "original_inv_freq"] {
                let name = format!("{above}.rotary_emb.{kind}{buffer}");
                push(name, Instances::Last, Part::Rotary, DType::F32, frequencies.clone());
            }
            continue;
        }
        push(format!("{above}.{module}.inv_freq"), Instances::Last, Part::Rotary, DType::F32, frequencies.clone());
        if ["qwen2_moe", "qwen2_vl", "qwen2_5_vl"].iter().any(|family| model.model_type.starts_with(family)) {
            // These still built one in each attention module, beside the one that is used.
            let name = format!("{list}.self_attn.{module}.inv_freq");
            push(name, Instances::Layers(layers.clone()), Part::Rotary, DType::F32, frequencies);
        }
    }
    if model.model_type.starts_with("gemma3") || model.model_type.starts_with("gemma2") && version >= V5 {
        push(format!("{above}.embed_tokens.embed_scale"), Instances::First, Part::Embedding, dtype, Vec::new());
    }
    // A causal mask in every layer.
    if model.model_type == "gpt2"
        && version < V5
        && let Some(length) = model.max_position
    {
        let name = |buffer: &str| format!("{list}.attn.{buffer}");
        push(name("bias"), every_layer(), Part::Attention, DType::BOOL, vec![1, 1, length, length]);
        push(name("masked_bias"), every_layer(), Part::Attention, dtype, Vec::new());
    }
    found
}

/// Bits of one tensor as the planner counts them, which is not always what it takes in the end.
///
/// Up to version 4 every floating type counts as at most the type that is loaded (1 byte or half a byte under bitsandbytes, for all but the
/// modules it leaves alone), integers as they are and truth values as bits; from 5 on all as they are, quantised weights without
/// their scales. Source: accelerate 1.15 `compute_module_sizes`, transformers 5.23 `HfQuantizer.param_element_size`.
pub(super) fn planned_bits(tensor: &RankTensor, model: &Model, options: &Options, version: Version) -> u64 {
    if matches!(tensor.fill, Fill::Alias(_)) {
        return 0;
    }
    let elements = tensor.shape.iter().copied().fold(1, u64::saturating_mul);
    let quantized_bits = options.on_the_fly.map(|kind| match kind {
        BitsAndBytes::Int8 => 8,
        BitsAndBytes::Nf4 { .. } => 4,
    });
    let each = if version >= V5 {
        match quantized_bits {
            Some(bits) if is_quantized(tensor, model) => bits,
            _ => tensor.dtype.bits(),
        }
    } else if tensor.dtype == DType::BOOL {
        1
    } else if !tensor.dtype.is_float() {
        tensor.dtype.bits()
    } else {
        let widest = match quantized_bits {
            Some(bits) if !left_alone(tensor, model) => bits,
            _ => options.dtype.bits(),
        };
        tensor.dtype.bits().min(widest)
    };
    elements.saturating_mul(each)
}

/// Whether bitsandbytes quantises a tensor: matrices, but neither the head nor embeddings.
pub(super) fn is_quantized(tensor: &RankTensor, model: &Model) -> bool {
    let is_matrix = tensor.shape.len() == 2 && tensor.name.ends_with(".weight");
    let is_lookup = matches!(tensor.part, Part::Embedding | Part::Rotary | Part::Norm);
    is_matrix && !is_lookup && !left_alone(tensor, model)
}

/// The head, and the embedding when they are one.
fn left_alone(tensor: &RankTensor, model: &Model) -> bool {
    tensor.part == Part::LmHead || (model.tied_embeddings && tensor.part == Part::Embedding)
}
