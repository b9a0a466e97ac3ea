//! Why a model could not be opened, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::IndexProblem;
use super::safetensors::HeaderError;
use crate::model::DuplicateTensor;
use crate::units::Bytes;

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such file or folder.
    #[error("`{0}` does not exist")]
    NotFound(PathBuf),
    /// A file or folder that cannot be opened or read.
    #[error("`{path}` cannot be read: {error}", path = path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A pipe, device or folder where a file is needed.
    #[error("`{0}` is not a regular file")]
    NotAFile(PathBuf),
    /// A folder with nothing in it.
    #[error("the folder `{0}` is empty")]
    EmptyFolder(PathBuf),
    /// A folder without config and weights.
    #[error("the folder `{0}` holds no model: neither `config.json` nor `.safetensors` files")]
    NoModel(PathBuf),
    /// Weights without a config.
    #[error("`{0}` holds weights but no `config.json`")]
    NoConfig(PathBuf),
    /// Only weights of a format that has no readable headers here.
    #[error("the folder `{path}` holds no `.safetensors` files, only {found}", path = path.display())]
    OtherWeights {
        /// The folder.
        path: PathBuf,
        /// What it holds: "`.bin` files".
        found: &'static str,
    },
    /// Mistral's own layout.
    #[error("the folder `{0}` has Mistral's own layout (`params.json`), not that of Hugging Face (`config.json`)")]
    MistralLayout(PathBuf),
    /// A file that is neither config, index nor weights.
    #[error("`{0}` is neither a `config.json` nor a `.safetensors` file nor a folder of them")]
    UnknownFile(PathBuf),
    /// A JSON file past its limit.
    #[error("`{path}` has {size}; at most {limit} are read", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: Bytes,
        /// The limit.
        limit: Bytes,
    },
    /// A file that should be JSON and is not.
    #[error("`{path}` is not valid JSON: {error}")]
    Json {
        /// The file, or its address.
        path: String,
        /// Where it goes wrong.
        error: serde_json::Error,
    },
    /// A JSON file that is no object.
    #[error("`{0}` holds no JSON object")]
    NotAnObject(String),
    /// Several indexes, none of them the usual one.
    #[error("the folder `{path}` holds several indexes: `{first}` and `{second}`", path = path.display())]
    SeveralIndexes {
        /// The folder.
        path: PathBuf,
        /// One.
        first: String,
        /// Another.
        second: String,
    },
    /// An index that cannot be used.
    #[error("`{index}` {problem}")]
    Index {
        /// The index.
        index: String,
        /// What is wrong with it.
        problem: IndexProblem,
    },
    /// A file that the index names does not exist.
    #[error("`{index}` names the file `{file}`, which does not exist")]
    FileMissing {
        /// The index.
        index: String,
        /// The file.
        file: String,
    },
    /// A symbolic link that leads out of the folder.
    #[error("`{file}` is a link to `{target}`, outside the folder `{folder}`", target = target.display(), folder = folder.display())]
    LinkOutside {
        /// The file.
        file: String,
        /// Where it leads.
        target: PathBuf,
        /// The folder it should stay in.
        folder: PathBuf,
    },
    /// A tensor is not in the file that the index says.
    #[error("`{index}` puts the tensor `{tensor}` into `{file}`, {}", not_there(elsewhere.as_deref()))]
    TensorMissing {
        /// The index.
        index: String,
        /// The tensor.
        tensor: String,
        /// The file where it should be.
        file: String,
        /// The file where it is, if any.
        elsewhere: Option<String>,
    },
    /// A tensor is in two files.
    #[error(transparent)]
    Duplicate(#[from] DuplicateTensor),
    /// A header that cannot be used.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

fn not_there(elsewhere: Option<&str>) -> String {
    match elsewhere {
        Some(file) => format!("but it is in `{file}`"),
        None => "but it is in none of the files".to_owned(),
    }
}

impl SourceError {
    /// What the user can do about it, as a sentence without full stop.
    #[must_use]
    pub fn repair(&self) -> String {
        match self {
            Self::NotFound(_) => {
                "check the path; a model on the Hub is written `organisation/name`".to_owned()
            }
            Self::Unreadable { .. } => "check that you may read it (`ls -l`)".to_owned(),
            Self::NotAFile(_) => "name a regular file".to_owned(),
            Self::EmptyFolder(_) | Self::NoModel(_) => {
                "name the folder with `config.json` and the `.safetensors` files; a download that was broken off leaves them out"
                    .to_owned()
            }
            Self::NoConfig(_) => "copy the model's `config.json` beside the weights".to_owned(),
            Self::OtherWeights { .. } => {
                "convert the weights to safetensors, or name the model's `config.json` to plan without them".to_owned()
            }
            Self::MistralLayout(_) => {
                "use the same model's folder in the Hugging Face layout, with `config.json` and `model*.safetensors`".to_owned()
            }
            Self::UnknownFile(_) => "name a folder, a `config.json` or a `.safetensors` file".to_owned(),
            Self::TooLarge { .. } => "check that this is the right file: real ones are far smaller".to_owned(),
            Self::Json { .. } | Self::NotAnObject(_) => "download it again, or correct it at that place".to_owned(),
            Self::SeveralIndexes { .. } => "name the index itself".to_owned(),
            Self::Index { problem: IndexProblem::Outside { .. }, .. } => {
                "an index may only name files in its own folder: correct the entry, and distrust where it came from".to_owned()
            }
            Self::Index { problem: IndexProblem::OtherFormat { .. }, .. } => {
                "convert the weights to safetensors, or name the model's `config.json` to plan without them".to_owned()
            }
            Self::Index { .. } | Self::TensorMissing { .. } => {
                "index and files do not belong together: download the model again".to_owned()
            }
            Self::FileMissing { file, .. } => {
                format!("the download is incomplete: fetch `{file}` into the same folder")
            }
            Self::LinkOutside { .. } => {
                "copy the file into the folder, or name the folder where the files really are".to_owned()
            }
            Self::Duplicate(_) => {
                "remove the file that does not belong to the model, or add the index that says which one counts".to_owned()
            }
            Self::Header(error) => error.problem.repair().to_owned(),
        }
    }
}
