//! From what was typed to what it means: the model, the cards, the engine.
#![expect(clippy::disallowed_methods, reason = "reads the environment and the user's files by design")]

use std::path::Path;

use serde_json::Value;

use super::Problem;
use super::args::{EngineFlags, FleetFlags};
use super::calibration;
use crate::engines::command_line::{self, CommandError, CommandTemplate, ScriptCommand, read_words};
use crate::engines::{ENGINES, Engine, Settings, Version, engine};
use crate::hardware::{
    DeviceOrder, Fleet, FleetSource, FleetSpec, ResolveError, VisibleDevices, resolve, resolve_snapshot,
};
use crate::model::{Checkpoint, ConfigError, Model};
use crate::planning::{ModelSource, PlanRequest, VersionSource};
use crate::probe::{NvmlProbe, Probe, ProbeError, Wanted};
use crate::profiles::gpus::{GpuCatalogue, SelectGpuError};
use crate::profiles::models::{SelectModelError, built_in_model};
use crate::sources::gguf::GgufModel;
use crate::sources::{self, HubSettings, Origin, SourceError, open_script};
use crate::units::{Bytes, DType};

/// A model with all that was found out about it.
pub struct ResolvedModel {
    /// The model.
    pub model: Model,
    /// Where its facts come from.
    pub source: ModelSource,
    /// Its files, where there are any.
    pub checkpoint: Option<Checkpoint>,
    /// Bytes of its tensors.
    pub bytes: Option<Bytes>,
    /// What the reader must know: disagreements, oddities of the folder.
    pub notes: Vec<String>,
}

/// Most disagreements named one by one.
const NAMED: usize = 3;

/// A path, a built-in model, or a Hub id.
///
/// # Errors
/// When there is no such model, or its facts do not suffice.
pub fn model(text: &str) -> Result<ResolvedModel, Problem> {
    if text.trim().is_empty() {
        return Err(no_model("the name of the model is empty"));
    }
    let path = Path::new(text);
    if path.exists() && path.extension().is_some_and(|extension| extension == "gguf") {
        return Err(gguf(path));
    }
    if path.exists() {
        let source = sources::open_path(path).map_err(bad_source)?;
        return from_source(source, path);
    }
    match built_in_model(text) {
        Ok(profile) => {
            let read = |text: &str| serde_json::from_str::<Value>(text).map_err(Problem::usage);
            let config = read(profile.config)?;
            let quantization = profile.quantization.map(read).transpose()?;
            let model = Model::from_config(&config, quantization.as_ref()).map_err(bad_config)?.named(profile.id());
            let bytes = model.checkpoint_bytes();
            Ok(ResolvedModel { model, source: ModelSource::Profile, checkpoint: None, bytes, notes: Vec::new() })
        }
        Err(error @ SelectModelError::Ambiguous { .. }) => Err(Problem::usage(error)),
        Err(SelectModelError::Unknown { nearest, .. }) => {
            if is_hub_id(text) {
                return hub(text, &nearest);
            }
            let mut problem = Problem::usage(format!("`{text}` is neither a path nor a built-in model nor a Hub id"));
            problem = problem.hint("name a folder, a `config.json`, or `organisation/name`");
            Err(with_nearest(problem, &nearest))
        }
    }
}

fn bad_command(error: CommandError) -> Problem {
    match error {
        CommandError::NotModelled { .. } => {
            Problem::cannot_tell(error).hint("plan the same model under vLLM: `shardfit plan -- vllm serve MODEL`")
        }
        _ => Problem::usage(error),
    }
}

fn no_model(message: &str) -> Problem {
    Problem::usage(message).hint("`shardfit plan Qwen/Qwen2.5-7B-Instruct --gpus 1xA10`, or paste a command after `--`")
}

/// A GGUF file is read, but no engine whose memory model is known runs it.
fn gguf(path: &Path) -> Problem {
    match GgufModel::open(path) {
        Err(error) => Problem::usage(error).hint("download the file again"),
        Ok(model) => Problem::cannot_tell(format!(
            "`{}` holds {} of {} weights in {} tensors, and the memory model of llama.cpp, which runs it, is not in this version",
            path.display(),
            model.total_bytes(),
            model.architecture().unwrap_or("unnamed"),
            model.tensors().count()
        ))
        .hint("plan the same model's `config.json` or Hub id under vLLM or Transformers"),
    }
}

