//! DeepSeek: the first with experts, then V2, V3, R1 and V3.2 with latent attention; Kimi K2 and GLM-5, which are built alike, and Kimi K2.5,
//! which adds a vision tower.

use super::super::config::{ConfigError, Fields};
use super::super::{
    Buffer, Experts, IndexSet, Instances, Kind, LayerCache, Model, Module, Part, Role, Segment, SegmentKind,
};
use super::Family;
use super::blocks::{AttentionSizes, features};
use super::decoder::{Decoder, Facts, WEIGHT_AND_BIAS, heads, module, part_of};
use super::routed::{Attention, GATE_UP_DOWN, after_dense, layers_named, others};
use super::towers::{Tower, matrix, no_fields, vision_fields};
use crate::units::DType;

/// DeepSeek-MoE 16B: ordinary attention.
pub const DEEPSEEK: Family = Family {
    architectures: &["DeepseekForCausalLM"],
    model_types: &["deepseek"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "model.layers.{}")?;
        let attention = Attention::read(&decoder.text, decoder.hidden, None)?;
        let bias = decoder.text.bool_or("attention_bias", false)?;
        let attention = Attention { qkv_bias: bias, output_bias: bias, ..attention };
        let all = decoder.all.clone();
        decoder.attention_in(&all, "self_attn", &attention);
        decoder.full_caches(attention.sizes());
        finish(decoder, attention.sizes(), attention.key_width, false)
    },
};

/// DeepSeek V2 and V2-Lite.
pub const DEEPSEEK_V2: Family =
    Family { architectures: &["DeepseekV2ForCausalLM"], model_types: &["deepseek_v2"], build: |fields| latent(fields) };

/// DeepSeek V3, V3.1 and R1; Kimi K2, Moonlight, GLM-4.7-Flash.
pub const DEEPSEEK_V3: Family = Family {
    architectures: &["DeepseekV3ForCausalLM", "Glm4MoeLiteForCausalLM"],
    model_types: &["deepseek_v3", "kimi_k2", "glm4_moe_lite"],
    build: |fields| latent(fields),
};

/// DeepSeek V3.2: an indexer selects the tokens that attention reads.
pub const DEEPSEEK_V32: Family = Family {
    architectures: &["DeepseekV32ForCausalLM"],
    model_types: &["deepseek_v32"],
    build: |fields| latent(fields),
};

/// GLM-5: V3.2 with other sizes; from 5.2 on some layers share the selection of the layer before.
pub const GLM_MOE_DSA: Family =
    Family { architectures: &["GlmMoeDsaForCausalLM"], model_types: &["glm_moe_dsa"], build: |fields| latent(fields) };

/// Mistral 4: V2's attention, experts in every layer.
pub const MISTRAL4: Family =
    Family { architectures: &["Mistral4ForCausalLM"], model_types: &["mistral4"], build: |fields| latent(fields) };

/// MiniCPM 3: latent attention whose keys and values engines unfold before they keep them, no experts.
pub const MINICPM3: Family = Family {
    architectures: &["MiniCPM3ForCausalLM"],
    model_types: &["minicpm3"],
    build: |fields| {
        let mut model = latent(fields)?;
        for group in &mut model.caches {
            if let LayerCache::Latent { heads, key_width, .. } = group.cache {
                // Values are padded to the width of keys (vLLM `models/minicpm3.py`, `MiniCPM3Attention.forward`).
                group.cache = LayerCache::Full { kv_heads: heads, key_width, value_width: key_width };
            }
        }
        Ok(model)
    },
};

/// Kimi-VL: Moonlight with a tower for images.
pub const KIMI_VL: Family = Family {
    architectures: &["KimiVLForConditionalGeneration"],
    model_types: &["kimi_vl"],
    build: |fields| {
        let model = latent(fields)?;
        let none = no_fields();
        let names = ["pre_norm", "linear_1", "linear_2"].map(|name| format!("multi_modal_projector.{name}"));
        let tower = moon_vit(&vision_fields(fields, &none)?, model.hidden_size, false, names)?;
        Ok(behind(model, tower))
    },
};

