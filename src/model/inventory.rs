//! The tensors of a checkpoint, as templates over layers: derived from the config, comparable with the headers.

use std::collections::HashMap;

use super::{Instances, Kind, Model, Part, bias};
use crate::units::{Bytes, DType};

/// One tensor name with a `{}` for the layer, standing for all its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorTemplate {
    /// Name in the checkpoint.
    pub name: String,
    /// Where it occurs.
    pub instances: Instances,
    /// Part of the model.
    pub part: Part,
    /// Element type; `None` where the config states none.
    pub dtype: Option<DType>,
    /// Shape.
    pub shape: Vec<u64>,
}

impl TensorTemplate {
    /// Elements of one instance.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.shape.iter().copied().fold(1, u64::saturating_mul)
    }

    /// The names it stands for.
    pub fn names(&self) -> Vec<String> {
        self.instances.names(&self.name)
    }
}

/// A tensor about which config and headers disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disagreement {
    /// The config implies it; no file holds it.
    NotInFiles(String),
    /// A file holds it; the config does not imply it.
    NotInConfig(String),
    /// Other shape.
    Shape {
        /// Tensor.
        name: String,
        /// From the config.
        derived: Vec<u64>,
        /// From the header.
        stored: Vec<u64>,
    },
    /// Other element type.
    DType {
        /// Tensor.
        name: String,
        /// From the config.
        derived: DType,
        /// From the header.
        stored: DType,
    },
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotInFiles(name) => write!(f, "`{name}` follows from the config but is in no file"),
            Self::NotInConfig(name) => write!(f, "`{name}` is in a file but does not follow from the config"),
            Self::Shape { name, derived, stored } => {
                write!(f, "`{name}` has shape {stored:?} in its file, {derived:?} by the config")
            }
            Self::DType { name, derived, stored } => {
                write!(f, "`{name}` is {stored} in its file, {derived} by the config")
            }
        }
    }
}

impl Model {
    /// The tensors that the checkpoint holds by the config. A tied head has none of its own.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorTemplate> {
        let mut all = Vec::new();
        for module in self.modules.iter().filter(|m| m.tied_to.is_none()) {
            let dtype = module.dtype.or(self.dtype);
            let mut push = |name: &str, shape: Vec<u64>, dtype: Option<DType>| {
                let name = format!("{}.{name}", module.path);
                all.push(TensorTemplate { name, instances: module.instances.clone(), part: module.part, dtype, shape });
            };
            match &module.kind {
                Kind::Linear { input, output, bias: has_bias } | Kind::Conv1d { input, output, bias: has_bias } => {
                    let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
                    for tensor in self.format(module).in_files() {
                        push(&tensor.name, tensor.shape(*input, rows), tensor.dtype.or(dtype));
                    }
                    if *has_bias {
                        push(&bias().name, vec![rows], dtype);
                    }
                }
                Kind::Table { rows, width } => push("weight", vec![*rows, *width], dtype),
                Kind::Vectors { width, names } => {
                    for name in *names {
                        push(name, vec![*width], dtype);
                    }
                }
                Kind::Rows { output, parameters } => {
                    let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
                    for parameter in parameters {
                        let shape = std::iter::once(rows).chain(parameter.inner.iter().copied()).collect();
                        push(parameter.name, shape, dtype);
                    }
                }
                Kind::Stack(stack) => {
                    if self.is_quantised(module) {
                        for tensor in self.format(module).in_files() {
                            let name = format!("{}_{}", stack.name, tensor.name);
                            push(&name, stack.shape_of(tensor), tensor.dtype.or(dtype));
                        }
                    } else {
                        push(stack.name, stack.shape(), dtype);
                    }
                    if let Some(bias) = stack.bias {
                        push(bias, vec![u64::from(stack.experts), stack.rows()], dtype);
                    }
                }
                Kind::Buffers(_) => {}
                Kind::Tensors(tensors) => {
                    for (name, shape) in tensors {
                        push(name, shape.clone(), dtype);
                    }
                }
            }
        }
        all
    }

    /// Bytes of the checkpoint's tensors by the config; `None` when the config states no element type.
    #[must_use]
    pub fn checkpoint_bytes(&self) -> Option<Bytes> {
        self.tensors()
            .iter()
            .map(|t| t.dtype.map(|dtype| dtype.size(t.elements()) * t.instances.count()))
            .sum::<Option<Bytes>>()
    }

    /// Compares the derived tensors with those of the files, `(name, element type, shape)`.
    ///
    /// No disagreement are: a stored copy of a tied head and rotary tables that old checkpoints carry along, which engines skip; scales for
    /// the KV cache and descriptions of a quantisation, which they may use; one element as a scalar or as a vector; scales of another
    /// floating type, which are converted.
    #[must_use]
    pub fn disagreements<'a>(
        &self,
        stored: impl IntoIterator<Item = (&'a str, DType, &'a [u64])>,
    ) -> Vec<Disagreement> {
        let mut files: HashMap<&str, (DType, &[u64])> = stored.into_iter().map(|(n, d, s)| (n, (d, s))).collect();
        let mut found = Vec::new();
        for template in self.tensors() {
            for name in template.names() {
                match files.remove(name.as_str()) {
                    None => found.push(Disagreement::NotInFiles(name)),
                    Some((_, shape)) if !same_shape(shape, &template.shape) => {
                        let derived = template.shape.clone();
                        found.push(Disagreement::Shape { name, derived, stored: shape.to_vec() });
                    }
                    Some((dtype, _)) => {
                        if let Some(derived) = template.dtype.filter(|d| *d != dtype && !is_scale(&name, *d, dtype)) {
                            found.push(Disagreement::DType { name, derived, stored: dtype });
                        }
                    }
                }
            }
        }
        let tied = self.modules.iter().filter(|m| m.tied_to.is_some());
        for name in tied.map(|m| format!("{}.weight", m.path)) {
            files.remove(name.as_str());
        }
        let mut rest: Vec<_> = files.into_keys().filter(|n| !is_optional(n)).collect();
        rest.sort_unstable();
        found.extend(rest.into_iter().map(|n| Disagreement::NotInConfig(n.to_owned())));
        found
    }
}

/// Tensors that a config does not imply and engines can do without.
fn is_optional(name: &str) -> bool {
    const SUFFIXES: [&str; 9] = [
        ".rotary_emb.inv_freq",
        ".k_scale",
        ".v_scale",
        ".q_scale",
        ".kv_scale",
        ".output_scale",
        ".k_zero_point",
        ".v_zero_point",
        ".weight_format",
    ];
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) || name.contains(".quant_state.bitsandbytes__")
}

/// Whether two shapes are the same, a scalar counting as a vector of one.
fn same_shape(stored: &[u64], derived: &[u64]) -> bool {
    let single = |shape: &[u64]| shape.len() <= 1 && shape.iter().all(|size| *size == 1);
    stored == derived || (single(stored) && single(derived))
}

/// Whether a tensor is a scale that another floating type holds as well.
fn is_scale(name: &str, derived: DType, stored: DType) -> bool {
    let wide = |dtype: DType| matches!(dtype, DType::F16 | DType::BF16 | DType::F32);
    let last = name.rsplit('.').next().unwrap_or(name);
    last.contains("scale") && wide(derived) && wide(stored)
}
