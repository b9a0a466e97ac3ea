//! The way from a command's words to its engine: commands before it, its front, a container or a shell around it.

use std::collections::BTreeMap;

use super::dialects::{Dialect, dialect};
use super::program::{self, ModelFrom, Start};
use super::words::{self, Role, Word};
use super::{
    CommandError, CommandTemplate, Invocation, Mount, VersionSource, Warning, container, flags, front, values,
};
use crate::engines::EntryPoint;
use crate::engines::Version;
use crate::engines::vllm::FLASHINFER_SAMPLER;
use crate::engines::vllm::flags::{OLD_CORE, Program, apply, catalog};

/// What lies around a command: variables set before it, a container, a requirement installed before.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    environment: BTreeMap<String, String>,
    version: Option<(String, VersionSource)>,
    /// Cards a container lets through.
    exposed: Option<Vec<String>>,
    mounts: Vec<Mount>,
    warnings: Vec<Warning>,
    shells: usize,
    /// Whether engines are read whose memory is not modelled.
    any_engine: bool,
}

impl Surroundings {
    /// For commands of all engines that are recognised.
    pub(super) fn of_any_engine() -> Self {
        Self { any_engine: true, ..Self::default() }
    }
}

/// Shells within shells that are followed.
const MOST_SHELLS: usize = 3;

/// Takes the first command in `words` that starts an engine; those before it may set variables.
pub(super) fn read(words: Vec<Word>, around: &Surroundings) -> Result<Invocation, CommandError> {
    let mut around = around.clone();
    let mut refused = None;
    for indices in commands(&words) {
        let values: Vec<&str> = indices.iter().map(|&i| words[i].value.as_str()).collect();
        if set_up(&values, &mut around) {
            continue;
        }
        match command(&words, &indices, &values, &around) {
            Err(CommandError::UnknownProgram { program }) => {
                refused.get_or_insert(CommandError::UnknownProgram { program });
            }
            read => return read,
        }
    }
    Err(refused.unwrap_or(CommandError::Empty))
}

/// The commands in `words`, each as the positions of its arguments; redirections and their targets are left out.
pub(super) fn commands(words: &[Word]) -> Vec<Vec<usize>> {
    let mut commands = vec![Vec::new()];
    let mut target = false;
    for (i, word) in words.iter().enumerate() {
        match word.role {
            Role::Separator => commands.push(Vec::new()),
            Role::Redirection => {
                target = true;
                continue;
            }
            Role::Argument if !target => {
                if let Some(last) = commands.last_mut() {
                    last.push(i);
                }
            }
            Role::Argument | Role::Duplication => {}
        }
        target = false;
    }
    commands.retain(|c| !c.is_empty());
    commands
}

/// `export NAME=value`, `NAME=value` alone, `pip install vllm==0.11.2`: commands that prepare the engine's.
fn set_up(values: &[&str], around: &mut Surroundings) -> bool {
    let assignments = match values {
        ["export", rest @ ..] => rest,
        all => all,
    };
    if assignments.iter().all(|w| words::assignment(w).is_some()) {
        let pairs = assignments.iter().filter_map(|w| words::assignment(w));
        around.environment.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        return true;
    }
    if values.contains(&"install") && matches!(front::basename(values[0]), "pip" | "pip3" | "uv" | "python" | "python3")
    {
        if let Some(version) = values.iter().find_map(|w| front::required_version(w, "vllm")) {
            around.version = Some((version, VersionSource::Requirement));
        }
        return true;
    }
    false
}

