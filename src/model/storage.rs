//! How a matrix is stored: as one weight, or as the tensors of a quantisation format.

use serde_json::Value;

use super::config::{ConfigError, Fields};
use super::{Module, Role};
use crate::profiles::{TensorProfile, quant_profile};
use crate::units::{DType, ceil_div};

/// Which features of a matrix a dimension counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Input features (K).
    Input,
    /// Output features (N).
    Output,
}

/// One dimension of a stored tensor: `ceil(features · times / per)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dim {
    /// What it counts.
    pub axis: Axis,
    /// Units of one feature: the bits of a weight packed into words, 1 elsewhere.
    pub times: u64,
    /// Units covered by one index: 1 for plain matrices, 32 bits for packed words, the group size for scales.
    pub per: u64,
    /// Whether every rank keeps the whole dimension although its features are divided: groups that do not follow the order of the
    /// features (GPTQ act-order), or a single group for all of them.
    pub uncut: bool,
}

impl Dim {
    /// Its size for a matrix of these features.
    #[must_use]
    pub fn size(&self, input: u64, output: u64) -> u64 {
        let features = match self.axis {
            Axis::Input => input,
            Axis::Output => output,
        };
        ceil_div(features.saturating_mul(self.times), self.per)
    }

    /// The index at which `feature` starts, or `None` when it lies inside an index (a cut there would split a word or a group).
    #[must_use]
    pub const fn index_of(&self, feature: u64) -> Option<u64> {
        let units = feature.saturating_mul(self.times);
        if self.per != 0 && units.is_multiple_of(self.per) { Some(units / self.per) } else { None }
    }

    /// One index per feature.
    #[must_use]
    pub const fn each(axis: Axis) -> Self {
        Self { axis, times: 1, per: 1, uncut: false }
    }
}

/// One tensor that a matrix is stored in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// Parameter suffix (`weight`, `qweight`).
    pub name: String,
    /// Element type; `None` is the model's.
    pub dtype: Option<DType>,
    /// Dimensions, outermost first.
    pub dims: Vec<Dim>,
}

impl StoredTensor {
    /// Its shape for a matrix of these features.
    #[must_use]
    pub fn shape(&self, input: u64, output: u64) -> Vec<u64> {
        self.dims.iter().map(|d| d.size(input, output)).collect()
    }
}

/// How a matrix is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Its tensors, without the bias.
    pub tensors: Vec<StoredTensor>,
}

impl Format {
    /// One weight, `output × input`.
    #[must_use]
    pub fn plain() -> Self {
        Self::weight([Axis::Output, Axis::Input])
    }

    /// One weight, `input × output`.
    #[must_use]
    pub fn transposed() -> Self {
        Self::weight([Axis::Input, Axis::Output])
    }

    fn weight(axes: [Axis; 2]) -> Self {
        let dims = axes.into_iter().map(Dim::each).collect();
        Self { tensors: vec![StoredTensor { name: "weight".to_owned(), dtype: None, dims }] }
    }
}

/// A bias: one value an output feature, in the model's element type whatever the format of the matrix.
#[must_use]
pub fn bias() -> StoredTensor {
    StoredTensor { name: "bias".to_owned(), dtype: None, dims: vec![Dim::each(Axis::Output)] }
}

/// `quantization_config` of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantization {
    /// `quant_method`.
    pub method: String,
    /// Bits of a weight.
    pub bits: u64,
    /// Inputs that share a scale; `None` is one group for all of them.
    pub group_size: Option<u64>,
    /// GPTQ act-order: rows were quantised in another order, so groups cannot be cut by rank.
    pub act_order: bool,
    /// Whether weights are symmetric around zero.
    pub symmetric: bool,
    /// How each quantised matrix is stored.
    pub format: Format,
    /// Whether the head is quantised too.
    lm_head: bool,
    /// Module names (or parts of them) left as they are.
    excluded: Vec<String>,
}

impl Quantization {
    /// Reads `quantization_config`, if the config has one.
    ///
    /// # Errors
    /// When the method is not known, or a field it needs is absent or malformed.
    pub fn from_config(fields: &Fields<'_>) -> Result<Option<Self>, ConfigError> {
        let Some(value) = fields.get("quantization_config").or_else(|| fields.get("compression_config")) else {
            return Ok(None);
        };
        let quant = Fields::new(value).map_err(|_| ConfigError::Wrong {
            field: "quantization_config".to_owned(),
            found: value.to_string(),
            expected: "an object",
        })?;
        let missing = |field: &str| ConfigError::Missing {
            model: fields.model_name().to_owned(),
            field: format!("quantization_config.{field}"),
        };
        let method = quant.optional_str("quant_method")?.ok_or_else(|| missing("quant_method"))?;
        let profile = quant_profile(method).ok_or_else(|| ConfigError::UnknownQuantization(method.to_owned()))?;
        let bits = quant.optional_u64(&["bits", "w_bit"])?.ok_or_else(|| missing("bits"))?;
        if !matches!(bits, 2 | 3 | 4 | 8) {
            return Err(ConfigError::Wrong {
                field: "quantization_config.bits".to_owned(),
                found: bits.to_string(),
                expected: "2, 3, 4 or 8",
            });
        }
        let group_size = group_size(&quant)?;
        let act_order = quant.bool_or("desc_act", false)?;
        let grouping = Grouping { size: group_size.unwrap_or(u64::MAX), uncut: group_size.is_none() || act_order };
        let tensors = profile.tensors.iter().map(|t| resolve(t, bits, grouping)).collect::<Result<_, _>>()?;
        let mut excluded: Vec<String> = Vec::new();
        for name in ["modules_to_not_convert", "ignore"] {
            excluded.extend(quant.strings(name)?.into_iter().map(str::to_owned));
        }
        Ok(Some(Self {
            method: method.to_ascii_lowercase(),
            bits,
            group_size,
            act_order,
            symmetric: quant.bool_or("sym", !quant.bool_or("zero_point", false)?)?,
            format: Format { tensors },
            lm_head: quant.bool_or("lm_head", false)?,
            excluded,
        }))
    }

