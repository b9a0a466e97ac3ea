//! Arguments taken apart into flags and the values they were given.

use super::catalog::Resolution;
use super::{Catalog, Effect, Flag, Kind};
use crate::engines::command_line::error::{CommandError, Warning};
use crate::engines::command_line::values;

/// The value a flag was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A switch, on or off.
    Switch(bool),
    /// One value.
    One(String),
    /// The values of a list.
    Many(Vec<String>),
    /// One key of a JSON value: `--flag.a.b 3`; `--flag.a+ x,y` adds to a list.
    Key {
        /// The path of the key.
        path: Vec<String>,
        /// Whether the value is added to a list.
        append: bool,
        /// The value.
        text: String,
    },
    /// Unset again, by `None` or an empty word.
    Nothing,
}

impl Given {
    /// The words given, as typed.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (one, many) = match self {
            Self::One(text) | Self::Key { text, .. } => (Some(text), &[][..]),
            Self::Many(texts) => (None, texts.as_slice()),
            Self::Switch(_) | Self::Nothing => (None, &[][..]),
        };
        one.into_iter().chain(many).map(String::as_str)
    }
}

/// A flag where it stands in the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// The flag.
    pub flag: &'static Flag,
    /// Its name as typed, without `=` and keys.
    pub typed: String,
    /// Index of its first word.
    pub start: usize,
    /// Index after its last word.
    pub end: usize,
    /// Written as `--flag=value`.
    pub joined: bool,
    /// What it was given.
    pub given: Given,
}

/// The arguments of a program, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Flags, in order.
    pub occurrences: Vec<Occurrence>,
    /// Indices of words that belong to no flag.
    pub positionals: Vec<usize>,
    /// Indices of words after unknown flags, which may be values of those.
    pub loose: Vec<usize>,
    /// Index of the word `--`, after which nothing is a flag.
    pub end_of_flags: Option<usize>,
    /// What was not understood.
    pub warnings: Vec<Warning>,
}

/// Whether argparse would take the word for a flag: a dash, and neither a negative number nor a name with blanks.
fn looks_like_flag(word: &str) -> bool {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    word.len() > 1 && word.starts_with('-') && values::decimal(word).is_none() && !name.contains(char::is_whitespace)
}

/// Takes the arguments of a program apart.
///
/// # Errors
/// When a value is missing or malformed, or a shortened name fits several flags.
pub fn read(arguments: &[&str], catalog: &Catalog) -> Result<Reading, CommandError> {
    let mut reading = Reading::default();
    let mut at = 0;
    while let Some(&word) = arguments.get(at) {
        if word == "--" {
            reading.end_of_flags = Some(at);
            reading.positionals.extend(at + 1..arguments.len());
            break;
        }
        if !looks_like_flag(word) {
            reading.positionals.push(at);
            at += 1;
            continue;
        }
        at = read_flag(arguments, at, catalog, &mut reading)?;
    }
    Ok(reading)
}

/// A flag word taken apart: name, keys after a dot, whether `+` adds to a list, value after `=`.
struct Typed<'a> {
    name: &'a str,
    canonical: String,
    path: Vec<&'a str>,
    append: bool,
    value: Option<&'a str>,
}

/// Unknown flags for which a near name is sought: more of them are no typing errors.
const MOST_SUGGESTIONS: usize = 16;

/// Deeper keys than any configuration has.
const MOST_KEYS: usize = 16;

fn take_apart(word: &str) -> Typed<'_> {
    let (left, value) = word.split_once('=').map_or((word, None), |(left, value)| (left, Some(value)));
    let (name, keys) = left.split_once('.').map_or((left, None), |(name, keys)| (name, Some(keys)));
    let canonical = if name.starts_with("--") { name.replace('_', "-") } else { name.to_owned() };
    let append = keys.is_some_and(|k| k.ends_with('+'));
    let path = keys.map_or_else(Vec::new, |k| k.strip_suffix('+').unwrap_or(k).split('.').collect());
    Typed { name, canonical, path, append, value }
}

