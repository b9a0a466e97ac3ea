//! Gemma 4: two kinds of attention of different head width, full layers whose values are their keys, and in some sizes experts beside the
//! feed-forward layer.

use super::super::config::{ConfigError, Fields};
use super::super::{Buffer, ExpertStack, IndexSet, Instances, Kind, Model, Module, Part, Role, RopeScaling};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT, module, sliding_layers};
use super::towers::{Tower, join, matrix, no_fields, vision_fields};
use crate::units::DType;

/// Gemma 4 without images.
pub const GEMMA4: Family =
    Family { architectures: &["Gemma4ForCausalLM"], model_types: &["gemma4_text"], build: decoder };

/// Gemma 4 with images.
pub const GEMMA4_VISION: Family =
    Family { architectures: &["Gemma4ForConditionalGeneration"], model_types: &["gemma4"], build: with_vision };

/// What is not known well enough to be counted: each makes the config unreadable when it is set.
fn refuse_unknown(fields: &Fields<'_>, text: &Fields<'_>) -> Result<(), ConfigError> {
    let expected = "0: embeddings of each layer's own are not known to this program";
    for (name, expected) in [
        ("hidden_size_per_layer_input", expected),
        ("num_kv_shared_layers", "0: layers that share keys and values are not known to this program"),
    ] {
        if let Some(value) = text.optional_u64(&[name])?.filter(|n| *n > 0) {
            return Err(ConfigError::Wrong { field: name.to_owned(), found: value.to_string(), expected });
        }
    }
    if fields.get("audio_config").is_some() {
        let expected = "absent: the audio tower is not known to this program";
        return Err(ConfigError::Wrong { field: "audio_config".to_owned(), found: "an object".to_owned(), expected });
    }
    Ok(())
}

fn decoder(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden) = (decoder.text, decoder.hidden);
    refuse_unknown(fields, &text)?;
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64_or(&["vocab_size"], 262_144)?;
    let tied = text.bool_or("tie_word_embeddings", true)?;
    let bias = text.bool_or("attention_bias", false)?;
    let windowed = AttentionSizes::with_defaults(&text, 8, 4, 256)?;
    // Full layers have wider heads, and where their values are their keys, fewer of them.
    let keys_are_values = text.bool_or("attention_k_eq_v", false)?;
    let kv_heads = match text.optional_u64(&["num_global_key_value_heads"])?.filter(|n| *n > 0) {
        Some(heads) if keys_are_values => heads,
        _ => windowed.kv_heads,
    };
    if !windowed.heads.is_multiple_of(kv_heads) {
        let heads = windowed.heads;
        let text = format!("{heads} attention heads are no multiple of {kv_heads} key/value heads of full layers");
        return Err(ConfigError::Contradiction(text));
    }
    let head_width = text.u64_or(&["global_head_dim"], 512)?.max(1);
    let full = AttentionSizes { kv_heads, head_width, ..windowed };
    let every = text.u64_or(&["sliding_window_pattern"], 6)?;
    let sliding = sliding_layers(&text, decoder.layers, every)?;
    let rest = IndexSet::from_indices(decoder.all.iter().filter(|layer| !sliding.contains(*layer)));

    decoder.embedding("model.embed_tokens", vocab, hidden);
    attention(&mut decoder, &sliding, windowed, bias, false);
    attention(&mut decoder, &rest, full, bias, keys_are_values);
    for name in ["mlp.gate_proj", "mlp.up_proj"] {
        decoder.matrix(name, Role::GateUp, hidden, [features(intermediate)], false);
    }
    decoder.matrix("mlp.down_proj", Role::Down, intermediate, [features(hidden)], false);
    for name in ["input", "post_attention", "pre_feedforward", "post_feedforward"] {
        decoder.norm(&format!("{name}_layernorm"), WEIGHT);
    }
    if text.bool_or("enable_moe_block", false)? {
        experts(&mut decoder)?;
    }
    let scalar = Kind::Tensors(vec![("layer_scalar".to_owned(), vec![1])]);
    let layers = Instances::Layers(decoder.all.clone());
    decoder.push(module("model.layers.{}", layers, Part::Other, Role::Constant, scalar));
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));

    let max_position = text.u64_or(&["max_position_embeddings"], 131_072)?;
    decoder.scaled_rope(windowed.head_width, max_position, RopeScaling::None);
    decoder.scaled_rope(head_width, max_position, RopeScaling::of_full_attention(&text, max_position)?);
    decoder.cache(sliding, windowed.sliding_cache(text.u64_or(&["sliding_window"], 512)?));
    decoder.cache(rest, full.full_cache());
    decoder.finish(Facts { attention: windowed, intermediate, vocab, tied, max_position: Some(max_position) })
}

fn attention(decoder: &mut Decoder<'_>, layers: &IndexSet, sizes: AttentionSizes, bias: bool, keys_are_values: bool) {
    let hidden = decoder.hidden;
    if layers.is_empty() {
        return;
    }
    let linear = |name: &str, role, input, segment| {
        let kind = Kind::Linear { input, output: vec![segment], bias };
        let path = format!("model.layers.{{}}.self_attn.{name}");
        module(path, Instances::Layers(layers.clone()), Part::Attention, role, kind)
    };
    let keys = linear("k_proj", Role::QueryKeyValue, hidden, sizes.key_value());
    // Engines that fuse the three read the keys twice; the others read them once.
    let tied_to = keys_are_values.then(|| keys.path.clone());
    decoder.push(linear("q_proj", Role::QueryKeyValue, hidden, sizes.query()));
    decoder.push(keys);
    decoder.push(Module { tied_to, ..linear("v_proj", Role::QueryKeyValue, hidden, sizes.key_value()) });
    decoder.push(linear("o_proj", Role::AttentionOutput, sizes.query_rows(), features(hidden)));
    for name in ["q_norm", "k_norm"] {
        let kind = Kind::Vectors { width: sizes.head_width, names: WEIGHT };
        let path = format!("model.layers.{{}}.self_attn.{name}");
        let instances = Instances::Layers(layers.clone());
        decoder.push(module(path, instances, Part::Attention, Role::QueryKeyNorm, kind));
    }
}