/// Kimi K2.5 and later: Kimi K2 with a vision tower.
pub const KIMI_K25: Family = Family {
    architectures: &["KimiK25ForConditionalGeneration"],
    model_types: &["kimi_k25"],
    build: |fields| {
        let model = latent(fields)?;
        let none = no_fields();
        let names = ["pre_norm", "proj.0", "proj.2"].map(|name| format!("mm_projector.{name}"));
        let tower = moon_vit(&vision_fields(fields, &none)?, model.hidden_size, true, names)?;
        Ok(behind(model, tower))
    },
};

/// Puts a decoder below `language_model`, its tower before it.
fn behind(mut model: Model, tower: Vec<Module>) -> Model {
    let nest = |path: &str| format!("language_model.{path}");
    for module in &mut model.modules {
        module.path = nest(&module.path);
        module.tied_to = module.tied_to.as_deref().map(nest);
    }
    model.modules.splice(0..0, tower);
    model
}

/// Kimi's tower, of images and video: patches by a convolution, a table of positions that is stretched to the image, a projector that
/// engines keep whole.
fn moon_vit(
    vision: &Fields<'_>,
    text_width: u64,
    video: bool,
    projector: [String; 3],
) -> Result<Vec<Module>, ConfigError> {
    let width = vision.u64_or(&["vt_hidden_size", "hidden_size"], 1152)?;
    let intermediate = vision.u64_or(&["vt_intermediate_size", "intermediate_size"], 4304)?;
    let head_count = vision.u64_or(&["vt_num_attention_heads", "num_attention_heads"], 16)?;
    let depth = vision.u64_or(&["vt_num_hidden_layers", "num_hidden_layers"], 27)?;
    let patch = vision.u64_or(&["patch_size"], 14)?;
    let (rows, columns) = (vision.u64_or(&["init_pos_emb_height"], 64)?, vision.u64_or(&["init_pos_emb_width"], 64)?);
    let frames = vision.u64_or(&["init_pos_emb_time"], 4)?;
    let attention = heads(width, head_count, head_count)?;
    let mut tower = Tower::new("vision_tower", "encoder.blocks.{}", depth, width)?;
    tower.patches("patch_embed.proj", vec![3, patch, patch], true);
    let positions = Kind::Tensors(vec![("weight".to_owned(), vec![rows, columns, width])]);
    tower.single("patch_embed.pos_emb", Role::TowerEmbedding, positions);
    if video {
        let moments = Buffer { name: "time_weight", dtype: DType::BF16, shape: vec![frames, 1, width] };
        tower.buffer("patch_embed.pos_emb", moments);
    }
    tower.norm("norm0", WEIGHT_AND_BIAS);
    tower.norm("norm1", WEIGHT_AND_BIAS);
    let joint = Kind::Linear { input: width, output: attention.fused(), bias: true };
    tower.every("wqkv", Role::QueryKeyValue, joint);
    tower.matrix("wo", Role::AttentionOutput, width, width, true);
    tower.matrix("mlp.fc0", Role::Up, width, intermediate, true);
    tower.matrix("mlp.fc1", Role::Down, intermediate, width, true);
    tower.single_norm("encoder.final_layernorm", width, WEIGHT_AND_BIAS);
    let mut modules = tower.finish();
    let kernel = vision.numbers("merge_kernel_size")?;
    let merged = kernel.iter().copied().fold(width, u64::saturating_mul);
    let single = |path: &str, role, kind| module(path, Instances::First, Part::Vision, role, kind);
    let [pre_norm, first, last] = projector;
    modules.push(single(&pre_norm, Role::Norm, Kind::Vectors { width, names: WEIGHT_AND_BIAS }));
    modules.push(single(&first, Role::Projector, matrix(merged, merged, true)));
    modules.push(single(&last, Role::Projector, matrix(merged, text_width, true)));
    Ok(modules)
}

