//! Rotary position embeddings: engines precompute tables whose size depends on the scaling rule.

use serde_json::Value;

use super::config::{ConfigError, Fields};

/// A rotary embedding of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Rotated features of a head.
    pub width: u64,
    /// `max_position_embeddings`.
    pub max_position: u64,
    /// How longer contexts are reached.
    pub scaling: RopeScaling,
}

/// `rope_scaling` of a config.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// None (`default`).
    None,
    /// Sections of a head rotate by time, height and width of an image (`mrope`).
    Multimodal,
    /// `linear`: positions divided by the factor.
    Linear(f64),
    /// `dynamic`: NTK-aware, by the factor.
    Dynamic(f64),
    /// `yarn`, with the length trained at first.
    Yarn {
        /// Extension factor.
        factor: f64,
        /// Length before the extension.
        original: u64,
    },
    /// `llama3`: by frequency, table length unchanged.
    Llama3,
    /// `longrope` or `su`: a short and a long table.
    LongRope {
        /// Length up to which the short table holds.
        original: u64,
    },
}

impl RopeScaling {
    /// Reads `rope_scaling` (or `rope_parameters` of newer configs).
    ///
    /// # Errors
    /// When a field that the kind needs is absent or malformed, or the kind is not known.
    pub fn from_config(fields: &Fields<'_>, max_position: u64) -> Result<Self, ConfigError> {
        let Some(scaling) = fields.get("rope_scaling").or_else(|| fields.get("rope_parameters")) else {
            return Ok(Self::None);
        };
        Self::from_object(scaling, fields, max_position)
    }

    /// As [`RopeScaling::from_config`], for configs that may state the scaling of full attention and of windows apart.
    ///
    /// # Errors
    /// As [`RopeScaling::from_config`].
    pub fn of_full_attention(fields: &Fields<'_>, max_position: u64) -> Result<Self, ConfigError> {
        match fields.get("rope_parameters").and_then(|parameters| parameters.get("full_attention")) {
            Some(scaling) => Self::from_object(scaling, fields, max_position),
            None => Self::from_config(fields, max_position),
        }
    }

    fn from_object(scaling: &Value, fields: &Fields<'_>, max_position: u64) -> Result<Self, ConfigError> {
        let scaling = Fields::new(scaling).map_err(|_| ConfigError::Wrong {
            field: "rope_scaling".to_owned(),
            found: scaling.to_string(),
            expected: "an object",
        })?;
        let kind =
            ["rope_type", "type"].iter().find_map(|n| scaling.get(n)).and_then(Value::as_str).unwrap_or("default");
        let factor = || -> Result<f64, ConfigError> {
            let factor = scaling.optional_f64("factor")?.ok_or_else(|| ConfigError::Missing {
                model: fields.model_name().to_owned(),
                field: "rope_scaling.factor".to_owned(),
            })?;
            if (0.0..=1e6).contains(&factor) {
                Ok(factor)
            } else {
                Err(ConfigError::Wrong {
                    field: "rope_scaling.factor".to_owned(),
                    found: factor.to_string(),
                    expected: "a factor between 0 and 1,000,000",
                })
            }
        };
        let original = || {
            scaling
                .optional_u64(&["original_max_position_embeddings"])?
                .map_or_else(|| fields.u64_or(&["original_max_position_embeddings"], max_position), Ok)
        };
        Ok(match kind {
            "default" | "mrope" if scaling.get("mrope_section").is_some() => Self::Multimodal,
            "default" | "mrope" | "proportional" => Self::None,
            "linear" => Self::Linear(factor()?),
            "dynamic" => Self::Dynamic(factor()?),
            "yarn" | "deepseek_yarn" => Self::Yarn { factor: factor()?, original: original()? },
            "llama3" => Self::Llama3,
            "longrope" | "su" => Self::LongRope { original: original()? },
            other => {
                return Err(ConfigError::Wrong {
                    field: "rope_scaling.rope_type".to_owned(),
                    found: other.to_owned(),
                    expected: "default, linear, dynamic, yarn, llama3 or longrope",
                });
            }
        })
    }
}