fn with_nearest(problem: Problem, nearest: &[String]) -> Problem {
    match nearest {
        [] => problem,
        ids => problem.hint(format!("built in with a similar name: {}", ids.join(", "))),
    }
}

/// `organisation/name`, with a revision or without; nothing that looks like a path.
fn is_hub_id(text: &str) -> bool {
    let bare = text.split_once('@').map_or(text, |(id, _)| id);
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    matches!(bare.split_once('/'), Some((organisation, name)) if plain(organisation) && plain(name))
}

fn hub(id: &str, nearest: &[String]) -> Result<ResolvedModel, Problem> {
    match sources::open(id, &HubSettings::from_env()) {
        Ok(source) => from_source(source, Path::new(id)),
        Err(error) => Err(with_nearest(bad_source(error), nearest)),
    }
}

fn bad_source(error: SourceError) -> Problem {
    let problem = if error.is_out_of_reach() { Problem::cannot_tell(&error) } else { Problem::usage(&error) };
    problem.hint(error.repair())
}

fn from_source(source: sources::ModelSource, path: &Path) -> Result<ResolvedModel, Problem> {
    let (model, assumptions) = read_model(&source).map_err(bad_config)?;
    let model = match &source.id {
        Some(id) => model.named(id.clone()),
        None => model.named(local_name(&source.origin, path)),
    };
    let mut notes = source.notes;
    let is_assumed = !assumptions.is_empty();
    notes.extend(assumptions);
    let Some(checkpoint) = source.checkpoint else {
        notes.extend(source.checkpoint_reason.map(|reason| format!("planned from the config alone: {reason}")));
        let bytes = model.checkpoint_bytes();
        return Ok(ResolvedModel { model, source: ModelSource::Config, checkpoint: None, bytes, notes });
    };
    let model = model.with_stored_names(|name| checkpoint.get(name).is_some());
    // A model that was read from these tensors cannot disagree with them.
    if !is_assumed {
        let disagreements = model.disagreements(stored(&checkpoint));
        notes.extend(disagreements.iter().take(NAMED).map(ToString::to_string));
        if disagreements.len() > NAMED {
            notes.push(format!("{} more tensors disagree with the config", disagreements.len() - NAMED));
        }
    }
    let kind = match source.origin {
        Origin::Hub { .. } | Origin::HubCache { .. } => ModelSource::Hub,
        Origin::Folder(_) | Origin::WeightsFile(_) | Origin::ConfigFile(_) => ModelSource::Checkpoint,
    };
    let bytes = Some(checkpoint.total_bytes());
    Ok(ResolvedModel { model, source: kind, checkpoint: Some(checkpoint), bytes, notes })
}

/// The model of a source and what had to be assumed: an architecture that is not known is read from the names and shapes of its tensors.
fn read_model(source: &sources::ModelSource) -> Result<(Model, Vec<String>), ConfigError> {
    match (Model::from_config(&source.config, source.quant_config.as_ref()), &source.checkpoint) {
        (Err(ConfigError::UnknownArchitecture(_)), Some(checkpoint)) => {
            let assumed = Model::from_tensors(&source.config, stored(checkpoint))?;
            Ok((assumed.model, assumed.assumptions))
        }
        (model, _) => Ok((model?, Vec::new())),
    }
}

fn stored(checkpoint: &Checkpoint) -> impl Iterator<Item = (&str, DType, &[u64])> {
    checkpoint.tensors().iter().map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice()))
}

/// What to call a model without an id: a config under a name of its own is named after its model, all else after its folder.
fn local_name(origin: &Origin, path: &Path) -> String {
    match (origin, path.file_stem()) {
        (Origin::ConfigFile(_), Some(stem)) if stem != "config" => stem.to_string_lossy().into_owned(),
        _ => folder_name(path),
    }
}

