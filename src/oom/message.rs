//! One message: the line it begins in, the lines that continue it, and what a pattern reads from them.

use std::collections::BTreeMap;

use memchr::memchr;

use super::clean;
use super::field::Value;
use super::pattern::Compiled;
use super::scan::LONGEST;

/// Most lines of one message.
const WRAPPED: usize = 14;
/// Most characters of a message with its wrapped lines.
const MESSAGE: usize = 6 << 10;

/// A message with the lines that may continue it, joined by blanks and joined by nothing (where a terminal broke inside a word).
pub(super) struct Texts {
    spaced: String,
    glued: String,
    /// Where each further line begins in `spaced`.
    breaks: Vec<usize>,
}

/// A line alone and with those that may continue it, each made when it is first asked for.
#[derive(Default)]
pub(super) struct Prepared {
    single: Option<Texts>,
    joined: Option<Texts>,
}

impl Prepared {
    pub(super) fn of(&mut self, line: &str, may_wrap: bool, origin: clean::Origin, rest: &[u8]) -> &Texts {
        match may_wrap {
            true => self.joined.get_or_insert_with(|| Texts::joined(line, origin, rest)),
            false => self.single.get_or_insert_with(|| Texts::single(line)),
        }
    }
}

impl Texts {
    pub(super) fn single(line: &str) -> Self {
        Self { spaced: line.to_owned(), glued: String::new(), breaks: Vec::new() }
    }

    pub(super) fn joined(line: &str, origin: clean::Origin, rest: &[u8]) -> Self {
        let mut texts =
            Self { spaced: line.trim_end().to_owned(), glued: line.trim_end().to_owned(), breaks: Vec::new() };
        let mut at = 0;
        for _ in 0..WRAPPED {
            if at >= rest.len() || texts.spaced.len() > MESSAGE {
                break;
            }
            let end = memchr(b'\n', &rest[at..]).map_or(rest.len(), |i| at + i + 1);
            let next = clean::line(&rest[at..end.min(at + LONGEST)]);
            at = end;
            texts.breaks.push(texts.spaced.len());
            if !clean::origin(&next).may_continue(origin) {
                continue;
            }
            let words = clean::without_prefix(&next).trim();
            if !words.is_empty() {
                texts.spaced.push(' ');
                texts.spaced.push_str(words);
                texts.glued.push_str(words);
            }
        }
        texts
    }

    /// How many line breaks lie before a place in `spaced`.
    pub(super) fn lines_to(&self, end: usize) -> u64 {
        self.breaks.iter().filter(|b| **b < end).count() as u64
    }
}

/// What a pattern read.
pub(super) struct Reading {
    pub fields: BTreeMap<String, Value>,
    /// From the start of the match to the end of its last detail.
    pub text: String,
    /// The line's words.
    pub quote: String,
    /// End in the spaced text.
    pub end: usize,
}

/// Reads a message; the match must begin in its first line, `first` bytes long.
pub(super) fn reading(compiled: &Compiled, texts: &Texts, first: usize) -> Option<Reading> {
    let unit = compiled.pattern.number_unit.as_deref();
    let mut fields = BTreeMap::new();
    let spaced = compiled.regex.captures(&texts.spaced).filter(|c| c.get(0).is_some_and(|m| m.start() < first.max(1)));
    let glued = compiled.regex.captures(&texts.glued).filter(|c| c.get(0).is_some_and(|m| m.start() < first.max(1)));
    let is_spaced = spaced.is_some();
    let (captures, text) = match spaced {
        Some(captures) => (captures, &texts.spaced),
        None => (glued?, &texts.glued),
    };
    let whole = captures.get(0)?;
    take(&mut fields, &compiled.regex, &captures, unit);
    let mut end = whole.end();
    for text in [&texts.spaced, &texts.glued] {
        let Some(here) = compiled.regex.find(text) else { continue };
        // Not beyond the next message of the same kind.
        let stop = compiled.regex.find_at(text, here.end()).map_or(text.len(), |next| next.start());
        let Some(part) = text.get(here.start()..stop) else { continue };
        for detail in &compiled.details {
            let mut seen = BTreeMap::<&str, Vec<f64>>::new();
            for captures in detail.captures_iter(part) {
                let Some(matched) = captures.get(0) else { continue };
                if std::ptr::eq(text, &texts.spaced) {
                    end = end.max(here.start() + matched.end());
                }
                if !collect(&mut seen, detail, &captures, unit) {
                    take(&mut fields, detail, &captures, unit);
                    break;
                }
            }
            for (name, numbers) in seen {
                fields.entry(name.to_owned()).or_insert(Value::Numbers(numbers));
            }
        }
    }
    let until = if is_spaced { end } else { whole.end() };
    let quote = text.get(whole.start()..).map(|rest| rest.get(..until.saturating_sub(whole.start())).unwrap_or(rest));
    let line = text.get(..first.min(text.len())).unwrap_or(text);
    let quote = match quote {
        Some(quote) if quote.len() > line.len() => quote.to_owned(),
        _ => clean::without_prefix(line).trim().to_owned(),
    };
    Some(Reading {
        fields,
        text: text.get(whole.start()..until.max(whole.end())).unwrap_or("").to_owned(),
        quote,
        end: until,
    })
}

/// Fields of a match, the first statement of each.
fn take(
    fields: &mut BTreeMap<String, Value>,
    regex: &regex::Regex,
    captures: &regex::Captures<'_>,
    unit: Option<&str>,
) {
    for name in regex.capture_names().flatten() {
        if let Some(group) = captures.name(name) {
            fields.entry(name.to_owned()).or_insert_with(|| Value::read(name, group.as_str(), unit));
        }
    }
}

/// Groups that collect all matches; whether there are any.
fn collect<'r>(
    seen: &mut BTreeMap<&'r str, Vec<f64>>,
    regex: &'r regex::Regex,
    captures: &regex::Captures<'_>,
    unit: Option<&str>,
) -> bool {
    let mut any = false;
    for name in regex.capture_names().flatten() {
        let Some(stem) = name.strip_suffix("_each") else { continue };
        any = true;
        let number = captures.name(name).and_then(|group| Value::read(stem, group.as_str(), unit).number());
        let numbers = seen.entry(stem).or_default();
        if let Some(number) = number.filter(|_| numbers.len() < 64) {
            numbers.push(number);
        }
    }
    any
}
