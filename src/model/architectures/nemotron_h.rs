//! Nemotron-H and Nemotron 3: each layer is one block, of Mamba 2, attention, a feed-forward layer or experts.

use super::super::config::{ConfigError, Fields};
use super::super::{Experts, IndexSet, Instances, Role};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT};
use super::routed::{Attention, check_length};
use super::state_space::Mamba2;

/// Nemotron-H, Nemotron Nano 2 and Nemotron 3.
pub const NEMOTRON_H: Family = Family {
    architectures: &["NemotronHForCausalLM"],
    model_types: &["nemotron_h"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "backbone.layers.{}")?;
        let text = decoder.text;
        let hidden = decoder.hidden;
        let pattern = Pattern::read(&text, decoder.layers)?;
        let vocab = text.u64(&["vocab_size"])?;
        let tied = text.bool_or("tie_word_embeddings", false)?;
        let max_position = text.optional_u64(&["max_position_embeddings"])?;
        let intermediate = text.u64(&["intermediate_size"])?;
        let width = text.optional_u64(&["head_dim", "attention_head_dim"])?;
        let sizes = AttentionSizes::read(&text, hidden, width)?;
        let bias = text.bool_or("attention_bias", false)?;
        let attention = Attention { qkv_bias: bias, output_bias: bias, ..Attention::of(sizes) };
        decoder.embedding("backbone.embeddings", vocab, hidden);
        decoder.norm("norm", WEIGHT);
        if !pattern.state.is_empty() {
            let layer = Mamba2 {
                bias: text.bool_or("use_bias", false)? || text.bool_or("mamba_proj_bias", false)?,
                convolution_bias: text.bool_or("use_conv_bias", true)?,
                ..Mamba2::read(&text, &["mamba_num_heads"], &["mamba_head_dim"], &["ssm_state_size"])?
            };
            layer.add(&mut decoder, &pattern.state, "mixer");
        }
        decoder.attention_in(&pattern.attention, "mixer", &attention);
        decoder.cache(pattern.attention.clone(), attention.full_cache());
        let mlp_bias = text.bool_or("mlp_bias", false)?;
        decoder.matrix_in(&pattern.dense, "mixer.up_proj", Role::Up, hidden, [features(intermediate)], mlp_bias);
        decoder.matrix_in(&pattern.dense, "mixer.down_proj", Role::Down, intermediate, [features(hidden)], mlp_bias);
        if !pattern.experts.is_empty() {
            experts(&mut decoder, &pattern.experts)?;
        }
        decoder.single_norm("backbone.norm_f", Instances::Last, WEIGHT);
        decoder.head("lm_head", hidden, vocab, false, tied.then_some("backbone.embeddings"));
        decoder.finish(Facts { attention: attention.sizes(), intermediate, vocab, tied, max_position })
    },
};

/// Experts without gates; with `moe_latent_size` they work on a narrower state.
fn experts(decoder: &mut Decoder<'_>, layers: &IndexSet) -> Result<(), ConfigError> {
    let text = decoder.text;
    let hidden = decoder.hidden;
    let experts = Experts {
        layers: layers.clone(),
        count: text.u64(&["n_routed_experts"])?,
        per_token: text.u64(&["num_experts_per_tok"])?,
        intermediate_size: text.u64(&["moe_intermediate_size"])?,
    };
    let width = experts.intermediate_size;
    decoder.router(layers, "mixer.gate", experts.count, false);
    decoder.router_bias(layers, "mixer.gate", "e_score_correction_bias", experts.count);
    let latent = text.optional_u64(&["moe_latent_size"])?.filter(|latent| *latent > 0);
    if let Some(latent) = latent {
        let (down, up) = (Role::ExpertLatentDown, Role::ExpertLatentUp);
        decoder.matrix_in(layers, "mixer.fc1_latent_proj", down, hidden, [features(latent)], false);
        decoder.matrix_in(layers, "mixer.fc2_latent_proj", up, latent, [features(hidden)], false);
    }
    let input = latent.unwrap_or(hidden);
    decoder.expert_matrix("mixer.experts.{}.up_proj", Role::ExpertUp, input, width, &experts)?;
    decoder.expert_matrix("mixer.experts.{}.down_proj", Role::ExpertDown, width, input, &experts)?;
    let shared = text.u64_or(&["n_shared_experts"], 1)?;
    if shared > 0 {
        let each = text.u64_or(&["moe_shared_expert_intermediate_size"], width)?;
        let width = each.saturating_mul(shared);
        let (up, down) = (Role::SharedExpertUp, Role::SharedExpertDown);
        decoder.matrix_in(layers, "mixer.shared_experts.up_proj", up, hidden, [features(width)], false);
        decoder.matrix_in(layers, "mixer.shared_experts.down_proj", down, width, [features(hidden)], false);
    }
    decoder.has_experts(experts);
    Ok(())
}

/// Layers by kind.
struct Pattern {
    state: IndexSet,
    attention: IndexSet,
    dense: IndexSet,
    experts: IndexSet,
}

impl Pattern {
    /// Reads `hybrid_override_pattern`: `M` Mamba 2, `*` attention, `-` feed-forward, `E` experts; or the list `layers_block_type`.
    fn read(text: &Fields<'_>, layers: u32) -> Result<Self, ConfigError> {
        let list = text.strings("layers_block_type")?;
        let kinds: Vec<char> = match text.optional_str("hybrid_override_pattern")? {
            Some(pattern) => pattern.chars().collect(),
            None => list
                .iter()
                .map(|name| match *name {
                    "mamba" => 'M',
                    "attention" => '*',
                    "mlp" => '-',
                    "moe" => 'E',
                    _ => '?',
                })
                .collect(),
        };
        check_length("hybrid_override_pattern", kinds.len(), layers)?;
        if let Some(other) = kinds.iter().find(|kind| !matches!(kind, 'M' | '*' | '-' | 'E')) {
            return Err(ConfigError::Wrong {
                field: "hybrid_override_pattern".to_owned(),
                found: other.to_string(),
                expected: "M, *, - or E for each layer",
            });
        }
        let of = |wanted: char| {
            IndexSet::from_indices((0..layers).zip(&kinds).filter(|(_, kind)| **kind == wanted).map(|(layer, _)| layer))
        };
        Ok(Self { state: of('M'), attention: of('*'), dense: of('-'), experts: of('E') })
    }
}
