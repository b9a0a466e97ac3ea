//! A folder in the Hugging Face layout.

use std::path::Path;

use super::files::{self, Boundary, read_optional_object, read_required_object};
use crate::sources::assemble::assemble;
use crate::sources::json::MAX_INDEX_BYTES;
use crate::sources::{ModelSource, Origin, SourceError, WeightIndex};

/// The index that transformers writes.
const USUAL_INDEX: &str = "model.safetensors.index.json";
/// The single file that transformers writes.
const USUAL_FILE: &str = "model.safetensors";

/// Which files of a folder are the model.
pub enum Weights {
    /// Those that this index names.
    Index(String),
    /// These.
    Files(Vec<String>),
    /// There are none; why, as a phrase.
    None(String),
}

/// Opens a folder.
pub fn open(folder: &Path) -> Result<ModelSource, SourceError> {
    let names = files::list(folder)?;
    let has = |name: &str| names.iter().any(|n| n == name);
    if !has("config.json") {
        return Err(without_config(folder, &names));
    }
    read(folder, choose_weights(folder, &names)?, Origin::Folder(folder.to_owned()))
}

/// Reads config and headers of a folder that has a `config.json`.
pub fn read(folder: &Path, weights: Weights, origin: Origin) -> Result<ModelSource, SourceError> {
    let config = read_required_object(&folder.join("config.json"))?;
    let boundary = Boundary::of(folder)?;
    let headers = |names: &[String]| {
        names.iter().map(|name| boundary.read_header(folder, name)).collect::<Result<Vec<_>, SourceError>>()
    };
    let (checkpoint, checkpoint_reason, notes) = match weights {
        Weights::None(reason) => (None, Some(reason), Vec::new()),
        Weights::Files(names) => {
            let (checkpoint, notes) = assemble(headers(&names)?, None)?;
            (Some(checkpoint), None, notes)
        }
        Weights::Index(name) => {
            let path = folder.join(name);
            let shown = path.display().to_string();
            let bytes = files::read_bounded(&path, MAX_INDEX_BYTES)?;
            let index =
                WeightIndex::parse(&bytes).map_err(|problem| SourceError::Index { index: shown.clone(), problem })?;
            let parts = headers(&index.files).map_err(|error| match error {
                SourceError::NotFound(path) => SourceError::FileMissing {
                    index: shown.clone(),
                    file: path.strip_prefix(folder).unwrap_or(&path).display().to_string(),
                },
                other => other,
            })?;
            let (checkpoint, notes) = assemble(parts, Some((&shown, &index)))?;
            (Some(checkpoint), None, notes)
        }
    };
    Ok(ModelSource {
        config,
        generation_config: read_optional_object(&folder.join("generation_config.json"))?,
        quant_config: read_optional_object(&folder.join("hf_quant_config.json"))?,
        checkpoint,
        checkpoint_reason,
        id: None,
        origin,
        notes,
    })
}

/// Picks the files as engines do: the index if there is one, else `model.safetensors`, else every `.safetensors` file but those that
/// repeat the model in another layout (`consolidated*`, vLLM's `filter_duplicate_safetensors_files` drops them through the index) or only
/// add to it (`adapter_model`).
fn choose_weights(folder: &Path, names: &[String]) -> Result<Weights, SourceError> {
    let indexes: Vec<&String> = names.iter().filter(|n| n.ends_with(".safetensors.index.json")).collect();
    match indexes.as_slice() {
        [] => {}
        [index] => return Ok(Weights::Index((*index).clone())),
        _ if indexes.iter().any(|n| *n == USUAL_INDEX) => return Ok(Weights::Index(USUAL_INDEX.to_owned())),
        [first, second, ..] => {
            return Err(SourceError::SeveralIndexes {
                path: folder.to_owned(),
                first: (*first).clone(),
                second: (*second).clone(),
            });
        }
    }
    if names.iter().any(|n| n == USUAL_FILE) {
        return Ok(Weights::Files(vec![USUAL_FILE.to_owned()]));
    }
    let all = || names.iter().filter(|n| n.ends_with(".safetensors") && !n.starts_with("adapter_model"));
    let mut chosen: Vec<String> = all().filter(|n| !n.starts_with("consolidated")).cloned().collect();
    if chosen.is_empty() {
        chosen = all().cloned().collect();
    }
    if chosen.is_empty() {
        let found = other_weights(names).unwrap_or("no weights at all");
        return Ok(Weights::None(format!("the folder holds no `.safetensors` files but {found}")));
    }
    Ok(Weights::Files(chosen))
}

/// Why a folder without `config.json` is no model.
fn without_config(folder: &Path, names: &[String]) -> SourceError {
    let path = folder.to_owned();
    if names.is_empty() {
        SourceError::EmptyFolder(path)
    } else if names.iter().any(|n| n == "params.json") {
        SourceError::MistralLayout(path)
    } else if names.iter().any(|n| n.ends_with(".safetensors")) {
        SourceError::NoConfig(path)
    } else if let Some(found) = other_weights(names) {
        SourceError::OtherWeights { path, found }
    } else {
        SourceError::NoModel(path)
    }
}

fn other_weights(names: &[String]) -> Option<&'static str> {
    const KINDS: [(&str, &str); 5] = [
        (".gguf", "`.gguf` files"),
        (".bin", "`.bin` files"),
        (".pt", "`.pt` files"),
        (".pth", "`.pth` files"),
        (".h5", "`.h5` files"),
    ];
    KINDS.into_iter().find(|(suffix, _)| names.iter().any(|n| n.ends_with(suffix))).map(|(_, found)| found)
}
