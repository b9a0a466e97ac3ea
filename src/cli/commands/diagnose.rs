//! `shardfit diagnose`
#![expect(clippy::disallowed_methods, reason = "reads the pattern files that the user names")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::args::{EngineFlags, FleetFlags};
use crate::cli::{Exit, Format, Output, Problem, picture, resolve};
use crate::engines::command_line::{CommandTemplate, read_any_text};
use crate::engines::{ContextLength, Settings, Version, engine};
use crate::hardware::{Described, Fleet, FleetSource, FleetSpec, described};
use crate::oom::{Diagnosis, Events, Facts, KnownModel, Patterns, Scanner, Value, diagnose};
use crate::planning::{PlanRequest, VersionSource};
use crate::profiles::models::built_in_model;
use crate::profiles::oom::{built_in_oom_patterns, read_oom_patterns};
use crate::report::render::chart::Bars;
use crate::report::render::{diagnosis_markdown, diagnosis_text};
use crate::report::{DiagnosisReport, LogReport};
use crate::sources::logs::{LogFile, scan_logs};
use crate::units::Bytes;

/// Largest report that is read for a comparison.
const LARGEST_REPORT: u64 = 64 << 20;

/// Flags of `diagnose`.
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// Log files (plain, gzip, zstd), folders of rank logs, or `-` for standard input
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Another log, or a JSON report of this command, to compare with: what moved
    #[arg(long, value_name = "OTHER")]
    pub against: Option<PathBuf>,
    /// Draw where the bytes of the card went, as `.svg` or `.png`
    #[arg(long, value_name = "FILE")]
    pub chart: Option<PathBuf>,
    /// Draw on a dark background
    #[arg(long, requires = "chart")]
    pub dark: bool,
    /// What the log does not say.
    #[command(flatten)]
    pub known: KnownFlags,
}

/// What is known beside the log.
#[derive(Debug, Clone, Args)]
pub struct KnownFlags {
    /// The model: a folder, a `config.json`, a Hub id, a built-in model, or a name that tells its size
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Cards.
    #[command(flatten)]
    pub fleet: FleetFlags,
    /// Engine and its settings.
    #[command(flatten)]
    pub engine: EngineFlags,
    /// The command that started the engine, in one text
    #[arg(long, value_name = "TEXT")]
    pub command: Option<String>,
}

/// Diagnoses logs.
///
/// # Errors
/// When a log cannot be read, or a flag is bad.
pub fn run(args: &DiagnoseArgs, output: &mut Output) -> Result<Exit, Problem> {
    let patterns = patterns(args.known.fleet.profile_dir.as_deref())?;
    let mut known = Known::new(&args.known)?;
    let mut scanner = Scanner::new(&patterns);
    let files = scan_logs(&args.logs, &mut scanner).map_err(|e| Problem::usage(&e).hint(e.repair()))?;
    let events = scanner.finish();
    let mut report = known.report(&events, &files).1;
    if let Some(path) = &args.against {
        report.compare(&other(path, &patterns, &mut known)?);
    }
    if let Some(path) = &args.chart {
        match Bars::of_diagnosis(&report) {
            Some(bars) => picture::write(&bars, path, args.dark)?,
            None => output.warn("no finding tells where the bytes of a card went: nothing is drawn"),
        }
    }
    print(&report, output);
    Ok(exit(&report))
}

/// The report of another log, or one that was written before.
fn other(path: &Path, patterns: &Patterns, known: &mut Known) -> Result<DiagnosisReport, Problem> {
    let is_report = path.extension().is_some_and(|extension| extension == "json");
    if is_report && fs::metadata(path).is_ok_and(|metadata| metadata.len() <= LARGEST_REPORT) {
        let text = fs::read_to_string(path)
            .map_err(|e| Problem::usage(format!("`{}` cannot be read: {e}", path.display())))?;
        if let Ok(report) = serde_json::from_str(&text) {
            return Ok(report);
        }
    }
    let mut scanner = Scanner::new(patterns);
    let files = scan_logs(&[path.to_owned()], &mut scanner).map_err(|e| Problem::usage(&e).hint(e.repair()))?;
    Ok(known.report(&scanner.finish(), &files).1)
}