/// Widths of latent attention.
#[derive(Debug, Clone, Copy)]
pub struct Latent {
    heads: u64,
    /// Width of low-rank queries; `None` when queries come straight from the hidden state.
    query_rank: Option<u64>,
    rank: u64,
    /// Parts of a query or key without and with rotation.
    plain: u64,
    rope: u64,
    value: u64,
}

impl Latent {
    /// Reads the widths.
    pub fn read(text: &Fields<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            heads: text.u64(&["num_attention_heads"])?,
            query_rank: text.optional_u64(&["q_lora_rank"])?.filter(|rank| *rank > 0),
            rank: text.u64(&["kv_lora_rank"])?,
            plain: text.u64(&["qk_nope_head_dim"])?,
            rope: text.u64(&["qk_rope_head_dim"])?,
            value: text.u64(&["v_head_dim"])?,
        })
    }

    const fn key(&self) -> u64 {
        self.plain.saturating_add(self.rope)
    }

    const fn heads_of(&self, width: u64) -> Segment {
        Segment { rows: self.heads.saturating_mul(width), kind: SegmentKind::QueryHeads(self.heads) }
    }

    /// Adds the projections of such layers.
    pub fn add(&self, decoder: &mut Decoder<'_>, layers: &IndexSet, bias: bool) {
        let hidden = decoder.hidden;
        let joint = [features(self.rank.saturating_add(self.rope))];
        let queries = self.heads_of(self.key());
        match self.query_rank {
            Some(rank) => {
                decoder.matrix_in(layers, "self_attn.q_a_proj", Role::LatentDown, hidden, [features(rank)], bias);
                decoder.matrix_in(layers, "self_attn.kv_a_proj_with_mqa", Role::LatentDown, hidden, joint, bias);
                decoder.vector_in(layers, "self_attn.q_a_layernorm", Role::LatentNorm, rank);
                decoder.matrix_in(layers, "self_attn.q_b_proj", Role::LatentQuery, rank, [queries], false);
            }
            None => {
                decoder.matrix_in(layers, "self_attn.q_proj", Role::LatentQuery, hidden, [queries], false);
                decoder.matrix_in(layers, "self_attn.kv_a_proj_with_mqa", Role::LatentDown, hidden, joint, bias);
            }
        }
        decoder.vector_in(layers, "self_attn.kv_a_layernorm", Role::LatentNorm, self.rank);
        let unfolded = [self.heads_of(self.plain.saturating_add(self.value))];
        decoder.matrix_in(layers, "self_attn.kv_b_proj", Role::LatentKeyValue, self.rank, unfolded, false);
        let values = self.heads.saturating_mul(self.value);
        let output = [features(hidden)];
        decoder.matrix_in(layers, "self_attn.o_proj", Role::AttentionOutput, values, output, bias);
    }

    /// Heads and width for a model's summary.
    pub const fn sizes(&self) -> AttentionSizes {
        AttentionSizes { heads: self.heads, kv_heads: 1, head_width: self.key() }
    }

    /// The latent vector and the rotated key of a token.
    pub fn cache(&self, sparse: bool) -> LayerCache {
        LayerCache::Latent {
            rank: self.rank,
            rope: self.rope,
            sparse,
            heads: self.heads,
            key_width: self.key(),
            value_width: self.value,
        }
    }
}

fn latent(fields: &Fields<'_>) -> Result<Model, ConfigError> {
    let mut decoder = Decoder::new(fields, "model.layers.{}")?;
    let text = decoder.text;
    let sizes = Latent::read(&text)?;
    let bias = text.bool_or("attention_bias", false)?;
    let all = decoder.all.clone();
    sizes.add(&mut decoder, &all, bias);
    let sparse = indexer(&mut decoder, &sizes)?;
    decoder.cache(all, sizes.cache(sparse));
    finish(decoder, sizes.sizes(), sizes.rope, true)
}

