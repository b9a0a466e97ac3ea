//! Storage formats of quantised matrices: which tensors stand in for a weight, and their shapes.

use serde::Deserialize;

/// One storage format, as its file says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantProfile {
    /// Version of the file's layout.
    pub schema: u32,
    /// Short name.
    pub id: String,
    /// Values of `quant_method` in a config that mean this format.
    pub methods: Vec<String>,
    /// Where the shapes are taken from.
    pub source: String,
    /// The tensors of one matrix.
    #[serde(rename = "tensor")]
    pub tensors: Vec<TensorProfile>,
}

/// One tensor that a quantised matrix is stored in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorProfile {
    /// Parameter suffix.
    pub name: String,
    /// Element type as in a safetensors header, or `model` for the model's own.
    pub dtype: String,
    /// Sizes of its dimensions: `input`, `output` or `1`, divided by `pack`, `group` or a number.
    pub dims: Vec<String>,
}

/// The embedded files, by id.
const FILES: &[(&str, &str)] = &[
    ("awq", include_str!("../../profiles/quants/awq.toml")),
    ("gptq", include_str!("../../profiles/quants/gptq.toml")),
];

/// The profile for a config's `quant_method`; `None` when no file claims it.
#[must_use]
pub fn quant_profile(method: &str) -> Option<QuantProfile> {
    // A method names its file in all cases so far, so one file is parsed, not all.
    let by_id = FILES.iter().find(|(id, _)| id.eq_ignore_ascii_case(method));
    by_id
        .into_iter()
        .chain(FILES)
        .filter_map(|(_, text)| toml::from_str::<QuantProfile>(text).ok())
        .find(|profile| profile.methods.iter().any(|m| m.eq_ignore_ascii_case(method)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_parses_and_is_found_by_its_methods() {
        for (id, text) in FILES {
            let profile: QuantProfile = toml::from_str(text).unwrap();
            assert_eq!((&profile.id.as_str(), profile.schema), (id, 1));
            assert!(!profile.source.is_empty() && !profile.tensors.is_empty());
            for method in &profile.methods {
                assert_eq!(quant_profile(method).as_ref(), Some(&profile));
            }
        }
        assert_eq!(quant_profile("no-such-method"), None);
    }
}