/// Prints a report in the format asked for.
pub(super) fn print(report: &DiagnosisReport, output: &mut Output) {
    match output.format {
        Format::Json => output.json(report),
        Format::Markdown => output.data(&diagnosis_markdown(report)),
        Format::Text | Format::Csv => output.data(&diagnosis_text(report)),
    }
}

fn exit(report: &DiagnosisReport) -> Exit {
    match report.findings.first() {
        None => Exit::Fits,
        Some(finding) if finding.cause == crate::engines::Cause::Unknown => Exit::CannotTell,
        Some(_) => Exit::DoesNotFit,
    }
}

/// The built-in patterns and those of a folder.
pub(super) fn patterns(folder: Option<&Path>) -> Result<Patterns, Problem> {
    let mut all = built_in_oom_patterns().map_err(Problem::usage)?;
    if let Some(folder) = folder.map(|folder| folder.join("oom")).filter(|folder| folder.exists()) {
        let shown = folder.display().to_string();
        let unreadable = |e: std::io::Error| Problem::usage(format!("`{shown}` cannot be read: {e}"));
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path).map_err(unreadable)?;
            all.extend(read_oom_patterns(&path.display().to_string(), &text).map_err(Problem::usage)?);
        }
    }
    Patterns::new(all).map_err(|e| Problem::usage(e).hint("correct the pattern file, or leave out `--profile-dir`"))
}

/// What flags and a command say of the deployment, made ready for logs.
pub(super) struct Known {
    facts: Facts,
    model: Option<resolve::ResolvedModel>,
    fleet: Option<Fleet>,
    notes: Vec<String>,
}

impl Known {
    /// Reads the flags.
    ///
    /// # Errors
    /// When a value is bad; a model that is not found is a note, as its name may still tell its size.
    pub(super) fn new(flags: &KnownFlags) -> Result<Self, Problem> {
        let mut notes = Vec::new();
        let mut settings = Settings::default();
        let mut template: Option<CommandTemplate> = None;
        let (mut name, mut engine_name, mut version, mut mask) = (flags.model.clone(), None, None, None);
        if let Some(text) = &flags.command {
            match read_any_text(text) {
                Ok(invocation) => {
                    name = name.or_else(|| invocation.model_on_host());
                    engine_name = Some(invocation.engine.to_owned());
                    version = invocation.version.as_ref().map(|(version, _)| version.clone());
                    mask = invocation.visible_devices.clone();
                    notes.extend(invocation.warnings.iter().map(ToString::to_string));
                    settings = invocation.settings;
                    template = Some(invocation.template);
                }
                Err(error) => notes.push(format!("the command was not read: {error}")),
            }
        }
        if let Some(text) = &flags.engine.engine {
            let (named, of_version) = text.split_once('@').map_or((text.as_str(), None), |(n, v)| (n, Some(v)));
            engine_name = Some(named.to_ascii_lowercase());
            version = of_version.map(str::to_owned).or(version);
        }
        settings.overlay(flags.engine.settings()?);
        let model = name.as_deref().and_then(|name| known_model(name, flags.model.is_some(), &mut notes));
        let (cards, fleet) = cards(&flags.fleet, mask.as_deref(), &mut notes)?;
        let known = match (&model, &name) {
            (Some(resolved), _) => KnownModel::of(resolved.model.clone()),
            (None, Some(name)) => KnownModel::named(name),
            (None, None) => KnownModel::default(),
        };
        let facts = Facts {
            engine: engine_name,
            version,
            model: known,
            cards,
            capacity: fleet.as_ref().and_then(|f| f.cards.iter().map(|c| c.capacity).min()),
            tensor_parallel: settings.tensor_parallel,
            pipeline_parallel: settings.pipeline_parallel,
            memory_share: settings.memory_fraction.map(|f| f.get()),
            settings,
            request: None,
            template,
        };
        Ok(Self { facts, model, fleet, notes })
    }

    /// The diagnosis of a scan, and its report.
    pub(super) fn report(&mut self, events: &Events, files: &[LogFile]) -> (Diagnosis, DiagnosisReport) {
        let mut facts = self.facts.clone();
        facts.request = self.request(&facts.clone().with_log(events), events);
        let diagnosis = diagnose(events, &facts);
        let lines = events.lines.iter().copied().chain(std::iter::repeat(0));
        let files_read: Vec<LogReport> = files
            .iter()
            .zip(lines)
            .map(|(file, lines)| LogReport { name: file.name.clone(), size_bytes: file.size, lines })
            .collect();
        let mut notes = self.notes.clone();
        notes.extend(files.iter().filter_map(|file| Some(format!("`{}`: {}", file.name, file.note.as_ref()?))));
        notes.extend(empty(files));
        let report = DiagnosisReport::new(&diagnosis, files_read, notes);
        (diagnosis, report)
    }

