//! Reading a `config.json`: each field by name, with limits, nothing guessed.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::units::DType;

/// What is wrong with a config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a JSON object at all.
    #[error("the config is not a JSON object")]
    NotAnObject,
    /// A needed field is absent or null.
    #[error("the config of this `{model}` model lacks `{field}`")]
    Missing {
        /// `model_type` or architecture.
        model: String,
        /// The field, or its alternatives joined by "or".
        field: String,
    },
    /// A field has another type than it must have.
    #[error("`{field}` in the config is `{found}`, which is not {expected}")]
    Wrong {
        /// The field.
        field: String,
        /// Its value, shortened.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A number beyond what any model has; it would overflow sums later.
    #[error("`{field}` in the config is {value}; the largest value taken is {limit}")]
    TooLarge {
        /// The field.
        field: String,
        /// Its value.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// Two fields contradict each other.
    #[error("the config contradicts itself: {0}")]
    Contradiction(String),
    /// Tensors without layers: no rule can be read from them.
    #[error("no tensor's name has a layer's number, so the architecture cannot be read from the tensors")]
    NoLayers,
    /// No family claims the architecture.
    #[error(
        "the architecture `{0}` is not known, and a config alone does not tell its tensors; the checkpoint's headers do"
    )]
    UnknownArchitecture(String),
    /// Neither `architectures` nor `model_type`.
    #[error("the config names no architecture: `architectures` and `model_type` are both absent")]
    NoArchitecture,
    /// A quantisation that cannot be sized.
    #[error("the quantisation method `{0}` is not known")]
    UnknownQuantization(String),
}

/// Largest value of any size field: 2^27 covers every vocabulary and width and keeps products of two below 2^54.
const LIMIT: u64 = 1 << 27;

