//! Granite 3 and 4 with experts (those of a layer in one tensor), some layers of them Mamba 2; and Bamba, which they grew from.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, Instances, Model, Role};
use super::Family;
use super::blocks::features;
use super::decoder::{Decoder, Facts, WEIGHT};
use super::routed::{Attention, Stack, layers_named, others};
use super::state_space::Mamba2;

/// Granite 3 with experts.
pub const GRANITE_MOE: Family = Family {
    architectures: &["GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"],
    model_types: &["granitemoe", "granitemoeshared"],
    build: |fields| granite(fields, false),
};

/// Granite 4: Mamba 2 and attention, experts and a shared feed-forward layer.
pub const GRANITE_HYBRID: Family = Family {
    architectures: &["GraniteMoeHybridForCausalLM"],
    model_types: &["granitemoehybrid"],
    build: |fields| granite(fields, true),
};

/// Bamba: Mamba 2 with a few layers of attention, no experts.
pub const BAMBA: Family = Family { architectures: &["BambaForCausalLM"], model_types: &["bamba"], build: bamba };

fn granite(fields: &Fields<'_>, hybrid: bool) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden, all) = (decoder.text, decoder.hidden, decoder.all.clone());
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, hidden, None)?;
    let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
    let attended = match layers_named(&text, "layer_types", decoder.layers, "attention")? {
        Some(attended) if hybrid => attended,
        _ => match layers_named(&text, "layers_block_type", decoder.layers, "attention")? {
            Some(attended) if hybrid => attended,
            _ => all.clone(),
        },
    };
    let folded = others(decoder.layers, &attended);
    let width = text.u64(&["intermediate_size"])?;
    let shared = text.u64_or(&["shared_intermediate_size"], 0)?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", hybrid)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 2048)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    decoder.attention_in(&attended, "self_attn", &attention);
    let count = text.u64_or(&["num_local_experts"], 8)?;
    if count > 0 {
        let experts = Experts {
            layers: all.clone(),
            count,
            per_token: text.u64_or(&["num_experts_per_tok"], 2)?,
            intermediate_size: width,
        };
        let output = vec![features(width), features(width)];
        let first = Stack { parameter: "weight", input: hidden, output, ..Stack::default() };
        decoder.expert_stack("block_sparse_moe.input_linear", Role::ExpertGateUp, &experts, first)?;
        let last = Stack { parameter: "weight", input: width, output: vec![features(hidden)], ..Stack::default() };
        decoder.expert_stack("block_sparse_moe.output_linear", Role::ExpertDown, &experts, last)?;
        decoder.router(&all, "block_sparse_moe.router.layer", count, false);
        decoder.has_experts(experts);
    }
    if shared > 0 {
        let (first, last) = match count {
            // Without experts the shared layer is an ordinary one.
            0 => (Role::GateUp, Role::Down),
            _ => (Role::SharedExpertGateUp, Role::SharedExpertDown),
        };
        decoder.matrix("shared_mlp.input_linear", first, hidden, [features(shared); 2], false);
        decoder.matrix("shared_mlp.output_linear", last, shared, [features(hidden)], false);
    }
    decoder.llama_norms();
    mamba(&mut decoder, &folded)?;
    decoder.single_norm("model.norm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));
    // Layers of Granite 4 know no positions unless the config says `rope`.
    if !hybrid || text.optional_str("position_embedding_type")? == Some("rope") {
        decoder.rope(attention.key_width, max_position)?;
    }
    decoder.cache(attended, attention.full_cache());
    let facts = Facts {
        attention: attention.sizes(),
        intermediate: width.max(shared),
        vocab,
        tied,
        max_position: Some(max_position),
    };
    decoder.finish(facts)
}

fn bamba(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let (text, hidden, all) = (decoder.text, decoder.hidden, decoder.all.clone());
    let bias = text.bool_or("attention_bias", false)?;
    let attention = Attention::read(&text, hidden, None)?;
    let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
    let listed = text.numbers("attn_layer_indices")?;
    let attended = IndexSet::from_indices(all.iter().filter(|layer| listed.contains(&u64::from(*layer))));
    let folded = others(decoder.layers, &attended);
    let intermediate = text.u64(&["intermediate_size"])?;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.u64_or(&["max_position_embeddings"], 262_144)?;

    decoder.embedding("model.embed_tokens", vocab, hidden);
    decoder.gated_mlp(&all, "feed_forward", intermediate, text.bool_or("mlp_bias", false)?);
    decoder.norm("input_layernorm", WEIGHT);
    decoder.norm("pre_ff_layernorm", WEIGHT);
    mamba(&mut decoder, &folded)?;
    decoder.attention_in(&attended, "self_attn", &attention);
    decoder.single_norm("model.final_layernorm", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("model.embed_tokens"));
    // Half of each head rotates, by the model's code and not by its config (`models/bamba.py`).
    decoder.rope(text.rotated(attention.key_width, "partial_rotary_factor", 0.5)?, max_position)?;
    decoder.cache(attended, attention.full_cache());
    let facts = Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position: Some(max_position) };
    decoder.finish(facts)
}

/// The state layers of both families.
fn mamba(decoder: &mut Decoder<'_>, layers: &IndexSet) -> Result<(), ConfigError> {
    if layers.is_empty() {
        return Ok(());
    }
    let text = decoder.text;
    let heads = text.u64_or(&["mamba_n_heads"], 128)?;
    let channels = decoder.hidden.saturating_mul(text.u64_or(&["mamba_expand"], 2)?);
    let head_width = match text.get("mamba_d_head").and_then(|value| value.as_str()) {
        Some("auto") => channels / heads.max(1),
        _ => text.u64_or(&["mamba_d_head"], channels / heads.max(1))?,
    };
    let state = text.u64_or(&["mamba_d_state"], 256)?;
    let layer = Mamba2 {
        bias: text.bool_or("mamba_proj_bias", false)?,
        convolution_bias: text.bool_or("mamba_conv_bias", true)?,
        head_width,
        ..Mamba2::sized(&text, [heads, head_width, state, text.u64_or(&["mamba_n_groups"], 1)?])?
    };
    layer.add(decoder, layers, "mamba")
}
