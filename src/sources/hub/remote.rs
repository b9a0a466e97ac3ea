//! A model on the server: config, index, and the header of each weights file.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use super::http::{Answer, Client, Content, Wanted};
use super::{HubError, HubId, HubSettings, url};
use crate::model::{Checkpoint, CheckpointFile, FileLocation};
use crate::sources::assemble::assemble;
use crate::sources::json::{MAX_CONFIG_BYTES, MAX_INDEX_BYTES, object};
use crate::sources::safetensors::{self, Header, HeaderError, HeaderProblem, LENGTH_BYTES};
use crate::sources::{ModelSource, Origin, SourceError, WeightIndex};
use crate::units::Bytes;

const INDEX: &str = "model.safetensors.index.json";
const SINGLE_FILE: &str = "model.safetensors";

/// Bytes asked for first of each weights file. Most headers are shorter, so that one request is enough.
const FIRST_READ: u64 = 128 * 1024;
/// Weights files asked for at a time.
const WORKERS: usize = 8;

/// Opens a model on the server.
pub fn open(id: &HubId, settings: &HubSettings) -> Result<ModelSource, SourceError> {
    let mut model = Remote {
        client: Client::new(settings)?,
        id,
        settings,
        // After the first answer the commit: a branch may move between two requests.
        revision: id.revision().to_owned(),
    };
    let content = model.file("config.json", Wanted::Whole(MAX_CONFIG_BYTES))?.ok_or_else(|| HubError::FileMissing {
        endpoint: settings.endpoint.clone(),
        id: id.to_string(),
        file: "config.json".to_owned(),
    })?;
    if let Some(commit) = &content.commit {
        model.revision.clone_from(commit);
    }
    let config = object(&content.bytes, &model.address("config.json"))?;
    let quant_config = match config.get("quantization_config") {
        Some(Value::Object(_)) => None,
        _ => model.optional_object("hf_quant_config.json")?,
    };
    let (checkpoint, notes) = model.weights()?;
    let checkpoint_reason =
        checkpoint.is_none().then(|| format!("the repository holds neither `{INDEX}` nor `{SINGLE_FILE}`"));
    Ok(ModelSource {
        config,
        generation_config: None,
        quant_config,
        checkpoint,
        checkpoint_reason,
        id: Some(id.repository()),
        origin: Origin::Hub { endpoint: settings.endpoint.clone(), revision: model.revision },
        notes,
    })
}

struct Remote<'a> {
    client: Client<'a>,
    id: &'a HubId,
    settings: &'a HubSettings,
    revision: String,
}