/// The fields of one object of a config, with the enclosing object as fallback for nested configs.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    inner: &'a Map<String, Value>,
    outer: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The top level of a config.
    ///
    /// # Errors
    /// When it is no object.
    pub fn new(config: &'a Value) -> Result<Self, ConfigError> {
        config.as_object().map(|inner| Self { inner, outer: None }).ok_or(ConfigError::NotAnObject)
    }

    /// A nested object by name, this one as its fallback.
    #[must_use]
    pub fn nested(&self, name: &str) -> Option<Self> {
        self.inner.get(name).and_then(Value::as_object).map(|inner| Self { inner, outer: Some(self.inner) })
    }

    /// The language model's own fields: multimodal configs keep them one level down under one of a few names.
    #[must_use]
    pub fn text(&self) -> Self {
        ["text_config", "language_config", "llm_config"].iter().find_map(|name| self.nested(name)).unwrap_or(*self)
    }

    /// A field that is present and not null, here or in the enclosing config.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        let present = |map: &'a Map<String, Value>| map.get(name).filter(|v| !v.is_null());
        present(self.inner).or_else(|| self.outer.and_then(present))
    }

    /// The whole config once more, with fields of a nested object that it leaves to the defaults of a class filled in.
    #[must_use]
    pub fn with_nested_defaults(&self, name: &str, defaults: &[(&str, u64)]) -> Value {
        let mut config = self.inner.clone();
        if let Some(nested) = config.get_mut(name).and_then(Value::as_object_mut) {
            for (field, value) in defaults {
                nested.entry(*field).or_insert_with(|| Value::from(*value));
            }
        }
        Value::Object(config)
    }

    /// What to call the model in messages.
    #[must_use]
    pub fn model_name(&self) -> &'a str {
        self.get("model_type").and_then(Value::as_str).or_else(|| self.architecture()).unwrap_or("unnamed")
    }

    /// The first entry of `architectures`.
    #[must_use]
    pub fn architecture(&self) -> Option<&'a str> {
        self.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str)
    }

    fn wrong(name: &str, value: &Value, expected: &'static str) -> ConfigError {
        let mut found = value.to_string();
        if found.len() > 60 {
            found = found.chars().take(57).collect();
            let _ = write!(found, "…");
        }
        ConfigError::Wrong { field: name.to_owned(), found, expected }
    }

    /// A non-negative whole number under the first of `names` that is present.
    ///
    /// # Errors
    /// When it is no such number, or beyond any model.
    pub fn optional_u64(&self, names: &[&str]) -> Result<Option<u64>, ConfigError> {
        let Some((name, value)) = names.iter().find_map(|n| self.get(n).map(|v| (*n, v))) else {
            return Ok(None);
        };
        // Some configs write whole numbers as `1.0e6`.
        let whole = value
            .as_u64()
            .or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && (0.0..9.0e15).contains(f)).map(|f| f as u64));
        let number = whole.ok_or_else(|| Self::wrong(name, value, "a non-negative whole number"))?;
        if number > LIMIT {
            return Err(ConfigError::TooLarge { field: name.to_owned(), value: number, limit: LIMIT });
        }
        Ok(Some(number))
    }

    /// A whole number of at least 1 that must be there, under the first of `names` that is.
    ///
    /// # Errors
    /// When it is absent, zero, or no number.
    pub fn u64(&self, names: &[&str]) -> Result<u64, ConfigError> {
        match self.optional_u64(names)? {
            Some(0) => Err(ConfigError::Wrong {
                field: names.join("` or `"),
                found: "0".to_owned(),
                expected: "a positive whole number",
            }),
            Some(number) => Ok(number),
            None => Err(ConfigError::Missing { model: self.model_name().to_owned(), field: names.join("` or `") }),
        }
    }

    /// A whole number with the default of the model's own config class.
    ///
    /// # Errors
    /// When it is present and no number.
    pub fn u64_or(&self, names: &[&str], default: u64) -> Result<u64, ConfigError> {
        Ok(self.optional_u64(names)?.unwrap_or(default))
    }

    /// Number of layers: as [`Fields::u64`], at most 4096.
    ///
    /// # Errors
    /// When it is absent, zero, no number or beyond any model.
    pub fn layer_count(&self, names: &[&str]) -> Result<u32, ConfigError> {
        let layers = self.u64(names)?;
        match u32::try_from(layers) {
            Ok(n) if n <= 4096 => Ok(n),
            _ => Err(ConfigError::TooLarge { field: names.join("` or `"), value: layers, limit: 4096 }),
        }
    }

    /// A truth value with the default of the model's own config class.
    ///
    /// # Errors
    /// When it is present and neither true nor false.
    pub fn bool_or(&self, name: &str, default: bool) -> Result<bool, ConfigError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| Self::wrong(name, value, "true or false")),
        }
    }

    /// A number with decimals.
    ///
    /// # Errors
    /// When it is present and no finite number.
    pub fn optional_f64(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(f) if f.is_finite() => Ok(Some(f)),
                _ => Err(Self::wrong(name, value, "a number")),
            },
        }
    }

    /// The rotated share of a head's width, by a factor with the default of the model's own config class.
    ///
    /// # Errors
    /// When the factor is present and no number.
    pub fn rotated(&self, head_width: u64, name: &str, default: f64) -> Result<u64, ConfigError> {
        let factor = self.optional_f64(name)?.unwrap_or(default).clamp(0.0, 1.0);
        Ok((head_width as f64 * factor) as u64)
    }

    /// A text.
    ///
    /// # Errors
    /// When it is present and no text.
    pub fn optional_str(&self, name: &str) -> Result<Option<&'a str>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| Self::wrong(name, value, "a text")),
        }
    }

    /// A list of texts; absent is empty.
    ///
    /// # Errors
    /// When it is present and not such a list.
    pub fn strings(&self, name: &str) -> Result<Vec<&'a str>, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_str).collect())
            .ok_or_else(|| Self::wrong(name, value, "a list of texts"))
    }

    /// A list of whole numbers; absent is empty.
    ///
    /// # Errors
    /// When it is present and not such a list.
    pub fn numbers(&self, name: &str) -> Result<Vec<u64>, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_u64).collect())
            .ok_or_else(|| Self::wrong(name, value, "a list of whole numbers"))
    }

    /// The element type that the config states (`torch_dtype`, in newer files `dtype`).
    ///
    /// # Errors
    /// When it is present and no element type.
    pub fn dtype(&self) -> Result<Option<DType>, ConfigError> {
        for name in ["torch_dtype", "dtype"] {
            if let Some(value) = self.get(name) {
                let text = value.as_str().ok_or_else(|| Self::wrong(name, value, "an element type"))?;
                return text.parse().map(Some).map_err(|_| Self::wrong(name, value, "an element type"));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_fields_fall_back_to_the_outer_ones() {
        let config = json!({"tie_word_embeddings": false, "text_config": {"hidden_size": 64, "head_dim": null}});
        let text = Fields::new(&config).unwrap().text();
        assert_eq!(text.u64(&["hidden_size"]), Ok(64));
        assert_eq!(text.bool_or("tie_word_embeddings", true), Ok(false));
        assert_eq!(text.optional_u64(&["head_dim"]), Ok(None));
    }

    #[test]
    fn bad_fields_are_named() {
        let config = json!({"model_type": "llama", "a": -1, "b": "x", "c": 0, "d": 1u64 << 40, "e": 1.5, "f": 1e6});
        let fields = Fields::new(&config).unwrap();
        assert_eq!(
            fields.u64(&["hidden_size", "n_embd"]),
            Err(ConfigError::Missing { model: "llama".into(), field: "hidden_size` or `n_embd".into() })
        );
        for name in ["a", "b", "e"] {
            assert!(matches!(fields.u64(&[name]), Err(ConfigError::Wrong { .. })), "{name}");
        }
        assert!(matches!(fields.u64(&["c"]), Err(ConfigError::Wrong { .. })));
        assert!(matches!(fields.u64(&["d"]), Err(ConfigError::TooLarge { .. })));
        assert_eq!(fields.u64(&["f"]), Ok(1_000_000));
        assert_eq!(Fields::new(&json!([])).err(), Some(ConfigError::NotAnObject));
    }
}
