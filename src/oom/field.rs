//! Numbers and words that a message states, named with their unit.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Bytes;

/// What a field holds. The unit is the suffix of its name: `requested_mib`, `total_gib`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(f64),
    /// Several, in the order of the message.
    Numbers(Vec<f64>),
    /// Words.
    Text(String),
}

impl Value {
    /// The number, where it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Numbers(_) | Self::Text(_) => None,
        }
    }

    /// Reads the text of a group. A size with a unit is converted to the unit of the name.
    pub(super) fn read(name: &str, text: &str, number_unit: Option<&str>) -> Self {
        let text = text.trim();
        if is_text(name) {
            return Self::Text(text.to_owned());
        }
        let Some((number, unit)) = split(text) else { return Self::Text(text.to_owned()) };
        let unit = if unit.is_empty() { number_unit.unwrap_or("") } else { unit };
        match (factor(unit), unit_of(name).and_then(factor)) {
            (Some(from), Some(to)) if (from - to).abs() > f64::EPSILON => Self::Number(round(number * from / to)),
            _ => Self::Number(number),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Numbers(numbers) => {
                let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(", "))
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Fields whose digits are no quantity.
fn is_text(name: &str) -> bool {
    name.ends_with("version") || name.ends_with("_list") || matches!(name, "bus" | "mig" | "segment" | "task" | "model")
}

fn unit_of(name: &str) -> Option<&str> {
    let suffix = name.trim_end_matches("_each").rsplit('_').next()?;
    matches!(suffix, "bytes" | "kib" | "mib" | "gib").then_some(suffix)
}

/// Bytes of a binary unit. SGLang's and old vLLM's "GB" keep their name and are not converted.
fn factor(unit: &str) -> Option<f64> {
    match unit {
        "bytes" | "B" => Some(1.0),
        "kib" | "K" | "KiB" | "KB" => Some(1024.0),
        "mib" | "M" | "MiB" | "MB" => Some(1_048_576.0),
        "gib" | "G" | "GiB" | "GB" => Some(1_073_741_824.0),
        "T" | "TiB" | "TB" => Some(1_099_511_627_776.0),
        _ => None,
    }
}

/// Number and unit of `1.74 GiB`, `150,745`, `27GiB`.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '_' | '-'))).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let plain: String = digits.trim_end_matches(['.', ',']).chars().filter(|c| !matches!(c, ',' | '_')).collect();
    let number = plain.parse::<f64>().ok().filter(|n| n.is_finite())?;
    let unit = unit.trim();
    (unit.is_empty() || factor(unit).is_some()).then_some((number, unit))
}

fn round(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

/// Bytes of a field by the unit in its name; `None` for negative or absurd numbers.
pub(super) fn bytes(name: &str, number: f64) -> Option<Bytes> {
    let factor = match name.rsplit('_').next() {
        Some("gb") => 1_073_741_824.0,
        Some("mb") => 1_048_576.0,
        Some(suffix) => factor(suffix)?,
        None => return None,
    };
    let bytes = number * factor;
    (bytes.is_finite() && (0.0..1e18).contains(&bytes)).then(|| Bytes(bytes.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_the_name() {
        for (name, text, value) in [
            ("requested_mib", "1.74 GiB", Value::Number(1781.76)),
            ("free_mib", "448.00 KiB", Value::Number(0.4375)),
            ("free_mib", "0 bytes", Value::Number(0.0)),
            ("free_mib", "52.44 M", Value::Number(52.44)),
            ("weights_gb", "19.9073", Value::Number(19.9073)),
            ("kv_capacity_tokens", "150,745", Value::Number(150_745.0)),
            ("engine_version", "0.12", Value::Text("0.12".into())),
            ("constraint", "CONSTRAINT_MEMCG", Value::Text("CONSTRAINT_MEMCG".into())),
        ] {
            assert_eq!(Value::read(name, text, None), value, "{name} {text}");
        }
        assert_eq!(Value::read("requested_mib", "20971520", Some("bytes")), Value::Number(20.0));
        assert_eq!(bytes("requested_mib", 2.0), Some(Bytes::mib(2)));
        assert_eq!(bytes("kv_available_gib", -2.77), None);
    }
}