impl Remote<'_> {
    fn address(&self, file: &str) -> String {
        let (repository, revision) = (self.id.repository(), url::encode(&self.revision, false));
        format!("{}/{repository}/resolve/{revision}/{}", self.settings.endpoint, url::encode(file, true))
    }

    /// A file, or `None` where the repository has none of that name.
    fn file(&self, name: &str, wanted: Wanted) -> Result<Option<Content>, HubError> {
        let address = self.address(name);
        match self.client.get(&address, wanted)? {
            Answer::Content(content) => Ok(Some(content)),
            Answer::Refused { status, code } => self.refusal(&address, status, code.as_deref()),
        }
    }

    /// The Hub names its reason in `X-Error-Code` (huggingface_hub's `hf_raise_for_status` reads it); mirrors may send the status alone. It
    /// answers 401 also for names that do not exist, lest private ones be guessed.
    fn refusal(&self, address: &str, status: u16, code: Option<&str>) -> Result<Option<Content>, HubError> {
        let (id, endpoint) = (self.id.to_string(), self.settings.endpoint.clone());
        let token = self.settings.token.is_some();
        let repository = self.id.repository();
        Err(match (status, code) {
            (404, Some("EntryNotFound")) => return Ok(None),
            (_, Some("GatedRepo")) => HubError::Gated { page: format!("{endpoint}/{repository}"), id, token },
            (_, Some("RevisionNotFound")) => {
                HubError::RevisionMissing { repository, revision: self.id.revision().to_owned() }
            }
            (_, Some("RepoNotFound")) => HubError::RepositoryMissing { id, endpoint, token },
            (404, _) => return Ok(None),
            (401, _) => HubError::Unauthorized { id, endpoint, token },
            (403, _) => HubError::Forbidden { id, endpoint },
            _ => HubError::Status { url: url::shown(address).to_owned(), status },
        })
    }

    fn optional_object(&self, name: &str) -> Result<Option<Value>, SourceError> {
        match self.file(name, Wanted::Whole(MAX_CONFIG_BYTES))? {
            Some(content) => object(&content.bytes, &self.address(name)).map(Some),
            None => Ok(None),
        }
    }

    fn weights(&self) -> Result<(Option<Checkpoint>, Vec<String>), SourceError> {
        if let Some(content) = self.file(INDEX, Wanted::Whole(MAX_INDEX_BYTES))? {
            let index = WeightIndex::parse(&content.bytes)
                .map_err(|problem| SourceError::Index { index: self.address(INDEX), problem })?;
            let parts = self.headers(&index.files)?;
            let (checkpoint, notes) = assemble(parts, Some((INDEX, &index)))?;
            return Ok((Some(checkpoint), notes));
        }
        match self.header(SINGLE_FILE)? {
            Some(part) => {
                let (checkpoint, notes) = assemble(vec![part], None)?;
                Ok((Some(checkpoint), notes))
            }
            None => Ok((None, Vec::new())),
        }
    }

    /// Headers of all files, in their order, several asked for at a time. Of several errors the first file's is given.
    fn headers(&self, names: &[String]) -> Result<Vec<(CheckpointFile, Header)>, SourceError> {
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let results = Mutex::new(Vec::with_capacity(names.len()));
        thread::scope(|scope| {
            for _ in 0..WORKERS.min(names.len()) {
                scope.spawn(|| {
                    while !failed.load(Ordering::Relaxed) {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        let Some(name) = names.get(position) else { break };
                        let result = self.header(name).and_then(|part| {
                            let missing =
                                || SourceError::FileMissing { index: self.address(INDEX), file: name.clone() };
                            part.ok_or_else(missing)
                        });
                        failed.fetch_or(result.is_err(), Ordering::Relaxed);
                        results.lock().unwrap_or_else(PoisonError::into_inner).push((position, result));
                    }
                });
            }
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(position, _)| *position);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// The header of a file, or `None` where the repository has none of that name.
    fn header(&self, name: &str) -> Result<Option<(CheckpointFile, Header)>, SourceError> {
        let address = self.address(name);
        let Some(first) = self.file(name, Wanted::Range { start: 0, length: FIRST_READ })? else { return Ok(None) };
        let size = first.file_size;
        let fault = |problem| HeaderError { file: address.clone(), problem };
        let start = first.bytes.first_chunk::<8>().ok_or_else(|| fault(HeaderProblem::TooSmall(Bytes(size))))?;
        let length = safetensors::header_length(*start, size).map_err(fault)?;
        let mut bytes = first.bytes.clone();
        let present = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let end = LENGTH_BYTES.saturating_add(length);
        if end > present {
            let rest = Wanted::Range { start: present, length: end - present };
            let rest = self.file(name, rest)?.filter(|rest| rest.file_size == size);
            let changed =
                || HubError::BadAnswer { url: address.clone(), what: "the file changed while it was read".to_owned() };
            bytes.extend(rest.ok_or_else(changed)?.bytes);
        }
        let range = 8..usize::try_from(end).unwrap_or(usize::MAX);
        let truncated =
            || fault(HeaderProblem::Truncated { header: length, present: present.saturating_sub(LENGTH_BYTES) });
        let json = bytes.get(range).ok_or_else(truncated)?;
        let header = safetensors::parse_header(json, size).map_err(fault)?;
        let file = CheckpointFile { name: name.to_owned(), location: FileLocation::Remote(address), size: Bytes(size) };
        Ok(Some((file, header)))
    }
}