/// One command: its front, then a container, a shell or an engine.
fn command(
    words: &[Word],
    indices: &[usize],
    values: &[&str],
    around: &Surroundings,
) -> Result<Invocation, CommandError> {
    let front = front::read(values);
    let mut here = around.clone();
    here.environment.extend(front.environment.clone());
    here.version = front.requirement.map(|v| (v, VersionSource::Requirement)).or(here.version);
    let rest = &values[front.length..];
    if container::starts_container(rest) {
        return in_container(words, indices, values, front.length, here);
    }
    if let Some(position) = shell_text(rest) {
        return in_shell(words, indices[front.length + position], here);
    }
    // Something unknown may stand in front (`nsys profile …`): then an engine further on counts.
    for at in 0..rest.len() {
        let Some(start) = program::recognise(&rest[at..]) else { continue };
        if !is_read(&start, &here) {
            continue;
        }
        if at > 0 {
            here.warnings.push(Warning::SkippedFront { words: rest[..at].join(" ") });
        }
        return started(words, indices, front.length + at, start, here, front::basename(rest[at]));
    }
    match rest.first() {
        Some(name) => Err(program::refusal(program::recognise(rest), front::basename(name))),
        None => Err(CommandError::Empty),
    }
}

/// Whether the arguments of such a start can be read.
fn is_read(start: &Start, around: &Surroundings) -> bool {
    match start {
        Start::Vllm { .. } => true,
        Start::Other { engine, .. } => around.any_engine && dialect(engine).is_some(),
        Start::Nothing(_) | Start::Unread(_) => false,
    }
}

/// An engine's program, the first word of whose name is at `at`.
fn started(
    words: &[Word],
    indices: &[usize],
    at: usize,
    start: Start,
    around: Surroundings,
    name: &str,
) -> Result<Invocation, CommandError> {
    match start {
        Start::Vllm { program, model, own_defaults, length } => {
            vllm(words, indices, at + length, Started { program, model, own_defaults }, around)
        }
        Start::Other { engine, length } if around.any_engine => match dialect(engine) {
            Some(dialect) => other(words, indices, at + length, dialect, around),
            None => Err(CommandError::NotModelled { engine }),
        },
        start => Err(program::refusal(Some(start), name)),
    }
}

/// The arguments of an engine whose memory is not modelled, from the word at `start` on. Flags that are not known do not matter.
fn other(
    words: &[Word],
    indices: &[usize],
    start: usize,
    dialect: &'static Dialect,
    around: Surroundings,
) -> Result<Invocation, CommandError> {
    let mut start = start.min(indices.len());
    while indices.get(start).is_some_and(|&i| dialect.subcommands.contains(&words[i].value.as_str())) {
        start += 1;
    }
    let arguments = &indices[start..];
    let values: Vec<&str> = arguments.iter().map(|&i| words[i].value.as_str()).collect();
    let catalog = dialect.catalog();
    let reading = flags::read(&values, &catalog)?;
    let applied = apply(&reading.occurrences, None)?;
    let from = if dialect.takes_word { ModelFrom::Positional } else { ModelFrom::Flag };
    // Words that follow unknown flags are theirs, and say nothing about this command.
    let model = model(&values, &reading.positionals, &reading.loose, applied.model, from, &mut Vec::new());
    let after = start.checked_sub(1).and_then(|i| indices.get(i)).map_or(0, |&i| i + 1);
    let template =
        CommandTemplate::new(words.to_vec(), arguments, reading.occurrences, reading.end_of_flags, after, &catalog);
    let mask = around.environment.get("CUDA_VISIBLE_DEVICES").cloned();
    Ok(Invocation {
        environment: around.environment,
        engine: dialect.id,
        version: None,
        entry_point: EntryPoint::Server,
        // Ollama serves whatever is asked for.
        model: model.filter(|model| model != "serve"),
        settings: applied.settings,
        visible_devices: visible(around.exposed, mask),
        config_file: None,
        mounts: around.mounts,
        warnings: around.warnings,
        template,
    })
}

/// The position of the command text in `bash -c TEXT`.
pub(super) fn shell_text(values: &[&str]) -> Option<usize> {
    let shell = front::basename(values.first()?);
    if !matches!(shell, "sh" | "bash" | "zsh" | "dash" | "ash") {
        return None;
    }
    let flag = values.iter().skip(1).position(|w| w.starts_with('-') && !w.starts_with("--") && w.ends_with('c'))?;
    values.get(flag + 2).map(|_| flag + 2)
}