/// The last component of a path that names the model rather than a file in it.
fn folder_name(path: &Path) -> String {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let named = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
    named.and_then(Path::file_name).map_or_else(|| "model".to_owned(), |n| n.to_string_lossy().into_owned())
}

fn bad_config(error: ConfigError) -> Problem {
    match error {
        ConfigError::UnknownArchitecture(_) => Problem::cannot_tell(&error)
            .hint("name the checkpoint's folder or Hub id: with the headers of its tensors it is planned by their names and shapes"),
        ConfigError::UnknownQuantization(_) => Problem::usage(&error)
            .hint("correct `quant_method`, or remove `quantization_config` to plan the model unquantised"),
        ConfigError::Missing { .. } | ConfigError::NoArchitecture => Problem::usage(&error).hint("complete the config from the model's publisher"),
        _ => Problem::usage(&error).hint("correct the config, or download it again from the model's publisher"),
    }
}

/// The cards of `--gpus`, or those of this machine.
///
/// # Errors
/// When the text names no cards, or the driver must be asked and does not answer.
pub fn fleet(flags: &FleetFlags, mask: Option<&str>) -> Result<Fleet, Problem> {
    let spec = match &flags.gpus {
        Some(text) => text.parse::<FleetSpec>().map_err(Problem::usage)?,
        None => FleetSpec::Live,
    };
    match spec {
        FleetSpec::Live => live_fleet(mask, flags),
        FleetSpec::Listed(_) => resolve(&spec, &catalogue(flags)?).map_err(bad_fleet),
    }
}

/// Largest profile read: they are a page long.
const LARGEST_PROFILE: u64 = 1 << 20;

/// The built-in card profiles and those of `--profile-dir`.
///
/// # Errors
/// When the folder cannot be read, or one of its profiles does not parse.
pub fn catalogue(flags: &FleetFlags) -> Result<GpuCatalogue, Problem> {
    let Some(folder) = &flags.profile_dir else { return Ok(GpuCatalogue::built_in()) };
    // A folder may add messages of logs alone.
    if !folder.join("gpus").exists() && folder.join("oom").exists() {
        return Ok(GpuCatalogue::built_in());
    }
    let folder = folder.join("gpus");
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Problem::usage(format!("`{}` cannot be read: {error}", path.display()))
            .hint("`--profile-dir FOLDER` takes card profiles from `FOLDER/gpus/*.toml`")
    };
    let entries = std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut texts = Vec::new();
    for path in &paths {
        let size = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
        if size > LARGEST_PROFILE {
            return Err(unreadable(path, &format!("it has {size} bytes, and a profile has at most {LARGEST_PROFILE}")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        texts.push((path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(), text));
    }
    GpuCatalogue::with_texts(texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))).map_err(|error| {
        Problem::usage(error).hint("the built-in profiles show the fields: `shardfit profiles show a10`")
    })
}

fn bad_fleet(error: ResolveError) -> Problem {
    let problem = Problem::usage(&error);
    match error {
        ResolveError::Name(SelectGpuError::Unknown { .. }) => {
            problem.hint("a card without a profile is planned by its size: `--gpus 4x24GiB`")
        }
        _ => problem,
    }
}

fn live_fleet(mask: Option<&str>, flags: &FleetFlags) -> Result<Fleet, Problem> {
    let asked = flags.gpus.is_some();
    let no_driver = |error: &ProbeError| {
        let problem = Problem::cannot_tell(error);
        match error.hint() {
            // Who asked for this machine's cards wants them; everybody else may have meant others.
            Some(hint) if asked => problem.hint(hint),
            _ => problem.hint("name the cards to plan for: `--gpus 4xA10` or `--gpus 4x24GiB`"),
        }
    };
    let mut probe = NvmlProbe::open(Wanted::MEMORY).map_err(|e| no_driver(&e))?;
    let snapshot = probe.snapshot().map_err(|e| no_driver(&e))?;
    let order = match std::env::var("CUDA_DEVICE_ORDER") {
        Ok(order) if order == "PCI_BUS_ID" => DeviceOrder::PciBusId,
        _ => DeviceOrder::FastestFirst,
    };
    let own = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let visible = VisibleDevices::select(&snapshot, order, mask.or(own.as_deref())).map_err(Problem::usage)?;
    if visible.ordinals.is_empty() {
        return Err(Problem::cannot_tell("no card is visible: CUDA_VISIBLE_DEVICES hides all of them"));
    }
    let mut fleet = resolve_snapshot(&snapshot, &visible, FleetSource::Live, &catalogue(flags)?).map_err(bad_fleet)?;
    if !flags.no_calibration
        && let Some(measured) = calibration::read()?
    {
        calibration::apply(&measured, &mut fleet, snapshot.driver_version.as_ref().known().map(String::as_str));
    }
    Ok(fleet)
}

