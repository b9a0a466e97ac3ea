//! From headers and an index to a checkpoint.

use std::collections::BTreeMap;

use super::safetensors::Header;
use super::{SourceError, WeightIndex};
use crate::model::{Checkpoint, CheckpointFile, CheckpointTensor};

/// Puts the files of a checkpoint together and checks them against the index (its name, its content), where there is one. Returns notes
/// besides: what engines live with, but a person should know.
pub fn assemble(
    parts: Vec<(CheckpointFile, Header)>,
    index: Option<(&str, &WeightIndex)>,
) -> Result<(Checkpoint, Vec<String>), SourceError> {
    let mut files = Vec::with_capacity(parts.len());
    let mut tensors = Vec::new();
    let mut metadata = BTreeMap::new();
    for (position, (file, header)) in parts.into_iter().enumerate() {
        files.push(file);
        tensors.extend(header.tensors.into_iter().map(|t| CheckpointTensor {
            name: t.name,
            dtype: t.dtype,
            shape: t.shape,
            file: position,
            offset: t.offset,
            bytes: t.bytes,
        }));
        for (key, value) in header.metadata {
            metadata.entry(key).or_insert(value);
        }
    }
    let checkpoint = Checkpoint::new(files, tensors, metadata)?;
    let notes = match index {
        Some((name, index)) => check_index(&checkpoint, name, index)?,
        None => Vec::new(),
    };
    Ok((checkpoint, notes))
}

/// A tensor that the index promises and no file holds would be missing from the model; one that only a file holds is loaded all the same.
fn check_index(checkpoint: &Checkpoint, name: &str, index: &WeightIndex) -> Result<Vec<String>, SourceError> {
    for (tensor, file) in &index.weight_map {
        let found = checkpoint.get(tensor).map(|t| checkpoint.files()[t.file].name.as_str());
        if found != Some(file.as_str()) {
            return Err(SourceError::TensorMissing {
                index: name.to_owned(),
                tensor: tensor.clone(),
                file: file.clone(),
                elsewhere: found.map(str::to_owned),
            });
        }
    }
    let mut unlisted = checkpoint.tensors().iter().filter(|t| !index.weight_map.contains_key(&t.name));
    let Some(first) = unlisted.next() else { return Ok(Vec::new()) };
    let file = &checkpoint.files()[first.file].name;
    let more = match unlisted.count() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Ok(vec![format!("`{file}` holds the tensor `{}`{more} that `{name}` does not list; it is counted", first.name)])
}