/// A command inside `bash -c "…"`, the word at `index`.
fn in_shell(words: &[Word], index: usize, mut around: Surroundings) -> Result<Invocation, CommandError> {
    around.shells += 1;
    if around.shells > MOST_SHELLS {
        return Err(CommandError::TooDeep);
    }
    let mut invocation = read(words::split(&words[index].value)?, &around)?;
    invocation.template = invocation.template.inside(words.to_vec(), index);
    Ok(invocation)
}

/// Variables that steer an engine and are of no use to a container's client.
fn steers_engine(name: &str) -> bool {
    name == "CUDA_VISIBLE_DEVICES" || name.starts_with("VLLM_") || name.starts_with("PYTORCH_")
}

/// `docker run … IMAGE …`, from the word at `start` on.
fn in_container(
    words: &[Word],
    indices: &[usize],
    values: &[&str],
    start: usize,
    mut around: Surroundings,
) -> Result<Invocation, CommandError> {
    let container = container::read(&values[start..], &around.environment)?;
    let outside: Vec<String> = around.environment.keys().filter(|name| steers_engine(name)).cloned().collect();
    let lost = outside.into_iter().filter(|name| !container.environment.contains_key(name));
    around.warnings.extend(lost.map(|name| Warning::OutsideContainer { name }));
    around.warnings.extend(container.warnings);
    around.environment = container.environment;
    around.exposed = container.devices;
    around.mounts = container.mounts;
    let image = container.image.as_deref().unwrap_or_default();
    around.version = program::version_of_image(image).map(|v| (v, VersionSource::ImageTag));

    let after = start + container.length;
    let inner = &values[after..];
    // `--entrypoint vllm IMAGE serve …`: the program is named before the image, its arguments after it.
    let full: Vec<&str> = container.entrypoint.as_deref().into_iter().chain(inner.iter().copied()).collect();
    let named = full.len() - inner.len();
    if let Some(position) = shell_text(&full).filter(|&position| position >= named) {
        return in_shell(words, indices[after + position - named], around);
    }
    if named > 0 {
        return match program::recognise(&full) {
            Some(Start::Vllm { program, model, own_defaults, length }) if length >= named => {
                vllm(words, indices, after + length - named, Started { program, model, own_defaults }, around)
            }
            Some(Start::Other { engine, length }) if length >= named => {
                let start = Start::Other { engine, length: length - named };
                started(words, indices, after, start, around, full[0])
            }
            other => Err(program::refusal(other, full[0])),
        };
    }
    if !inner.is_empty() {
        match command(words, &indices[after..], inner, &around) {
            Err(CommandError::UnknownProgram { .. } | CommandError::Empty) => {}
            read => return read,
        }
    }
    match program::of_image(image) {
        Some(Start::Vllm { program, model, own_defaults, .. }) => {
            // Some images start `vllm` and leave the subcommand to their arguments.
            let subcommand = usize::from(inner.first() == Some(&"serve"));
            vllm(words, indices, after + subcommand, Started { program, model, own_defaults }, around)
        }
        Some(start @ Start::Other { .. }) => started(words, indices, after, start, around, image),
        other => Err(program::refusal(other, inner.first().copied().unwrap_or(image))),
    }
}

/// A program of vLLM, without the words of its name.
struct Started {
    program: Program,
    model: ModelFrom,
    own_defaults: Option<&'static str>,
}

