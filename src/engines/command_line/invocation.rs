//! What a command says, as values.

use std::collections::BTreeMap;

use super::{CommandTemplate, Warning};
use crate::engines::{EntryPoint, Settings};

/// Where the version of an engine was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionSource {
    /// The tag of a container image.
    ImageTag,
    /// A requirement on the package: `uv run --with vllm==0.11.2`, `pip install vllm==0.11.2 && …`.
    Requirement,
}

/// A folder of the host inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its path on the host.
    pub host: String,
    /// Its path inside.
    pub inside: String,
}

/// What a command says.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Variables the engine's process sees, as far as the command sets them. They may hold secrets and are not for printing.
    pub environment: BTreeMap<String, String>,
    /// The engine's registry name: `vllm`.
    pub engine: &'static str,
    /// Its version and where that was read.
    pub version: Option<(String, VersionSource)>,
    /// How it is started.
    pub entry_point: EntryPoint,
    /// The model as the engine is given it; see [`Invocation::model_on_host`].
    pub model: Option<String>,
    /// Everything else that changes memory.
    pub settings: Settings,
    /// `CUDA_VISIBLE_DEVICES` as if no container were around; `None` when the command leaves it open.
    pub visible_devices: Option<String>,
    /// `--config`: settings in a file, which are overlaid by those of the command.
    pub config_file: Option<String>,
    /// Folders of the host inside the container.
    pub mounts: Vec<Mount>,
    /// What was not understood or deserves a word.
    pub warnings: Vec<Warning>,
    /// The command itself, to be written again with changes.
    pub template: CommandTemplate,
}

impl Invocation {
    /// The model's path on the host where the command gives a path inside a container, else the model as given.
    #[must_use]
    pub fn model_on_host(&self) -> Option<String> {
        let model = self.model.as_deref()?;
        let inside = |mount: &&Mount| {
            let rest = model.strip_prefix(mount.inside.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mount = self.mounts.iter().filter(inside).max_by_key(|m| m.inside.len());
        Some(mount.map_or_else(
            || model.to_owned(),
            |m| format!("{}{}", m.host.trim_end_matches('/'), &model[m.inside.trim_end_matches('/').len()..]),
        ))
    }
}