    /// Whether `module` is stored quantised: every matrix of a layer that is not excluded by name; the head only when stated.
    #[must_use]
    pub fn applies_to(&self, module: &Module) -> bool {
        let by_role = match module.role {
            Role::LmHead => self.lm_head,
            role => role.is_matrix(),
        };
        by_role && !self.excluded.iter().any(|name| module.path.contains(name.as_str()))
    }
}

fn group_size(quant: &Fields<'_>) -> Result<Option<u64>, ConfigError> {
    match quant.get("group_size").or_else(|| quant.get("q_group_size")).and_then(Value::as_i64) {
        Some(-1) => Ok(None),
        _ => match quant.optional_u64(&["group_size", "q_group_size"])? {
            Some(0) => Err(ConfigError::Wrong {
                field: "quantization_config.group_size".to_owned(),
                found: "0".to_owned(),
                expected: "a positive number, or -1 for one group",
            }),
            other => Ok(other),
        },
    }
}

/// How inputs share scales.
#[derive(Debug, Clone, Copy)]
struct Grouping {
    size: u64,
    uncut: bool,
}

fn resolve(profile: &TensorProfile, bits: u64, grouping: Grouping) -> Result<StoredTensor, ConfigError> {
    let unreadable = || ConfigError::UnknownQuantization(format!("{} {}", profile.name, profile.dims.join(" × ")));
    let dtype = match profile.dtype.as_str() {
        "model" => None,
        name => Some(name.parse().map_err(|_| unreadable())?),
    };
    let dims = profile
        .dims
        .iter()
        .map(|text| {
            let (axis, per) = text.split_once('/').unwrap_or((text, "1"));
            let axis = match axis {
                "input" => Axis::Input,
                "output" => Axis::Output,
                _ => return Err(unreadable()),
            };
            Ok(match per {
                "pack" => Dim { times: bits, per: 32, ..Dim::each(axis) },
                "group" => Dim { per: grouping.size, uncut: grouping.uncut, ..Dim::each(axis) },
                number => Dim { per: number.parse().map_err(|_| unreadable())?, ..Dim::each(axis) },
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(StoredTensor { name: profile.name.clone(), dtype, dims })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn quantization(config: Value) -> Result<Option<Quantization>, ConfigError> {
        Quantization::from_config(&Fields::new(&json!({ "quantization_config": config })).unwrap())
    }

    #[test]
    fn awq_shapes() {
        let q = quantization(json!({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true}))
            .unwrap()
            .unwrap();
        let shapes: Vec<_> = q.format.tensors.iter().map(|t| (t.name.as_str(), t.shape(8192, 29696))).collect();
        assert_eq!(shapes, [("qweight", vec![8192, 3712]), ("qzeros", vec![64, 3712]), ("scales", vec![64, 29696])]);
        assert!(!q.symmetric && !q.act_order);
    }

    #[test]
    fn gptq_shapes_with_and_without_groups() {
        let q = quantization(json!({"quant_method": "gptq", "bits": 8, "group_size": -1, "desc_act": true}))
            .unwrap()
            .unwrap();
        let shapes: Vec<_> = q.format.tensors.iter().map(|t| t.shape(4096, 512)).collect();
        assert_eq!(shapes, [vec![1024, 512], vec![4096], vec![1, 512], vec![1, 128]]);
        assert!(q.act_order);
    }

    #[test]
    fn what_cannot_be_sized_is_refused() {
        assert!(matches!(
            quantization(json!({"quant_method": "magic", "bits": 4})),
            Err(ConfigError::UnknownQuantization(_))
        ));
        assert!(matches!(quantization(json!({"quant_method": "awq"})), Err(ConfigError::Missing { .. })));
        assert!(matches!(quantization(json!({"quant_method": "awq", "bits": 5})), Err(ConfigError::Wrong { .. })));
        assert!(matches!(
            quantization(json!({"quant_method": "awq", "bits": 4, "group_size": 0})),
            Err(ConfigError::Wrong { .. })
        ));
        assert_eq!(quantization(Value::Null), Ok(None));
    }
}