fn read_flag(arguments: &[&str], at: usize, catalog: &Catalog, reading: &mut Reading) -> Result<usize, CommandError> {
    let word = arguments[at];
    let mut typed = take_apart(word);
    let resolution = match catalog.resolve(&typed.canonical) {
        Resolution::Unknown => match glued_value(word, catalog) {
            Some((flag, name, value)) => {
                typed = Typed { name, canonical: name.to_owned(), path: Vec::new(), append: false, value: Some(value) };
                Resolution::Found { flag, negated: false }
            }
            None => Resolution::Unknown,
        },
        known => known,
    };
    let (flag, negated) = match resolution {
        Resolution::Found { flag, negated }
            if typed.path.is_empty() || flag.kind.has_keys() || flag.effect == Effect::OptimizationLevel =>
        {
            (flag, negated)
        }
        Resolution::Ambiguous(candidates) => {
            return Err(CommandError::AmbiguousFlag { flag: typed.name.to_owned(), candidates });
        }
        Resolution::Found { .. } | Resolution::Unknown => {
            let flag = word.split_once('=').map_or(word, |(name, _)| name).to_owned();
            let nearest =
                if reading.warnings.len() < MOST_SUGGESTIONS { catalog.nearest(&typed.canonical) } else { None };
            reading.warnings.push(Warning::UnknownFlag { flag, nearest });
            let has_word_after = typed.value.is_none() && arguments.get(at + 1).is_some_and(|w| !looks_like_flag(w));
            if has_word_after {
                reading.loose.push(at + 1);
            }
            return Ok(at + 1 + usize::from(has_word_after));
        }
    };
    if let Some(version) = catalog.version.filter(|v| flag.span.excludes(*v)) {
        reading.warnings.push(Warning::NotInVersion { flag: typed.name.to_owned(), version: version.to_string() });
    }
    let (given, end) = read_value(arguments, at, flag, negated, &typed, reading)?;
    let joined = typed.value.is_some();
    reading.occurrences.push(Occurrence { flag, typed: typed.name.to_owned(), start: at, end, joined, given });
    Ok(end)
}

/// `-qawq`: a one-letter flag with its value attached, as argparse and `-O3` allow.
fn glued_value<'a>(word: &'a str, catalog: &Catalog) -> Option<(&'static Flag, &'a str, &'a str)> {
    if !catalog.attaches_values {
        return None;
    }
    let (name, value) = word.split_at_checked(2).filter(|(name, value)| !name.ends_with('-') && !value.is_empty())?;
    let flag = catalog.flags().find(|f| f.kind != Kind::Switch && f.is_spelled(name))?;
    Some((flag, name, value.strip_prefix('=').unwrap_or(value)))
}

fn read_value(
    arguments: &[&str],
    at: usize,
    flag: &'static Flag,
    negated: bool,
    typed: &Typed<'_>,
    reading: &mut Reading,
) -> Result<(Given, usize), CommandError> {
    let kind = flag.kind;
    let next = arguments.get(at + 1).copied().filter(|w| !looks_like_flag(w) && *w != "--");
    if kind == Kind::Switch {
        let value = typed.value.or_else(|| next.filter(|w| values::truth(w).is_some()));
        let Some(value) = value else { return Ok((Given::Switch(!negated), at + 1)) };
        let Some(on) = values::truth(value) else { return Err(malformed(typed.name, value, kind)) };
        reading.warnings.push(Warning::SwitchWithValue { flag: typed.name.to_owned(), value: value.to_owned() });
        return Ok((Given::Switch(on != negated), at + 1 + usize::from(typed.value.is_none())));
    }
    if kind == Kind::SwitchOrText && typed.value.is_none() {
        return Ok(next.map_or((Given::Switch(true), at + 1), |w| (Given::One(w.to_owned()), at + 2)));
    }
    if kind == Kind::List && typed.value.is_none() {
        let words: Vec<String> =
            arguments[at + 1..].iter().take_while(|w| !looks_like_flag(w)).map(|w| (*w).to_owned()).collect();
        if words.is_empty() {
            return Err(CommandError::MissingValue { flag: typed.name.to_owned(), expected: kind.expected() });
        }
        let end = at + 1 + words.len();
        return Ok((Given::Many(words), end));
    }
    let Some(text) = typed.value.or(next) else {
        return Err(CommandError::MissingValue { flag: typed.name.to_owned(), expected: kind.expected() });
    };
    let end = at + 1 + usize::from(typed.value.is_none());
    if !typed.path.is_empty() {
        if typed.path.len() > MOST_KEYS || typed.path.iter().any(|key| key.is_empty()) {
            let flag = arguments[at].to_owned();
            return Err(CommandError::MalformedValue {
                flag,
                value: text.to_owned(),
                expected: "keys separated by single dots",
            });
        }
        let path = typed.path.iter().map(|&key| key.to_owned()).collect();
        return Ok((Given::Key { path, append: typed.append, text: text.to_owned() }, end));
    }
    let given = match kind {
        _ if text.is_empty() || text == "None" => Given::Nothing,
        Kind::List => Given::Many(vec![text.to_owned()]),
        _ if kind.accepts(text) => Given::One(text.to_owned()),
        // The value is known where the command will run, and nothing here depends on it.
        _ if values::holds_variable(text) && flag.effect == Effect::Nothing => Given::One(text.to_owned()),
        _ if values::holds_variable(text) => {
            return Err(CommandError::UnsetVariable { flag: typed.name.to_owned(), value: text.to_owned() });
        }
        _ => return Err(malformed(typed.name, text, kind)),
    };
    Ok((given, end))
}

fn malformed(flag: &str, value: &str, kind: Kind) -> CommandError {
    CommandError::MalformedValue { flag: flag.to_owned(), value: value.to_owned(), expected: kind.expected() }
}
