//! What a checkpoint (or an engine while loading) does to its matrices.

use serde_json::Value;

use super::assign::Assigned;
use super::read;
use super::shape::Format;
use crate::model::config::{ConfigError, Fields};
use crate::model::{Instances, Module};
use crate::units::DType;

/// One way in which matrices of a checkpoint are stored; mixed checkpoints have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// Bits of a weight.
    pub bits: u64,
    /// Inputs that share a scale; `None` is one group for all of them.
    pub group_size: Option<u64>,
    /// GPTQ act-order: rows were quantised in another order, so groups cannot be cut by rank.
    pub act_order: bool,
    /// Whether weights are symmetric around zero.
    pub symmetric: bool,
    /// The tensors.
    pub format: Format,
}

/// Scales for the KV cache that a checkpoint brings or announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheScheme {
    /// Element type that the cache is meant to have.
    pub dtype: Option<DType>,
    /// Whether each key/value head has scales of its own.
    pub per_head: bool,
}

/// Quantisation of a model: `quantization_config`, `hf_quant_config.json`, or what an engine is told to do while loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantization {
    /// `quant_method`, in lower case (`awq`, `gptq`, `fp8`, `compressed-tensors`, `modelopt`, `modelopt_fp4`, `modelopt_mixed`, …).
    pub method: String,
    /// Bits of a weight, in the most common scheme.
    pub bits: u64,
    /// Inputs that share a scale, in the most common scheme.
    pub group_size: Option<u64>,
    /// GPTQ act-order, in the most common scheme.
    pub act_order: bool,
    /// Whether weights are symmetric around zero, in the most common scheme.
    pub symmetric: bool,
    /// The schemes, the most common one first.
    pub schemes: Vec<Scheme>,
    /// What the checkpoint says about the KV cache.
    pub cache: CacheScheme,
    /// Whether activations are quantised around another value than zero.
    pub asymmetric_input: bool,
    /// Whether the files hold plain matrices, and the engine quantises them while loading.
    pub at_load: bool,
    /// What was assumed for want of a field.
    pub assumptions: Vec<String>,
    /// Which modules are stored by which scheme.
    assigned: Assigned,
}

impl Quantization {
    /// Reads `quantization_config` (or the file that a publisher keeps beside the config) and finds out which of `modules` it is about. A
    /// module of which only some layers are quantised is split.
    ///
    /// # Errors
    /// When the method is not known, or a field it needs is absent or malformed.
    pub fn from_config(
        fields: &Fields<'_>,
        companion: Option<&Value>,
        modules: &mut Vec<Module>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(draft) = read::read(fields, companion)? else { return Ok(None) };
        Self::assign(draft, modules).map(Some)
    }

    /// Quantisation that an engine does while it loads plain matrices: `fp8`, `bitsandbytes`.
    ///
    /// # Errors
    /// When no such quantisation is known.
    pub fn while_loading(method: &str, modules: &mut Vec<Module>) -> Result<Self, ConfigError> {
        Self::assign(read::while_loading(method)?, modules)
    }

    fn assign(draft: read::Draft, modules: &mut Vec<Module>) -> Result<Self, ConfigError> {
        let assigned = Assigned::new(&draft, modules);
        let first = draft.schemes.first().ok_or_else(|| ConfigError::UnknownQuantization(draft.method.clone()))?;
        Ok(Self {
            bits: first.bits,
            group_size: first.group_size,
            act_order: first.act_order,
            symmetric: first.symmetric,
            method: draft.method,
            schemes: draft.schemes,
            cache: draft.cache,
            asymmetric_input: draft.asymmetric_input,
            at_load: draft.at_load,
            assumptions: draft.assumptions,
            assigned,
        })
    }

    /// How a module's matrix is stored; `None` when it is left as it is.
    #[must_use]
    pub fn scheme(&self, module: &Module) -> Option<&Scheme> {
        self.scheme_of(&module.path, &module.instances)
    }

    fn scheme_of(&self, path: &str, instances: &Instances) -> Option<&Scheme> {
        self.schemes.get(self.assigned.scheme(path, instances)?)
    }
}