/// The indexer of sparse attention, where the model has one: queries from the low-rank ones, one key a token, a weight a head.
fn indexer(decoder: &mut Decoder<'_>, sizes: &Latent) -> Result<bool, ConfigError> {
    let text = decoder.text;
    let Some(heads) = text.optional_u64(&["index_n_heads"])? else { return Ok(false) };
    let Some(rank) = sizes.query_rank else {
        return Err(ConfigError::Contradiction(
            "`index_n_heads` asks for an indexer, which works on low-rank queries, and `q_lora_rank` is absent"
                .to_owned(),
        ));
    };
    let width = text.u64(&["index_head_dim"])?;
    let hidden = decoder.hidden;
    // Layers of type `shared` use the selection of the layer before.
    let layers = match layers_named(&text, "indexer_types", decoder.layers, "full")? {
        Some(layers) => layers,
        None => decoder.all.clone(),
    };
    let queries = [features(heads.saturating_mul(width))];
    decoder.matrix_in(&layers, "self_attn.indexer.wq_b", Role::IndexerQuery, rank, queries, false);
    decoder.matrix_in(&layers, "self_attn.indexer.wk", Role::IndexerKey, hidden, [features(width)], false);
    let norm = Kind::Vectors { width, names: WEIGHT_AND_BIAS };
    decoder.in_layers(&layers, "self_attn.indexer.k_norm", part_of(Role::IndexerNorm), Role::IndexerNorm, norm);
    let weights = [features(heads)];
    decoder.matrix_in(&layers, "self_attn.indexer.weights_proj", Role::IndexerWeights, hidden, weights, false);
    let chosen = text.u64_or(&["index_topk"], 2048)?;
    decoder.cache(layers, LayerCache::Indexer { width, chosen });
    Ok(true)
}

/// Norms, feed-forward layers and ends; attention and caches are there already.
fn finish(
    mut decoder: Decoder<'_>,
    attention: AttentionSizes,
    rotated: u64,
    latent: bool,
) -> Result<Model, ConfigError> {
    let text = decoder.text;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", false)?;
    let max_position = text.optional_u64(&["max_position_embeddings"])?;
    let intermediate = text.u64(&["intermediate_size"])?;
    let experts = Experts {
        layers: after_dense(&text, decoder.layers, 0)?,
        count: text.u64_or(&["n_routed_experts"], 0)?,
        per_token: text.u64_or(&["num_experts_per_tok"], 1)?,
        intermediate_size: text.u64_or(&["moe_intermediate_size"], intermediate)?,
    };
    // Without experts all layers are dense.
    let experts = if experts.count == 0 { Experts { layers: IndexSet::default(), ..experts } } else { experts };
    let dense = others(decoder.layers, &experts.layers);
    decoder.llama_norms();
    decoder.gated_mlp(&dense, "mlp", intermediate, false);
    if !experts.layers.is_empty() {
        decoder.router(&experts.layers, "mlp.gate", experts.count, false);
        // V2 and before balance by loss; from V3 on a bias does.
        let balanced = match text.optional_str("topk_method")? {
            Some(method) => method == "noaux_tc",
            None => latent && !matches!(text.model_name(), "deepseek_v2" | "mistral4"),
        };
        if balanced {
            decoder.router_bias(&experts.layers, "mlp.gate", "e_score_correction_bias", experts.count);
        }
        decoder.routed_experts("mlp.experts", GATE_UP_DOWN, &experts)?;
        let shared = text.u64_or(&["n_shared_experts"], 0)?;
        if shared > 0 {
            let width = shared.saturating_mul(experts.intermediate_size);
            decoder.shared_expert(&experts.layers, "mlp.shared_experts", width);
        }
        decoder.has_experts(experts);
    }
    decoder.llama_ends(vocab, tied);
    if let Some(max_position) = max_position {
        decoder.rope(rotated, max_position)?;
    }
    decoder.finish(Facts { attention, intermediate, vocab, tied, max_position })
}