/// Engine and version of `--engine NAME[@VERSION]`; a version from elsewhere fills in when the flag names none.
///
/// # Errors
/// When the name is no engine, or the version none.
pub fn engine_version(
    flags: &EngineFlags,
    name: Option<&str>,
    elsewhere: Option<(Version, VersionSource)>,
) -> Result<(&'static dyn Engine, (Version, VersionSource)), Problem> {
    let text = flags.engine.as_deref().or(name).unwrap_or("vllm");
    let (name, version) = text.split_once('@').map_or((text, None), |(n, v)| (n, Some(v)));
    let found = engine(name).ok_or_else(|| {
        let known: Vec<_> = ENGINES.iter().map(|e| e.name()).collect();
        Problem::usage(format!("`{name}` is no engine whose memory model is known"))
            .hint(format!("known: {}", known.join(", ")))
    })?;
    if let Some(version) = version {
        let version = version.parse().map_err(Problem::usage)?;
        return Ok((found, (version, VersionSource::Flag)));
    }
    Ok((found, elsewhere.unwrap_or((found.newest(), VersionSource::Newest))))
}

/// A model and how it is to be served, as typed or pasted; the cards are still open.
pub struct Subject {
    /// The model.
    pub model: ResolvedModel,
    /// The engine.
    pub engine: &'static dyn Engine,
    /// Its version, and who said so.
    pub version: (Version, VersionSource),
    /// What was set.
    pub settings: Settings,
    /// What the reader must know about the command.
    pub notes: Vec<String>,
    /// The pasted command, to be written again with repairs.
    pub template: Option<CommandTemplate>,
    /// `CUDA_VISIBLE_DEVICES` of the pasted command.
    pub mask: Option<String>,
}

/// Resolves a model with flags, or a pasted command that flags may change.
///
/// # Errors
/// When the command cannot be read, or the model or the engine cannot be found.
pub fn subject(model_text: Option<&str>, flags: &EngineFlags, command: &[String]) -> Result<Subject, Problem> {
    let typed = flags.settings()?;
    if command.is_empty() {
        let name = model_text.ok_or_else(|| no_model("no model is named"))?;
        if Path::new(name).extension().is_some_and(|extension| extension == "py") {
            return script(Path::new(name), flags, typed);
        }
        let (engine, version) = engine_version(flags, None, None)?;
        let model = model(name)?;
        return Ok(Subject { model, engine, version, settings: typed, notes: Vec::new(), template: None, mask: None });
    }
    let invocation = match (read_words(command), command_line::read_script(command)) {
        // An engine that is not known may be called by a script that can be read.
        (Err(CommandError::UnknownProgram { .. }), Some(run)) => return script_of(&run, flags, typed),
        (read, _) => read.map_err(bad_command)?,
    };
    let name = model_text.map(str::to_owned).or_else(|| invocation.model_on_host()).ok_or_else(|| {
        Problem::usage("the command names no model").hint("write it before the `--`: `shardfit plan MODEL -- COMMAND`")
    })?;
    let elsewhere = invocation.version.as_ref().and_then(|(text, source)| {
        let source = match source {
            command_line::VersionSource::ImageTag => VersionSource::ImageTag,
            command_line::VersionSource::Requirement => VersionSource::Requirement,
        };
        Version::read(text).map(|version| (version, source))
    });
    let (engine, version) = engine_version(flags, Some(invocation.engine), elsewhere)?;
    let mut settings = invocation.settings;
    settings.overlay(typed);
    let mut notes: Vec<String> = invocation.warnings.iter().map(ToString::to_string).collect();
    notes.extend(read_draft(engine, &mut settings));
    Ok(Subject {
        model: model(&name)?,
        engine,
        version,
        settings,
        notes,
        template: Some(invocation.template),
        mask: invocation.visible_devices,
    })
}

