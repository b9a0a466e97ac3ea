//! The cache that huggingface_hub keeps: `models--org--name/` with `refs/` (name → commit), `snapshots/commit/` (links) and `blobs/`.
#![expect(clippy::disallowed_methods, reason = "reads the user's cache by design")]

use std::fs;
use std::path::{Path, PathBuf};

use super::HubId;

/// A model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Folder of this commit.
    pub folder: PathBuf,
    /// The commit.
    pub commit: String,
}

/// The snapshot of a model, if the cache has one of that revision. It may be incomplete.
pub fn find(cache: &Path, id: &HubId) -> Option<Snapshot> {
    resolve(&cache.join(id.cache_folder()), id.revision())
}

/// The snapshot of a revision in a model's folder of the cache.
pub fn resolve(model: &Path, revision: &str) -> Option<Snapshot> {
    let reference = model.join("refs").join(revision);
    let is_small_file = fs::metadata(&reference).is_ok_and(|m| m.is_file() && m.len() <= 256);
    let commit = match is_small_file.then(|| fs::read_to_string(&reference)) {
        Some(text) => text.ok()?.trim().to_owned(),
        None => revision.to_owned(),
    };
    // What the file says becomes a folder name, so it has to be a commit and no path.
    let is_commit = (7..=64).contains(&commit.len()) && commit.bytes().all(|b| b.is_ascii_hexdigit());
    let folder = model.join("snapshots").join(&commit);
    (is_commit && folder.is_dir()).then_some(Snapshot { folder, commit })
}

/// Whether a folder is a model's folder in the cache, by its name.
pub fn is_cache_folder(folder: &Path) -> bool {
    id_of_cache_folder(folder).is_some()
}

/// `org/name` of a folder `models--org--name`.
pub fn id_of_cache_folder(folder: &Path) -> Option<String> {
    let (owner, name) = folder.file_name()?.to_str()?.strip_prefix("models--")?.split_once("--")?;
    let id: HubId = format!("{owner}/{name}").parse().ok()?;
    Some(id.repository())
}
