//! GGUF headers: metadata and the tensor table, never the data. Files split by llama.cpp (`…-00001-of-00003.gguf`) are read together.

#![expect(clippy::disallowed_methods, reason = "opens the user's files by design")]

mod problem;
mod read;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

pub use problem::{GgufError, GgufProblem};
pub use read::{Gguf, GgufTensor, GgufValue, read_header};

use crate::units::Bytes;

/// One GGUF model: a file, or all parts of a split one.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufModel {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// The header of each.
    pub parts: Vec<Gguf>,
}

impl GgufModel {
    /// Opens a file, or all parts of a split model of which one is named.
    ///
    /// # Errors
    /// When a file cannot be read, is no GGUF file, or a part is missing.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let first = read_file(path)?;
        let count = first.metadata_u64("split.count").unwrap_or(1);
        if count <= 1 {
            return Ok(Self { files: vec![path.to_owned()], parts: vec![first] });
        }
        let files = sibling_parts(path, count)
            .ok_or_else(|| GgufError { path: path.to_owned(), problem: GgufProblem::SplitName { count } })?;
        let parts = files.iter().map(|file| read_file(file)).collect::<Result<_, _>>()?;
        Ok(Self { files, parts })
    }

    /// `general.architecture`.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        self.text("general.architecture")
    }

    /// A text of the metadata.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.parts.iter().find_map(|part| match part.metadata.get(key) {
            Some(GgufValue::Text(text)) => Some(text.as_str()),
            _ => None,
        })
    }

    /// All tensors, part by part.
    pub fn tensors(&self) -> impl Iterator<Item = &GgufTensor> {
        self.parts.iter().flat_map(|part| &part.tensors)
    }

    /// Bytes of all tensors, without padding between them.
    #[must_use]
    pub fn total_bytes(&self) -> Bytes {
        self.tensors().map(|tensor| tensor.bytes).sum()
    }

    /// Elements of all tensors.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.tensors().map(GgufTensor::elements).fold(0, u64::saturating_add)
    }
}

fn read_file(path: &Path) -> Result<Gguf, GgufError> {
    let error = |problem| GgufError { path: path.to_owned(), problem };
    let file = File::open(path).map_err(|e| error(GgufProblem::Io(e)))?;
    let size = file.metadata().map_err(|e| error(GgufProblem::Io(e)))?.len();
    read_header(&mut BufReader::new(file), size).map_err(error)
}

/// The names of all parts of a split model: `name-00002-of-00003.gguf` names its siblings.
fn sibling_parts(path: &Path, count: u64) -> Option<Vec<PathBuf>> {
    let name = path.file_name()?.to_str()?;
    let tail = format!("-of-{count:05}.gguf");
    let stem = name.strip_suffix(&tail)?;
    let (stem, number) = stem.rsplit_once('-')?;
    if number.len() != 5 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((1..=count).map(|part| path.with_file_name(format!("{stem}-{part:05}{tail}"))).collect())
}
