//! What a model is: its facts, its tensors, how its layers remember tokens.

mod architectures;
mod cache;
mod checkpoint;
pub mod config;
mod draft;
mod index;
mod inventory;
mod module;
mod part;
mod rope;
mod storage;
mod stored_names;

use std::sync::LazyLock;

use serde_json::Value;

pub use architectures::{Assumed, FAMILIES};
pub use cache::{CacheGroup, LayerCache, StateCache, StateKind};
pub use checkpoint::{Checkpoint, CheckpointFile, CheckpointTensor, DuplicateTensor, FileLocation};
pub use config::ConfigError;
pub use index::IndexSet;
pub use inventory::{Disagreement, TensorTemplate};
pub use module::{Buffer, ExpertStack, Instances, Kind, Module, Role, RowParameter, Segment, SegmentKind};
pub use part::Part;
pub use rope::{Rope, RopeScaling};
pub use storage::{Axis, CacheScheme, Dim, Format, Quantization, Scheme, StoredTensor, bias};

use crate::units::DType;
use config::Fields;

/// A model: everything that memory rules need to know, and nothing that depends on an engine or a card.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Hub id or folder name, when known.
    pub id: Option<String>,
    /// Architecture class, as in `architectures`.
    pub architecture: String,
    /// `model_type` of the language model.
    pub model_type: String,
    /// Element type that the config states.
    pub dtype: Option<DType>,
    /// Width of the hidden state.
    pub hidden_size: u64,
    /// Width of the widest dense feed-forward layer.
    pub intermediate_size: u64,
    /// Decoder layers.
    pub layers: u32,
    /// Query heads.
    pub attention_heads: u64,
    /// Key/value heads.
    pub kv_heads: u64,
    /// Width of an attention head.
    pub head_width: u64,
    /// Routed experts; `None` for models without.
    pub experts: Option<Experts>,
    /// Vocabulary without padding.
    pub vocab_size: u64,
    /// Whether the head shares the embedding.
    pub tied_embeddings: bool,
    /// Longest context that the config states, before any rope scaling; the engine applies its own rule.
    pub max_position: Option<u64>,
    /// Rotary embeddings, one per distinct table.
    pub ropes: Vec<Rope>,
    /// All modules, in the order of construction.
    pub modules: Vec<Module>,
    /// How the layers remember tokens.
    pub caches: Vec<CacheGroup>,
    /// Quantisation of the checkpoint.
    pub quantization: Option<Quantization>,
    /// Layers after the last that predict further tokens (MTP), which engines build when they draft with them.
    pub draft_layers: u32,
    /// Formats of matrices that are not quantised.
    plain: Format,
}

/// Facts on routed experts that activation peaks and refusals need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experts {
    /// Layers that have them.
    pub layers: IndexSet,
    /// Routed experts of a layer.
    pub count: u64,
    /// Experts that one token visits.
    pub per_token: u64,
    /// Width of an expert.
    pub intermediate_size: u64,
}

/// Format of plain matrices that are stored `input × output`.
static TRANSPOSED: LazyLock<Format> = LazyLock::new(Format::transposed);

/// Kinds of layers that configs name, of all families.
const LAYER_TYPES: &[&str] = &[
    "full_attention",
    "sliding_attention",
    "chunked_attention",
    "linear_attention",
    "deepseek_sparse_attention",
    "compressed_sparse_attention",
    "heavily_compressed_attention",
    "hybrid",
    "attention",
    "conv",
    "mamba",
    "mamba2",
    "moe",
    "mlp",
];

/// What no family needs and every config should keep to: a layer of a kind that nobody knows would be counted as another.
fn consistent(fields: &Fields<'_>, model: &Model) -> Result<(), ConfigError> {
    if let Some(unknown) = fields.text().strings("layer_types")?.into_iter().find(|name| !LAYER_TYPES.contains(name)) {
        return Err(ConfigError::Contradiction(format!(
            "`layer_types` names `{unknown}`, a kind of layer that is not known"
        )));
    }
    match &model.experts {
        Some(experts) if experts.per_token > experts.count => Err(ConfigError::Contradiction(format!(
            "a token visits {} experts, and a layer has {}",
            experts.per_token, experts.count
        ))),
        _ => Ok(()),
    }
}

impl Model {
    /// Derives a model from its `config.json` and, where a publisher keeps the quantisation apart, its `hf_quant_config.json`.
    ///
    /// # Errors
    /// When the architecture is not known, or a needed field is absent, malformed or contradicts another.
    pub fn from_config(config: &Value, quantization: Option<&Value>) -> Result<Self, ConfigError> {
        let fields = Fields::new(config)?;
        let family = architectures::family(&fields)?;
        let mut model = (family.build)(&fields)?;
        consistent(&fields, &model)?;
        model.draft_layers = draft::layers(&fields.text(), model.layers)?;
        model.quantization = Quantization::from_config(&fields, quantization, &mut model.modules)?;
        Ok(model)
    }

    /// The same model as an engine has it that quantises plain weights while loading: `fp8`, `bitsandbytes`.
    ///
    /// # Errors
    /// When no such quantisation is known.
    pub fn quantized_while_loading(&self, method: &str) -> Result<Self, ConfigError> {
        let mut model = self.clone();
        model.quantization = Some(Quantization::while_loading(method, &mut model.modules)?);
        Ok(model)
    }

    /// Reads a model of an architecture that no family claims from its tensors, `(name, element type, shape)` as in the headers; the config
    /// gives what shapes do not tell. What had to be assumed comes along and belongs before the reader's eyes.
    ///
    /// # Errors
    /// When no tensor is numbered by layer, or a field that shapes do not tell (`num_attention_heads`) is absent or malformed.
    pub fn from_tensors<'a>(
        config: &Value,
        tensors: impl IntoIterator<Item = (&'a str, DType, &'a [u64])>,
    ) -> Result<Assumed, ConfigError> {
        architectures::from_tensors(&Fields::new(config)?, tensors)
    }

    /// The same model under a name.
    #[must_use]
    pub fn named(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// How a module's matrix is stored in the checkpoint.
    #[must_use]
    pub fn format(&self, module: &Module) -> &Format {
        match self.quantization.as_ref().and_then(|quantization| quantization.scheme(module)) {
            Some(scheme) => &scheme.format,
            None if matches!(module.kind, Kind::Conv1d { .. }) => &TRANSPOSED,
            None => &self.plain,
        }
    }

    /// Whether the checkpoint stores a module's matrix in another form than plain.
    #[must_use]
    pub fn is_quantised(&self, module: &Module) -> bool {
        self.quantization.as_ref().is_some_and(|q| !q.at_load && q.scheme(module).is_some())
    }

    /// Parameters before quantisation, shared ones once: the figure on a model card.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let own = self.modules.iter().filter(|m| m.tied_to.is_none() && !m.is_buffer());
        own.map(|m| m.parameters().saturating_mul(m.instances.count())).fold(0, u64::saturating_add)
    }
}
