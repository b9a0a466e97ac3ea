//! Models on the Hugging Face Hub or a mirror of it: from the cache that huggingface_hub keeps on this machine, else over HTTP, where only
//! the config, the index and the headers of the weights files are fetched.

mod cache;
mod error;
mod http;
mod id;
mod remote;
mod settings;
mod url;

use super::{ModelSource, Origin, SourceError, local};
pub use cache::Snapshot;
pub(super) use cache::{id_of_cache_folder, is_cache_folder, resolve};
pub use error::HubError;
pub use id::{HubId, NotAHubId};
pub use settings::{HubSettings, Token};

/// Opens a model of the Hub: the cache on this machine if it holds the weights, else the server.
///
/// # Errors
/// [`SourceError`], with its repair.
pub fn open_hub(id: &HubId, settings: &HubSettings) -> Result<ModelSource, SourceError> {
    let cached = settings.cache.as_deref().and_then(|cache| cache::find(cache, id)).map(|snapshot| {
        let origin = Origin::HubCache { folder: snapshot.folder.clone(), commit: snapshot.commit };
        local::open_folder(&snapshot.folder, origin)
    });
    match cached {
        Some(Ok(source)) if source.checkpoint.is_some() => Ok(source),
        // Only a part was downloaded, as a tokenizer's user does: the Hub knows the rest.
        Some(Ok(source)) if settings.offline => Ok(source),
        Some(Ok(source)) => match remote::open(id, settings) {
            Err(SourceError::Hub(error)) => Ok(with_note(source, &error)),
            other => other,
        },
        Some(Err(error)) if settings.offline || !is_incomplete(&error) => Err(error),
        None if settings.offline => Err(HubError::Offline { id: id.to_string() }.into()),
        Some(Err(_)) | None => remote::open(id, settings),
    }
}

fn with_note(mut source: ModelSource, error: &HubError) -> ModelSource {
    source.notes.push(format!("the Hub could not be asked for the weights, which the cache lacks: {error}"));
    source
}

/// Whether an error says that files are missing, rather than that they are wrong.
fn is_incomplete(error: &SourceError) -> bool {
    matches!(
        error,
        SourceError::NotFound(_)
            | SourceError::EmptyFolder(_)
            | SourceError::NoModel(_)
            | SourceError::NoConfig(_)
            | SourceError::OtherWeights { .. }
            | SourceError::FileMissing { .. }
            | SourceError::ShardMissing { .. }
    )
}