/// The arguments of vLLM, from the word at `start` on.
fn vllm(
    words: &[Word],
    indices: &[usize],
    start: usize,
    started: Started,
    around: Surroundings,
) -> Result<Invocation, CommandError> {
    let arguments = &indices[start.min(indices.len())..];
    let values: Vec<&str> = arguments.iter().map(|&i| words[i].value.as_str()).collect();
    let version = around.version.as_ref().and_then(|(text, _)| Version::read(text));
    let catalog = catalog(started.program, version);
    let reading = flags::read(&values, &catalog)?;
    let applied = apply(&reading.occurrences, version)?;

    let Surroundings { environment, version, exposed, mounts, mut warnings, .. } = around;
    warnings.extend(reading.warnings);
    let mut settings = applied.settings;
    settings.entry_point = match started.program {
        Program::Server | Program::Batch => EntryPoint::Server,
        Program::Bench | Program::Library => EntryPoint::Library,
    };
    if let Some(partition) = environment.get("VLLM_PP_LAYER_PARTITION").filter(|text| !text.is_empty()) {
        settings.layer_partition = Some(layers_of_stages(partition)?);
    }
    // vLLM 0.8 to 0.10 had two cores, V1 two samplers; these chose.
    for name in [OLD_CORE, FLASHINFER_SAMPLER] {
        if let Some(choice) = environment.get(name).filter(|text| !text.is_empty()) {
            settings.engine_flags.insert(name.to_owned(), choice.clone());
        }
    }
    let positional = applied.model.is_none();
    let model = model(&values, &reading.positionals, &reading.loose, applied.model, started.model, &mut warnings);
    warnings.extend(started.own_defaults.map(|program| Warning::OwnDefaults { program }));
    warnings.extend(applied.config_file.clone().map(|path| Warning::ConfigFile { path }));
    let telling = reading.occurrences.iter().filter(|o| o.flag.effect != flags::Effect::Nothing);
    let texts = telling.flat_map(|o| o.given.texts()).chain(positional.then_some(model.as_deref()).flatten());
    let unset = texts.filter(|text| values::holds_variable(text));
    warnings.extend(unset.map(|text| Warning::UnsetVariable { word: text.to_owned() }));
    let mask = environment.get("CUDA_VISIBLE_DEVICES").cloned().or(applied.devices);
    let after = start.checked_sub(1).and_then(|i| indices.get(i)).map_or(0, |&i| i + 1);
    let template =
        CommandTemplate::new(words.to_vec(), arguments, reading.occurrences, reading.end_of_flags, after, &catalog);
    Ok(Invocation {
        environment,
        engine: "vllm",
        version,
        entry_point: settings.entry_point,
        model,
        settings,
        visible_devices: visible(exposed, mask),
        config_file: applied.config_file,
        mounts,
        warnings,
        template,
    })
}

/// The model: `--model`, or the first word that belongs to no flag. Every other such word is stray.
fn model(
    values: &[&str],
    positionals: &[usize],
    loose: &[usize],
    flag: Option<String>,
    from: ModelFrom,
    warnings: &mut Vec<Warning>,
) -> Option<String> {
    let mut free = positionals.iter().map(|&i| values[i]);
    let positional = if flag.is_none() && from == ModelFrom::Positional { free.next() } else { None };
    warnings.extend(free.map(|word| Warning::StrayWord { word: word.to_owned() }));
    let after_unknown = || {
        let names: Vec<&str> = loose.iter().map(|&i| values[i]).filter(|w| w.contains('/')).collect();
        (from == ModelFrom::Positional && names.len() == 1).then(|| names[0].to_owned())
    };
    flag.or_else(|| positional.map(str::to_owned)).or_else(after_unknown)
}

/// `VLLM_PP_LAYER_PARTITION=20,20,20,20`.
fn layers_of_stages(text: &str) -> Result<Vec<u32>, CommandError> {
    let layers =
        text.split(',').map(|part| values::integer(part).and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0));
    layers.collect::<Option<_>>().ok_or_else(|| CommandError::MalformedValue {
        flag: "VLLM_PP_LAYER_PARTITION".to_owned(),
        value: text.to_owned(),
        expected: "the layers of each stage, such as `20,20,20,20`",
    })
}

/// The mask inside a container counts among the cards that the container lets through.
fn visible(exposed: Option<Vec<String>>, mask: Option<String>) -> Option<String> {
    let Some(exposed) = exposed else { return mask };
    let Some(mask) = mask else { return Some(exposed.join(",")) };
    let mut cards = Vec::new();
    for entry in mask.split(',').map(str::trim) {
        match entry.parse::<usize>() {
            Ok(ordinal) => match exposed.get(ordinal) {
                Some(card) => cards.push(card.clone()),
                // CUDA ends the list at the first entry that names no card.
                None => break,
            },
            Err(_) => cards.push(entry.to_owned()),
        }
    }
    Some(cards.join(","))
}
