//! What a tensor is, by the names that model authors give.

use super::super::super::{Part, Role};

/// How the outputs of a matrix are divided into heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heads {
    /// Not at all.
    None,
    /// Query heads.
    Queries,
    /// Key or value heads.
    KeyValues,
    /// Queries, keys and values, one after the other.
    All,
}

/// What a module is by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// What it does.
    pub role: Role,
    /// What it is counted under.
    pub part: Part,
    /// How its outputs are divided.
    pub heads: Heads,
}

const TOWERS: &[&str] = &["visual", "vision", "vit", "audio", "image", "siglip", "speech"];
const STATES: &[&str] = &["mamba", "mixer", "ssm", "linear_attn", "conv"];

/// Whether a path is part of a vision or audio tower, or joins one to the decoder.
pub fn in_tower(path: &str) -> bool {
    let joins = path.contains("multi_modal") || path.contains("projector");
    joins || path.split('.').any(|component| TOWERS.iter().any(|name| component.starts_with(name)))
}

/// Reads a module's path; `None` when its last name says nothing.
pub fn meaning(path: &str) -> Option<Meaning> {
    let last = path.rsplit('.').find(|component| *component != "{}")?;
    let within = |names: &[&str]| path.split('.').any(|component| names.iter().any(|name| component.contains(name)));
    let attention = within(&["attn", "attention"]);
    let shared = within(&["shared_expert"]);
    let routed = within(&["experts"]) && !shared;
    let says = |role, part, heads| Some(Meaning { role, part, heads });
    let whole = |role, part| says(role, part, Heads::None);
    match last {
        "q_proj" | "wq" | "query" => says(Role::QueryKeyValue, Part::Attention, Heads::Queries),
        "k_proj" | "v_proj" | "wk" | "wv" | "key" | "value" => {
            says(Role::QueryKeyValue, Part::Attention, Heads::KeyValues)
        }
        "qkv_proj" | "qkv" | "query_key_value" | "c_attn" | "Wqkv" | "wqkv" | "W_pack" => {
            says(Role::QueryKeyValue, Part::Attention, Heads::All)
        }
        "q_a_proj" | "kv_a_proj_with_mqa" => whole(Role::LatentDown, Part::Attention),
        "q_b_proj" => says(Role::LatentQuery, Part::Attention, Heads::Queries),
        "kv_b_proj" => says(Role::LatentKeyValue, Part::Attention, Heads::Queries),
        "q_a_layernorm" | "kv_a_layernorm" => whole(Role::LatentNorm, Part::Attention),
        "o_proj" | "wo" => whole(Role::AttentionOutput, Part::Attention),
        "out_proj" | "dense" | "c_proj" | "proj" if attention && !within(STATES) => {
            whole(Role::AttentionOutput, Part::Attention)
        }
        "gate_proj" | "up_proj" | "gate_up_proj" | "w1" | "w3" | "gate_up" if routed => {
            whole(Role::ExpertGateUp, Part::Experts)
        }
        "down_proj" | "w2" if routed => whole(Role::ExpertDown, Part::Experts),
        "gate_proj" | "up_proj" | "gate_up_proj" | "w1" | "w3" if shared => {
            whole(Role::SharedExpertGateUp, Part::SharedExpert)
        }
        "down_proj" | "w2" if shared => whole(Role::SharedExpertDown, Part::SharedExpert),
        "gate_proj" | "up_proj" | "gate_up_proj" | "w1" | "w3" | "gate_up" => whole(Role::GateUp, Part::Mlp),
        "fc1" | "fc_in" | "c_fc" | "dense_h_to_4h" | "linear_fc1" => whole(Role::Up, Part::Mlp),
        "down_proj" | "w2" | "fc2" | "fc_out" | "dense_4h_to_h" | "linear_fc2" => whole(Role::Down, Part::Mlp),
        "c_proj" => whole(Role::Down, Part::Mlp),
        "gate" | "router" => whole(Role::Router, Part::Router),
        "q_norm" | "k_norm" | "q_layernorm" | "k_layernorm" => whole(Role::QueryKeyNorm, Part::Attention),
        "embed_tokens" | "wte" | "word_embeddings" | "tok_embeddings" | "embed_in" | "embeddings" => {
            whole(Role::TokenEmbedding, Part::Embedding)
        }
        "wpe" | "embed_positions" | "position_embeddings" => whole(Role::PositionEmbedding, Part::Embedding),
        "lm_head" | "embed_out" | "output" | "output_layer" => whole(Role::LmHead, Part::LmHead),
        name if name.contains("norm") || name.starts_with("ln_") => whole(Role::Norm, Part::Norm),
        _ => None,
    }
}

/// Whether a path belongs to a layer that keeps a state instead of keys and values.
pub fn in_state_layer(path: &str) -> bool {
    path.ends_with("A_log") || path.split('.').any(|component| STATES.contains(&component))
}
