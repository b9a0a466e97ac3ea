//! Where model facts come from: folders, files, the Hub. Only configs, indexes and headers are read, never the data of a tensor.

mod assemble;
mod error;
pub mod gguf;
mod hub;
mod index;
mod json;
mod local;
pub mod logs;
pub mod safetensors;
mod script;

use serde_json::Value;
use std::path::{Path, PathBuf};

pub use error::SourceError;
pub use hub::{HubError, HubId, HubSettings, NotAHubId, Token, open_hub};
pub use index::{IndexProblem, WeightIndex};
pub use local::open_path;
pub use script::{ScriptError, ScriptReading, open_script, read_script};

use crate::model::Checkpoint;

/// What was found out about a model: its config and, where there are weights, what they hold.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSource {
    /// `config.json`, always an object.
    pub config: Value,
    /// `generation_config.json`, which gives some engines their default sampling limits.
    pub generation_config: Option<Value>,
    /// `hf_quant_config.json`, where ModelOpt keeps what others write into the config's `quantization_config`.
    pub quant_config: Option<Value>,
    /// What the files hold; `None` with [`ModelSource::checkpoint_reason`].
    pub checkpoint: Option<Checkpoint>,
    /// Why there is no checkpoint, as a phrase.
    pub checkpoint_reason: Option<String>,
    /// Hub id (`Qwen/Qwen2.5-7B-Instruct`), where it is known.
    pub id: Option<String>,
    /// Where all this came from.
    pub origin: Origin,
    /// What a person should know and no figure shows, each a sentence.
    pub notes: Vec<String>,
}

/// Where a model came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A weights file or an index, with the config beside it.
    WeightsFile(PathBuf),
    /// A config alone.
    ConfigFile(PathBuf),
    /// A snapshot in the Hub's cache on this machine.
    HubCache {
        /// The snapshot's folder.
        folder: PathBuf,
        /// Its commit.
        commit: String,
    },
    /// The Hub or a mirror of it.
    Hub {
        /// The server.
        endpoint: String,
        /// The commit that answered, or the revision asked for where the server names no commit.
        revision: String,
    },
}

impl Origin {
    /// The folder or file on this machine.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) | Self::WeightsFile(path) | Self::ConfigFile(path) => Some(path),
            Self::HubCache { folder, .. } => Some(folder),
            Self::Hub { .. } => None,
        }
    }
}

/// Opens a model by what a person writes: a path where there is one, else a name on the Hub.
///
/// # Errors
/// [`SourceError`], with its repair.
pub fn open(model: &str, hub: &HubSettings) -> Result<ModelSource, SourceError> {
    let path = Path::new(model);
    match model.parse::<HubId>() {
        Ok(id) if !path.exists() => open_hub(&id, hub),
        _ => open_path(path),
    }
}
