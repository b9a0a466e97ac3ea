//! What the files of a checkpoint hold, as their headers say: names, formats, shapes and byte ranges, never the data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::units::{Bytes, DType};

/// The tensors of a checkpoint and the files they lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    files: Vec<CheckpointFile>,
    // Sorted by name, so that looking up is a binary search and iteration does not depend on the order of files.
    tensors: Vec<CheckpointTensor>,
    metadata: BTreeMap<String, String>,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Name relative to the checkpoint's folder, as the index gives it: `model-00001-of-00004.safetensors`.
    pub name: String,
    /// Where its bytes can be had.
    pub location: FileLocation,
    /// Size of the whole file, header included.
    pub size: Bytes,
}

/// Where a checkpoint file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileLocation {
    /// On this machine: it can be loaded.
    Local(PathBuf),
    /// On a server: its header was read, its data was not.
    Remote(String),
}

impl FileLocation {
    /// The path of a file on this machine.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Remote(_) => None,
        }
    }
}

/// One tensor as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointTensor {
    /// Name in the checkpoint: `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Element format.
    pub dtype: DType,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<u64>,
    /// Index into [`Checkpoint::files`].
    pub file: usize,
    /// First byte of its data, from the start of the file.
    pub offset: u64,
    /// Size of its data.
    pub bytes: Bytes,
}

impl CheckpointTensor {
    /// Number of elements. Exact, because the readers refuse a shape whose product passes 2^64 bits.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |product, &dimension| product.saturating_mul(dimension))
    }
}

/// A tensor that two files claim to hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tensor `{tensor}` is in both `{first}` and `{second}`")]
pub struct DuplicateTensor {
    /// Name of the tensor.
    pub tensor: String,
    /// One file.
    pub first: String,
    /// The other file.
    pub second: String,
}

impl Checkpoint {
    /// Puts the headers of a checkpoint's files together.
    ///
    /// # Errors
    /// [`DuplicateTensor`] when a name occurs twice: which of the two an engine takes depends on its loader.
    pub fn new(
        files: Vec<CheckpointFile>,
        mut tensors: Vec<CheckpointTensor>,
        metadata: BTreeMap<String, String>,
    ) -> Result<Self, DuplicateTensor> {
        tensors.sort_by(|a, b| a.name.cmp(&b.name).then(a.file.cmp(&b.file)));
        let file_name = |index: usize| files.get(index).map_or_else(String::new, |f| f.name.clone());
        if let Some([a, b]) = tensors.array_windows().find(|[a, b]| a.name == b.name) {
            return Err(DuplicateTensor {
                tensor: a.name.clone(),
                first: file_name(a.file),
                second: file_name(b.file),
            });
        }
        Ok(Self { files, tensors, metadata })
    }

    /// The files, in the order of their names.
    #[must_use]
    pub fn files(&self) -> &[CheckpointFile] {
        &self.files
    }

    /// The tensors, in the order of their names.
    #[must_use]
    pub fn tensors(&self) -> &[CheckpointTensor] {
        &self.tensors
    }

    /// Free-form texts that the files carry (`format` = `pt`); where files disagree, the first one's.
    #[must_use]
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensor of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&CheckpointTensor> {
        self.tensors.binary_search_by(|t| t.name.as_str().cmp(name)).ok().map(|i| &self.tensors[i])
    }

    /// Bytes of all tensors: data alone, without headers and without any alignment.
    #[must_use]
    pub fn total_bytes(&self) -> Bytes {
        self.tensors.iter().map(|t| t.bytes).sum()
    }

    /// Bytes of all files, headers included: what a download or a copy moves.
    #[must_use]
    pub fn file_bytes(&self) -> Bytes {
        self.files.iter().map(|f| f.size).sum()
    }

    /// Whether every file lies on this machine, so that the checkpoint can be loaded.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.files.iter().all(|f| f.location.path().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, location: FileLocation) -> CheckpointFile {
        CheckpointFile { name: name.to_owned(), location, size: Bytes(100) }
    }

    fn tensor(name: &str, file: usize) -> CheckpointTensor {
        CheckpointTensor {
            name: name.to_owned(),
            dtype: DType::BF16,
            shape: vec![3, 5],
            file,
            offset: 64,
            bytes: Bytes(30),
        }
    }

    #[test]
    fn finds_tensors_by_name_whatever_the_order_of_files() {
        let files = vec![file("a", FileLocation::Local("a".into())), file("b", FileLocation::Local("b".into()))];
        let tensors = vec![tensor("z", 0), tensor("m", 1), tensor("a", 1)];
        let checkpoint = Checkpoint::new(files, tensors, BTreeMap::new()).unwrap();
        assert_eq!(checkpoint.get("m").unwrap().file, 1);
        assert_eq!(checkpoint.get("z").unwrap().elements(), 15);
        assert!(checkpoint.get("b").is_none());
        assert_eq!(checkpoint.total_bytes(), Bytes(90));
        assert_eq!(checkpoint.file_bytes(), Bytes(200));
        assert!(checkpoint.is_local());
    }

    #[test]
    fn one_remote_file_makes_it_remote() {
        let files =
            vec![file("a", FileLocation::Local("a".into())), file("b", FileLocation::Remote("https://host/b".into()))];
        assert!(!Checkpoint::new(files, vec![], BTreeMap::new()).unwrap().is_local());
    }

    #[test]
    fn a_name_in_two_files_is_refused_and_names_both() {
        let files = vec![file("a", FileLocation::Local("a".into())), file("b", FileLocation::Local("b".into()))];
        let error = Checkpoint::new(files, vec![tensor("t", 1), tensor("t", 0)], BTreeMap::new()).unwrap_err();
        assert_eq!(error.to_string(), "tensor `t` is in both `a` and `b`");
    }
}