    /// Everything that planning needs, where flags and log together give it.
    fn request(&mut self, facts: &Facts, events: &Events) -> Option<PlanRequest> {
        let found = engine(facts.engine.as_deref()?)?;
        if self.model.is_none() {
            let name = facts.model.name.clone()?;
            self.model = known_model(&name, false, &mut self.notes);
        }
        let resolved = self.model.as_ref()?;
        let fleet = self.fleet.clone()?;
        let mut settings = facts.settings.clone();
        settings.tensor_parallel = settings.tensor_parallel.or(facts.tensor_parallel);
        settings.pipeline_parallel = settings.pipeline_parallel.or(facts.pipeline_parallel);
        let stated = |name: &str| match events.field(name) {
            Some(Value::Text(text)) if text != "None" && text != "auto" => Some(text.clone()),
            _ => None,
        };
        settings.kv_cache_dtype = settings.kv_cache_dtype.or_else(|| stated("kv_cache_dtype"));
        settings.enforce_eager = settings.enforce_eager.or_else(|| stated("enforce_eager").map(|text| text == "True"));
        settings.max_num_seqs = settings.max_num_seqs.or_else(|| events.number("max_num_seqs").map(|n| n as u64));
        if settings.max_model_len == ContextLength::Model
            && let Some(length) = events.number("max_model_len")
        {
            settings.max_model_len = ContextLength::Tokens(length as u64);
        }
        let version = facts.version.as_deref().and_then(Version::read);
        Some(PlanRequest {
            model: resolved.model.clone(),
            source: resolved.source,
            checkpoint_bytes: resolved.bytes,
            engine: found,
            version: version.unwrap_or_else(|| found.newest()),
            version_source: if version.is_some() { VersionSource::Flag } else { VersionSource::Newest },
            settings,
            fleet,
        })
    }
}

/// How many cards there were, and which. After the fact a description has to do: what names no card that is known is a note, not an error.
fn cards(
    flags: &FleetFlags,
    mask: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<(Option<u32>, Option<Fleet>), Problem> {
    let Some(text) = &flags.gpus else { return Ok((None, None)) };
    let problem = match resolve::fleet(flags, mask) {
        Ok(fleet) => return Ok((u32::try_from(fleet.cards.len()).ok(), Some(fleet))),
        // Words that no profile answers to; a slip such as `0xA10` or `4x` stays an error.
        Err(problem) if matches!(text.parse(), Ok(FleetSpec::Listed(_))) => problem,
        Err(problem) => return Err(problem),
    };
    let found = described(text, &resolve::catalogue(flags)?);
    if found == Described::default() {
        return Err(problem);
    }
    let (count, card) = (found.count.unwrap_or(1), found.card);
    let taken = match &card {
        Some(card) => format!("{count}×{}", card.label),
        None => format!("{count} of unknown size"),
    };
    notes.push(format!("`--gpus {text}` is taken as {taken}: {}", problem.message));
    let fleet = card.map(|card| Fleet { cards: vec![card; count as usize], source: FleetSource::Given });
    Ok((Some(count), fleet))
}

fn empty(files: &[LogFile]) -> Option<String> {
    files.iter().all(|file| file.size == Bytes::ZERO).then(|| "there was no text to read".to_owned())
}

/// A model by its name: built in or on disk at once; from the Hub only when the user names it. What is not found is a note.
fn known_model(name: &str, is_asked: bool, notes: &mut Vec<String>) -> Option<resolve::ResolvedModel> {
    let is_near = Path::new(name).exists() || built_in_model(name).is_ok();
    let may_be_on_hub = is_asked && name.contains('/');
    if !(is_near || may_be_on_hub) {
        return None;
    }
    match resolve::model(name) {
        Ok(model) => Some(model),
        Err(problem) => {
            notes.push(format!("only the name of the model is used: {}", problem.message));
            None
        }
    }
}
