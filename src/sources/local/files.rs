//! Single files: JSON of bounded size, and headers of weights that stay inside their folder.
#![expect(clippy::disallowed_methods, reason = "reads the user's files by design")]

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::unreadable;
use crate::model::{CheckpointFile, FileLocation};
use crate::sources::SourceError;
use crate::sources::json::{self, MAX_CONFIG_BYTES};
use crate::sources::safetensors::{self, Header, HeaderError};
use crate::units::Bytes;

/// Reads a whole file of at most `limit` bytes.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, SourceError> {
    let size = regular_file_size(path)?;
    let too_large = |size| SourceError::TooLarge { path: path.to_owned(), size: Bytes(size), limit: Bytes(limit) };
    if size > limit {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    let read = read.map_err(|error| unreadable(path, error))?;
    // The file may have grown, or be one whose size the system does not know.
    match u64::try_from(read) {
        Ok(read) if read <= limit => Ok(bytes),
        _ => Err(too_large(limit + 1)),
    }
}

/// Reads a JSON object.
pub fn read_required_object(path: &Path) -> Result<Value, SourceError> {
    let bytes = read_bounded(path, MAX_CONFIG_BYTES)?;
    object(&bytes, &path.display().to_string())
}

/// Reads a JSON object from a file that may be absent.
pub fn read_optional_object(path: &Path) -> Result<Option<Value>, SourceError> {
    match read_required_object(path) {
        Ok(value) => Ok(Some(value)),
        Err(SourceError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Parses a JSON object that came from `path`.
pub fn object(bytes: &[u8], path: &str) -> Result<Value, SourceError> {
    let value = json::parse(bytes).map_err(|error| SourceError::Json { path: path.to_owned(), error })?;
    if value.is_object() { Ok(value) } else { Err(SourceError::NotAnObject(path.to_owned())) }
}

/// The folder that the files of a checkpoint must lie in once links are followed.
pub struct Boundary(PathBuf);

impl Boundary {
    /// The folder itself; for a snapshot of the Hub's cache (`models--org--name/snapshots/commit`), whose files are links into
    /// `models--org--name/blobs`, the model's folder in the cache.
    pub fn of(folder: &Path) -> Result<Self, SourceError> {
        let real = fs::canonicalize(folder).map_err(|error| unreadable(folder, error))?;
        let model = real.parent().filter(|p| p.ends_with("snapshots")).and_then(Path::parent);
        match model {
            Some(model) if is_cache_folder(model) => Ok(Self(model.to_owned())),
            _ => Ok(Self(real)),
        }
    }

    /// Reads the header of a weights file.
    pub fn read_header(&self, folder: &Path, name: &str) -> Result<(CheckpointFile, Header), SourceError> {
        let path = folder.join(name);
        let target = fs::canonicalize(&path).map_err(|error| unreadable(&path, error))?;
        if !target.starts_with(&self.0) {
            return Err(SourceError::LinkOutside { file: name.to_owned(), target, folder: self.0.clone() });
        }
        let size = regular_file_size(&path)?;
        let mut file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        let header = safetensors::read_header(&mut file, size)
            .map_err(|problem| HeaderError { file: path.display().to_string(), problem })?;
        let file = CheckpointFile { name: name.to_owned(), location: FileLocation::Local(path), size: Bytes(size) };
        Ok((file, header))
    }
}

/// Whether a folder is a model's folder in the Hub's cache, by its name.
pub fn is_cache_folder(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("models--"))
}

/// Size of a regular file. Others are refused before they are opened: opening a pipe would wait for a writer.
fn regular_file_size(path: &Path) -> Result<u64, SourceError> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err(SourceError::NotAFile(path.to_owned())) }
}

/// Names of the entries of a folder, in order; names that are no UTF-8 are left out, as no engine could use them.
pub fn list(folder: &Path) -> Result<Vec<String>, SourceError> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let mut names = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => names.extend(entry.file_name().into_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(folder, error)),
        }
    }
    names.sort();
    Ok(names)
}
