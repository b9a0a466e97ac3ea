//! The index of a checkpoint in several files (`model.safetensors.index.json`): which tensor lies in which file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::safetensors::MAX_TENSORS;

/// Most files that an index may name. The largest published checkpoints have a few hundred.
pub const MAX_FILES: usize = 10_000;

/// An index, its file names checked to stay inside the checkpoint's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightIndex {
    /// File of each tensor.
    pub weight_map: BTreeMap<String, String>,
    /// The files, each once, in the order of their names.
    pub files: Vec<String>,
}

/// What can be wrong with an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexProblem {
    /// No JSON, or the `weight_map` is missing or no map of names to names.
    #[error("cannot be read as an index: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The `weight_map` is empty.
    #[error("has an empty `weight_map`")]
    Empty,
    /// A tensor is given two files.
    #[error("lists tensor `{0}` twice")]
    Duplicate(String),
    /// More tensors than any checkpoint has.
    #[error("lists more than {0} tensors")]
    TooManyTensors(usize),
    /// More files than any checkpoint has.
    #[error("names more than {0} files")]
    TooManyFiles(usize),
    /// A file name that leaves the folder.
    #[error("names the file `{file}` for tensor `{tensor}`, which is outside its folder")]
    Outside {
        /// The name.
        file: String,
        /// The first tensor that has it.
        tensor: String,
    },
    /// A file of another format.
    #[error("names the file `{file}` for tensor `{tensor}`, which is not a `.safetensors` file")]
    OtherFormat {
        /// The name.
        file: String,
        /// The first tensor that has it.
        tensor: String,
    },
}

impl WeightIndex {
    /// Reads an index from the bytes of its file.
    ///
    /// # Errors
    /// Each fault has its own [`IndexProblem`].
    pub fn parse(json: &[u8]) -> Result<Self, IndexProblem> {
        let IndexFile { weight_map: WeightMap(pairs) } = serde_json::from_slice(json)?;
        if pairs.is_empty() {
            return Err(IndexProblem::Empty);
        }
        if pairs.len() > MAX_TENSORS {
            return Err(IndexProblem::TooManyTensors(MAX_TENSORS));
        }
        let mut weight_map = BTreeMap::new();
        let mut files = BTreeSet::new();
        for (tensor, file) in pairs {
            if !files.contains(&file) {
                check_file_name(&tensor, &file)?;
                files.insert(file.clone());
            }
            if files.len() > MAX_FILES {
                return Err(IndexProblem::TooManyFiles(MAX_FILES));
            }
            if weight_map.contains_key(&tensor) {
                return Err(IndexProblem::Duplicate(tensor));
            }
            weight_map.insert(tensor, file);
        }
        Ok(Self { weight_map, files: files.into_iter().collect() })
    }
}

/// Only plain names and names in subfolders pass. Backslashes and drive letters would leave the folder on another system.
fn check_file_name(tensor: &str, file: &str) -> Result<(), IndexProblem> {
    let path = Path::new(file);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)))
        && !file.is_empty()
        && !file.contains(['\\', ':', '\0', '?', '#', '%']);
    let (tensor, name) = (tensor.to_owned(), file.to_owned());
    if !inside {
        return Err(IndexProblem::Outside { file: name, tensor });
    }
    if !file.ends_with(".safetensors") {
        return Err(IndexProblem::OtherFormat { file: name, tensor });
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct IndexFile {
    weight_map: WeightMap,
}

/// Pairs in file order, so that a name given twice is seen.
struct WeightMap(Vec<(String, String)>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from tensor names to file names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    // One more than allowed is enough for the caller to refuse.
                    if pairs.len() <= MAX_TENSORS {
                        pairs.push(pair);
                    }
                }
                Ok(WeightMap(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> String {
        WeightIndex::parse(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn names_each_file_once() {
        let index = WeightIndex::parse(
            br#"{"metadata": {"total_size": 9}, "weight_map": {"b": "2.safetensors", "a": "1.safetensors", "c": "1.safetensors"}}"#,
        )
        .unwrap();
        assert_eq!(index.files, ["1.safetensors", "2.safetensors"]);
        assert_eq!(index.weight_map["c"], "1.safetensors");
    }

    #[test]
    fn file_names_stay_inside_the_folder() {
        for name in ["/etc/a.safetensors", "../a.safetensors", "x/../../a.safetensors", "C:/a.safetensors", ""] {
            let json = format!(r#"{{"weight_map": {{"t": "{name}"}}}}"#);
            assert!(matches!(WeightIndex::parse(json.as_bytes()), Err(IndexProblem::Outside { .. })), "{name}");
        }
        assert!(fault(r#"{"weight_map": {"t": "a\\b.safetensors"}}"#).contains("outside its folder"));
        assert!(fault(r#"{"weight_map": {"t": "pytorch_model.bin"}}"#).contains("not a `.safetensors` file"));
        assert!(WeightIndex::parse(br#"{"weight_map": {"t": "sub/a.safetensors"}}"#).is_ok());
    }

    #[test]
    fn faults_are_named() {
        assert!(fault("{}").contains("missing field `weight_map`"));
        assert!(fault(r#"{"weight_map": {}}"#).contains("empty `weight_map`"));
        assert!(fault(r#"{"weight_map": {"t": "a.safetensors", "t": "b.safetensors"}}"#).contains("tensor `t` twice"));
        assert!(fault(r#"{"weight_map": {"t": 3}}"#).contains("cannot be read"));
    }
}
