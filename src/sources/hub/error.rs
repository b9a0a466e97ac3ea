//! Why a model could not be had from the Hub.

/// Why a model could not be had from the Hub. No variant holds a token or a signed address.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// `HF_ENDPOINT` is no web address.
    #[error("the Hub's address `{0}` is not a web address")]
    BadEndpoint(String),
    /// The network is off limits and the cache does not have it.
    #[error("`{id}` is not in the Hub's cache on this machine, and `HF_HUB_OFFLINE` forbids asking for it")]
    Offline {
        /// The model.
        id: String,
    },
    /// No such model, or one that only its owner may see.
    #[error("{endpoint} has no model `{id}`{}", if *.token { " that this token may see" } else { " that may be seen without a token" })]
    RepositoryMissing {
        /// The model.
        id: String,
        /// The server.
        endpoint: String,
        /// Whether a token was sent.
        token: bool,
    },
    /// No such branch, tag or commit.
    #[error("`{repository}` has no revision `{revision}`")]
    RevisionMissing {
        /// The model.
        repository: String,
        /// The revision.
        revision: String,
    },
    /// A file that every model needs.
    #[error("{endpoint} has no file `{file}` of `{id}`")]
    FileMissing {
        /// The server.
        endpoint: String,
        /// The model.
        id: String,
        /// The file.
        file: String,
    },
    /// The licence has to be accepted first.
    #[error("`{id}` is gated: its licence has to be accepted first")]
    Gated {
        /// The model.
        id: String,
        /// Its page.
        page: String,
        /// Whether a token was sent.
        token: bool,
    },
    /// Status 401.
    #[error("{endpoint} asks for a login to read `{id}`{}", if *.token { ", and does not accept the token" } else { "" })]
    Unauthorized {
        /// The model.
        id: String,
        /// The server.
        endpoint: String,
        /// Whether a token was sent.
        token: bool,
    },
    /// Status 403.
    #[error("{endpoint} refuses to let this token read `{id}`")]
    Forbidden {
        /// The model.
        id: String,
        /// The server.
        endpoint: String,
    },
    /// Status 429 to the last attempt.
    #[error("`{url}`: the server asks to slow down, also after {attempts} attempts")]
    TooManyRequests {
        /// The address.
        url: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// Another status that is no success.
    #[error("`{url}`: the server answers with status {status}")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// No answer.
    #[error("`{url}` cannot be reached: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// An answer that makes no sense.
    #[error("`{url}`: {what}")]
    BadAnswer {
        /// The address.
        url: String,
        /// What is wrong with it.
        what: String,
    },
}

impl HubError {
    /// What the user can do about it.
    #[must_use]
    pub fn repair(&self) -> String {
        match self {
            Self::BadEndpoint(_) => {
                "set `HF_ENDPOINT` to an address such as `https://huggingface.co`, or unset it".to_owned()
            }
            Self::Offline { id } => {
                format!("unset `HF_HUB_OFFLINE`, or fetch it where the network is allowed: `hf download {id}`")
            }
            Self::RepositoryMissing { token: false, .. } => {
                "check the spelling; for a private model set `HF_TOKEN` or run `hf auth login`".to_owned()
            }
            Self::RepositoryMissing { token: true, .. } => {
                "check the spelling, and that the token's account may see the model".to_owned()
            }
            Self::RevisionMissing { repository, .. } => {
                format!("name a branch, tag or full commit of `{repository}`, or leave `@…` out for `main`")
            }
            Self::FileMissing { .. } => {
                "check the spelling; the model has to be in the Hugging Face layout (`config.json`, `.safetensors` files)".to_owned()
            }
            Self::Gated { page, token: false, .. } => {
                format!("accept the licence at {page}, then set `HF_TOKEN` or run `hf auth login`")
            }
            Self::Gated { page, token: true, .. } => {
                format!("accept the licence at {page} with the account that the token belongs to")
            }
            Self::Unauthorized { token: false, .. } => "set `HF_TOKEN` or run `hf auth login`".to_owned(),
            Self::Unauthorized { token: true, .. } => {
                "the token may have expired or been revoked: make a new one and set `HF_TOKEN`, or run `hf auth login`"
                    .to_owned()
            }
            Self::Forbidden { .. } => "use a token with read access to this model".to_owned(),
            Self::TooManyRequests { .. } => {
                "wait a few minutes; with a token (`HF_TOKEN`) more requests are allowed".to_owned()
            }
            Self::Status { .. } => "try again later, or another mirror (`HF_ENDPOINT`)".to_owned(),
            Self::Unreachable { .. } => {
                "check the network and `HF_ENDPOINT`; a downloaded folder or a `config.json` works without network"
                    .to_owned()
            }
            Self::BadAnswer { .. } => "check `HF_ENDPOINT` and any proxy between; the answer is not a Hub's".to_owned(),
        }
    }
}