/// Reads the draft model that settings name; what stands in the way comes back for the reader, and the plan goes on without it.
fn read_draft(engine: &dyn Engine, settings: &mut Settings) -> Option<String> {
    let name = engine.draft(settings)?;
    match model(&name) {
        Ok(draft) => settings.draft_model = Some(Box::new(draft.model)),
        Err(problem) => return Some(format!("draft model: {}", problem.message)),
    }
    None
}

/// A Python script: the literal arguments of its call that loads a model; flags win over them.
fn script(path: &Path, flags: &EngineFlags, typed: Settings) -> Result<Subject, Problem> {
    let reading = open_script(path).map_err(|error| {
        let repair = error.repair();
        Problem::usage(error).hint(repair)
    })?;
    let (engine, version) = engine_version(flags, Some(reading.engine), None)?;
    let mut settings = reading.settings;
    settings.overlay(typed);
    let mut notes = vec![format!("read from line {} of `{}`", reading.line, path.display())];
    notes.extend(reading.notes);
    notes.extend(read_draft(engine, &mut settings));
    Ok(Subject { model: model(&reading.model)?, engine, version, settings, notes, template: None, mask: None })
}

/// The script that a command runs.
fn script_of(run: &ScriptCommand, flags: &EngineFlags, typed: Settings) -> Result<Subject, Problem> {
    let mut subject = script(Path::new(&run.path), flags, typed)?;
    subject.mask = run.visible_devices.clone();
    if let Some((launcher, count)) = &run.launcher {
        let count = count.map_or_else(|| "several".to_owned(), |count| count.to_string());
        subject.notes.push(format!("`{launcher}` starts {count} processes of the script: the plan is of one"));
    }
    Ok(subject)
}

/// The cards a subject would see.
///
/// # Errors
/// When the text names no cards, the driver does not answer, or the command hides them all.
pub fn fleet_for(subject: &Subject, flags: &FleetFlags) -> Result<Fleet, Problem> {
    visible_part(fleet(flags, subject.mask.as_deref())?, subject.mask.as_deref())
}

/// The cards of a given fleet that the command's mask leaves; a live fleet was already cut.
fn visible_part(fleet: Fleet, mask: Option<&str>) -> Result<Fleet, Problem> {
    let Some(mask) = mask.filter(|_| fleet.source == FleetSource::Given) else { return Ok(fleet) };
    let mut cards = Vec::new();
    for entry in mask.split(',').map(str::trim) {
        // An identity cannot be looked up in a fleet that is only named; it stands for the next card.
        let index = entry.parse::<usize>().unwrap_or(cards.len());
        match fleet.cards.get(index) {
            Some(card) => cards.push(card.clone()),
            None => break,
        }
    }
    if cards.is_empty() {
        return Err(Problem::usage(format!(
            "the command shows the engine no card: CUDA_VISIBLE_DEVICES is `{mask}` and `--gpus` names {}",
            fleet.cards.len()
        )));
    }
    Ok(Fleet { cards, source: fleet.source })
}

impl Subject {
    /// The request for these cards, and all notes on model and command.
    #[must_use]
    pub fn request(&self, fleet: Fleet) -> (PlanRequest, Vec<String>) {
        let request = PlanRequest {
            model: self.model.model.clone(),
            source: self.model.source,
            checkpoint_bytes: self.model.bytes,
            engine: self.engine,
            version: self.version.0,
            version_source: self.version.1,
            settings: self.settings.clone(),
            fleet,
        };
        (request, self.notes.iter().chain(&self.model.notes).cloned().collect())
    }
}
