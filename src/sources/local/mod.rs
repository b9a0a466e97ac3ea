//! Models on this machine: a folder, a weights file, an index, a config.

mod files;
mod folder;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::hub::{self, Snapshot};
use super::{ModelSource, Origin, SourceError};
pub(super) use folder::open as open_folder;

pub(super) use files::read_bounded;
use files::{read_optional_object, read_required_object};

/// Opens a model at a path: a folder in the Hugging Face layout (also a snapshot of the Hub's cache, or the cache's folder of a model), a
/// `.safetensors` file or an index with `config.json` beside it, or a config alone.
///
/// # Errors
/// [`SourceError`], with its repair.
pub fn open_path(path: &Path) -> Result<ModelSource, SourceError> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_dir() {
        return open_folder_of_any_kind(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let weights = if name.ends_with(".safetensors.index.json") {
        folder::Weights::Index(name.to_string())
    } else if name.ends_with(".safetensors") {
        folder::Weights::Files(vec![name.to_string()])
    } else if name.ends_with(".json") {
        return open_config(path);
    } else {
        return Err(SourceError::UnknownFile(path.to_owned()));
    };
    let parent = parent_of(path);
    if !parent.join("config.json").exists() {
        return Err(SourceError::NoConfig(path.to_owned()));
    }
    folder::read(&parent, weights, Origin::WeightsFile(path.to_owned()))
}

/// A folder with a model, or the folder of a model in the Hub's cache, in which the snapshot of `main` is meant.
fn open_folder_of_any_kind(path: &Path) -> Result<ModelSource, SourceError> {
    let cached = if hub::is_cache_folder(path) { hub::resolve(path, "main") } else { None };
    match cached {
        Some(Snapshot { folder, commit }) => {
            let origin = Origin::HubCache { folder: folder.clone(), commit };
            folder::open(&folder, origin)
        }
        None => folder::open(path, Origin::Folder(path.to_owned())),
    }
}

fn open_config(path: &Path) -> Result<ModelSource, SourceError> {
    // Companions are named as the config is: `hf_quant_config.json` beside `config.json`, `NAME.hf_quant_config.json` beside `NAME.json`,
    // which keeps several models apart in one folder.
    let prefix = match path.file_stem() {
        Some(stem) if stem != "config" => format!("{}.", stem.to_string_lossy()),
        _ => String::new(),
    };
    let companion = |name: &str| read_optional_object(&parent_of(path).join(format!("{prefix}{name}")));
    Ok(ModelSource {
        config: read_required_object(path)?,
        generation_config: companion("generation_config.json")?,
        quant_config: companion("hf_quant_config.json")?,
        checkpoint: None,
        checkpoint_reason: Some("a config alone was named".to_owned()),
        id: None,
        origin: Origin::ConfigFile(path.to_owned()),
        notes: Vec::new(),
    })
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> SourceError {
    if error.kind() == ErrorKind::NotFound {
        SourceError::NotFound(path.to_owned())
    } else {
        SourceError::Unreadable { path: path.to_owned(), error }
    }
}