/// Experts beside the feed-forward layer of every layer.
fn experts(decoder: &mut Decoder<'_>) -> Result<(), ConfigError> {
    let (text, hidden) = (decoder.text, decoder.hidden);
    let count = text.u64(&["num_experts"])?;
    let Some(experts) = u32::try_from(count).ok().filter(|n| *n <= 65_536) else {
        return Err(ConfigError::TooLarge { field: "num_experts".to_owned(), value: count, limit: 65_536 });
    };
    let width = text.u64(&["moe_intermediate_size", "expert_intermediate_size"])?;
    let layers = Instances::Layers(decoder.all.clone());
    let tensor = |name: &str, size| Kind::Tensors(vec![(name.to_owned(), vec![size])]);
    let router = "model.layers.{}.router";
    let part = |part, role, path: &str, kind| module(path, layers.clone(), part, role, kind);
    decoder.push(part(Part::Router, Role::Unknown, router, tensor("scale", hidden)));
    decoder.push(part(Part::Other, Role::Unknown, router, tensor("per_expert_scale", count)));
    decoder.push(part(Part::Router, Role::Router, "model.layers.{}.router.proj", matrix(hidden, count, false)));
    let stack = |name, input, output| {
        Kind::Stack(ExpertStack { experts, input, output, name, bias: None, transposed: false, folded: false })
    };
    let path = "model.layers.{}.experts";
    let gate_up = stack("gate_up_proj", hidden, vec![features(width); 2]);
    decoder.push(part(Part::Experts, Role::ExpertGateUp, path, gate_up));
    let down = stack("down_proj", width, vec![features(hidden)]);
    decoder.push(part(Part::Experts, Role::ExpertDown, path, down));
    for name in ["post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"] {
        decoder.norm(name, WEIGHT);
    }
    Ok(())
}

fn with_vision(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let decoder = decoder(fields)?;
    let none = no_fields();
    let vision = vision_fields(fields, &none)?;
    let width = vision.u64_or(&["hidden_size"], 768)?;
    let intermediate = vision.u64_or(&["intermediate_size"], 3072)?;
    let sizes = AttentionSizes::with_defaults(&vision, 12, 12, 64)?;
    let depth = vision.u64_or(&["num_hidden_layers"], 16)?;
    let mut tower = Tower::new("model.vision_tower", "encoder.layers.{}", depth, width)?;
    // Rows and columns of the image have a table each.
    let positions = vec![2, vision.u64_or(&["position_embedding_size"], 10_240)?, width];
    let table = Kind::Tensors(vec![("position_embedding_table".to_owned(), positions)]);
    tower.single("patch_embedder", Role::TowerEmbedding, table);
    let patch = vision.u64_or(&["patch_size"], 16)?;
    let pixels = patch.saturating_mul(patch).saturating_mul(3);
    tower.single("patch_embedder.input_proj", Role::TowerEmbedding, matrix(pixels, width, false));
    for (name, segment) in [("q_proj", sizes.query()), ("k_proj", sizes.key_value()), ("v_proj", sizes.key_value())] {
        let kind = Kind::Linear { input: width, output: vec![segment], bias: false };
        tower.every(&format!("self_attn.{name}.linear"), Role::QueryKeyValue, kind);
    }
    tower.matrix("self_attn.o_proj.linear", Role::AttentionOutput, sizes.query_rows(), width, false);
    for name in ["self_attn.q_norm", "self_attn.k_norm"] {
        tower.every(name, Role::QueryKeyNorm, Kind::Vectors { width: sizes.head_width, names: WEIGHT });
    }
    for name in ["mlp.gate_proj.linear", "mlp.up_proj.linear"] {
        tower.matrix(name, Role::GateUp, width, intermediate, false);
    }
    tower.matrix("mlp.down_proj.linear", Role::Down, intermediate, width, false);
    for name in ["input", "post_attention", "pre_feedforward", "post_feedforward"] {
        tower.norm(&format!("{name}_layernorm"), WEIGHT);
    }
    if vision.bool_or("standardize", false)? {
        let names = ["std_bias", "std_scale"].map(|name| (name.to_owned(), vec![width]));
        tower.single("", Role::Constant, Kind::Tensors(names.to_vec()));
    }
    let frequencies = |name| Buffer { name, dtype: DType::F32, shape: vec![sizes.head_width / 4] };
    tower.buffer("encoder.rotary_emb", frequencies("inv_freq"));
    tower.buffer("encoder.rotary_emb", frequencies("original_inv_freq"));
    let mut modules = tower.finish();
    let kind = matrix(width, decoder.hidden_size, false);
    let path = "model.embed_vision.embedding_projection";
    modules.push(module(path, Instances::First, Part::Vision, Role::Projector, kind));
    Ok(join(decoder, "model.language_model", modules))
}
