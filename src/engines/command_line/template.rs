//! A command that can be written again with some of its flags changed.

use super::flags::{Catalog, Flag, Given, Kind, Occurrence};
use super::secrets::without_secrets;
use super::values;
use super::words::{Word, join, quote};

/// A command as it was given, with the places of its engine flags.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandTemplate {
    words: Vec<Word>,
    flags: Vec<Placed>,
    /// Index of the word before which new flags go.
    insert_at: usize,
    /// The shell commands around it, the nearest first, each with the index of the word that holds this one: `bash -c "…"`.
    around: Vec<(Vec<Word>, usize)>,
    tables: Vec<&'static [Flag]>,
}

/// A flag and the words it takes.
#[derive(Debug, Clone, PartialEq)]
struct Placed {
    flag: &'static Flag,
    typed: String,
    words: Vec<usize>,
    joined: bool,
    given: Given,
}

impl CommandTemplate {
    /// `indices` are the positions in `words` of the engine's arguments, of which `occurrences` count; `after` is the position after the
    /// program's name.
    pub(super) fn new(
        words: Vec<Word>,
        indices: &[usize],
        occurrences: Vec<Occurrence>,
        end_of_flags: Option<usize>,
        after: usize,
        catalog: &Catalog,
    ) -> Self {
        let insert_at = match end_of_flags.and_then(|i| indices.get(i)) {
            Some(&dashes) => dashes,
            None => indices.last().map_or(after, |&last| last + 1),
        };
        let flags = occurrences
            .into_iter()
            .map(|o| Placed {
                flag: o.flag,
                typed: o.typed,
                words: indices.get(o.start..o.end).unwrap_or_default().to_vec(),
                joined: o.joined,
                given: o.given,
            })
            .collect();
        Self { words, flags, insert_at, around: Vec::new(), tables: catalog.tables.clone() }
    }

    /// The same inside `words`, as the value of their word `index`.
    pub(super) fn inside(mut self, words: Vec<Word>, index: usize) -> Self {
        self.around.push((words, index));
        self
    }

    /// The command line, unchanged.
    #[must_use]
    pub fn render(&self) -> String {
        self.with_changes(&[])
    }

    /// The command line with flags set: each change is a flag's long name, without dashes, and its value.
    ///
    /// A flag that the command has keeps its place and spelling; its last occurrence counts, as it does for the engine. Others are added
    /// at the end of the engine's arguments. A switch takes `true` or `false`; the words of a list are separated by blanks.
    #[must_use]
    pub fn with_changes(&self, changes: &[(&str, &str)]) -> String {
        let mut words: Vec<Option<String>> = self.words.iter().map(|w| Some(w.raw.clone())).collect();
        let mut added = Vec::new();
        for (name, value) in changes {
            self.change(name, value, &mut words, &mut added);
        }
        let mut line = Vec::new();
        for (i, word) in words.iter().enumerate() {
            if i == self.insert_at {
                line.append(&mut added);
            }
            line.extend(word.clone());
        }
        line.append(&mut added);
        let text = shown(line.iter().map(String::as_str));
        self.around.iter().fold(text, |inner, (outer, index)| {
            let inner = quote(&inner);
            shown(outer.iter().enumerate().map(|(i, w)| if i == *index { inner.as_str() } else { w.raw.as_str() }))
        })
    }

    fn change(&self, name: &str, value: &str, words: &mut [Option<String>], added: &mut Vec<String>) {
        let catalog = Catalog { tables: self.tables.clone(), version: None, attaches_values: false };
        let long = format!("--{}", name.trim_start_matches('-'));
        let flag = catalog.by_name(name);
        let kind = flag.map_or(Kind::Text, |f| f.kind);
        let placed: Vec<&Placed> =
            self.flags.iter().filter(|p| flag.is_some_and(|f| std::ptr::eq(f, p.flag))).collect();
        // Single keys would win over the whole value: they go.
        for keyed in placed.iter().filter(|p| matches!(p.given, Given::Key { .. })) {
            for &i in &keyed.words {
                words[i] = None;
            }
        }
        let last = placed.iter().rev().find(|p| !matches!(p.given, Given::Key { .. }));
        let Some(last) = last else {
            added.extend(written(&long, kind, value, false));
            return;
        };
        // `--no-x` and `-x` are no stems to write the opposite with.
        let turned = matches!(last.given, Given::Switch(false)) || values::truth(value) == Some(false);
        let spelled = if kind == Kind::Switch && turned { long.as_str() } else { last.typed.as_str() };
        let text = join(written(spelled, kind, value, last.joined).iter().map(String::as_str));
        for (nth, &i) in last.words.iter().enumerate() {
            words[i] = (nth == 0).then(|| text.clone());
        }
    }
}

/// Words as one line that may be printed.
fn shown<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words = without_secrets(words);
    join(words.iter().map(String::as_str))
}

/// A flag with its value as shell words.
fn written(name: &str, kind: Kind, value: &str, joined: bool) -> Vec<String> {
    match kind {
        Kind::Switch => match values::truth(value) {
            Some(false) => vec![format!("--no-{}", name.trim_start_matches('-'))],
            _ => vec![name.to_owned()],
        },
        Kind::List => std::iter::once(name.to_owned()).chain(value.split_whitespace().map(quote)).collect(),
        _ if joined => vec![format!("{name}={}", quote(value))],
        _ => vec![name.to_owned(), quote(value)],
    }
}
