//! Splitting a command into words, as a POSIX shell would, while keeping how each word was written.
//!
//! A corrected command must leave alone what it does not change: quotes, `$VARIABLES`, redirections. So each word keeps its raw spelling
//! beside its value.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::CharIndices;

use super::CommandError;

/// One word or operator of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What the program would receive.
    pub value: String,
    /// How it is written in the command.
    pub raw: String,
    /// Its part in the shell's grammar.
    pub role: Role,
}

/// The part a word plays for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An argument.
    Argument,
    /// `;`, `&&`, `|`, `&`, a newline: what follows is another command.
    Separator,
    /// `>` and its like, whose target is the next word.
    Redirection,
    /// `2>&1` and its like, complete in itself.
    Duplication,
}

impl Word {
    /// A word whose value is known; it is quoted where a shell needs it. `NAME=value` keeps its name bare, or it would be no assignment.
    pub fn new(value: &str) -> Self {
        let raw = match assignment(value) {
            Some((name, text)) => format!("{name}={}", quote(text)),
            None => quote(value),
        };
        Self { value: value.to_owned(), raw, role: Role::Argument }
    }

    fn operator(raw: &str, role: Role) -> Self {
        Self { value: raw.to_owned(), raw: raw.to_owned(), role }
    }
}

/// `NAME=value` taken apart, when `NAME` is a shell identifier.
pub(super) fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let mut chars = name.chars();
    let first = chars.next()?;
    ((first.is_ascii_alphabetic() || first == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .then_some((name, value))
}

/// A word as a shell must be given it. Carriage returns are quoted too, since [`split`] takes bare ones for line ends of other systems.
pub(super) fn quote(value: &str) -> String {
    let quoted = shell_words::quote(value);
    if quoted.contains('\r') && !quoted.starts_with('\'') { format!("'{quoted}'") } else { quoted.into_owned() }
}

/// Words joined to a command line.
pub(super) fn join<'a>(raws: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for raw in raws {
        if !(text.is_empty() || raw == "\n" || text.ends_with('\n')) {
            text.push(' ');
        }
        text.push_str(raw);
    }
    text
}

/// Splits `text`. Comments go; `$NAME` and `${NAME:-default}` are filled in where the text itself assigns the name or gives a default.
///
/// # Errors
/// When a quote or a `$(` is not closed.
pub(super) fn split(text: &str) -> Result<Vec<Word>, CommandError> {
    Lexer { text, chars: text.char_indices().peekable(), assigned: BTreeMap::new(), words: Vec::new(), at_start: true }
        .run()
}

struct Lexer<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    assigned: BTreeMap<String, String>,
    words: Vec<Word>,
    /// Whether the next word starts a command, where `NAME=value` assigns.
    at_start: bool,
}

impl Lexer<'_> {
    fn run(mut self) -> Result<Vec<Word>, CommandError> {
        while let Some(&(at, c)) = self.chars.peek() {
            match c {
                ' ' | '\t' | '\r' => {
                    self.chars.next();
                }
                '\n' => {
                    self.chars.next();
                    if !self.next_line_continues() {
                        self.separator("\n");
                    }
                }
                '\\' if self.rest(at).starts_with("\\\n") || self.rest(at).starts_with("\\\r\n") => {
                    self.skip_line();
                }
                '#' => while self.chars.next_if(|&(_, c)| c != '\n').is_some() {},
                ';' | '&' | '|' | '(' | ')' | '<' | '>' => self.operator(at),
                _ => self.word(at)?,
            }
        }
        Ok(self.words)
    }

    fn rest(&self, at: usize) -> &str {
        self.text.get(at..).unwrap_or_default()
    }

    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |&(at, _)| at)
    }

    fn advance_to(&mut self, end: usize) {
        while self.chars.next_if(|&(at, _)| at < end).is_some() {}
    }

    fn skip_line(&mut self) {
        for (_, c) in self.chars.by_ref() {
            if c == '\n' {
                break;
            }
        }
    }

    /// A line that begins with a dash is never a command: the backslash before it was lost on the way. Skips the blanks before it.
    fn next_line_continues(&mut self) -> bool {
        while self.chars.next_if(|&(_, c)| matches!(c, ' ' | '\t' | '\r' | '\n')).is_some() {}
        self.chars.peek().is_some_and(|&(_, c)| c == '-')
    }

    fn separator(&mut self, raw: &str) {
        self.at_start = true;
        if self.words.last().is_some_and(|last| last.role != Role::Separator) {
            self.words.push(Word::operator(raw, Role::Separator));
        }
    }

    fn operator(&mut self, at: usize) {
        let rest = self.rest(at);
        let redirection =
            ["&>>", "&>", "<<<", "<<", ">>", ">|", ">&", "<&", ">", "<"].into_iter().find(|op| rest.starts_with(op));
        if let Some(operator) = redirection {
            let descriptor = rest.get(operator.len()..).unwrap_or_default();
            let digits = descriptor.bytes().take_while(|b| b.is_ascii_digit() || *b == b'-').count();
            let whole = operator.ends_with('&') && digits > 0;
            let end = at + operator.len() + if whole { digits } else { 0 };
            // `2>`: the number before the sign belongs to it.
            let number = self.words.pop_if(|w| {
                w.role == Role::Argument
                    && w.raw.len() == 1
                    && w.raw.bytes().all(|b| b.is_ascii_digit())
                    && glued(self.text, at)
            });
            let raw =
                format!("{}{}", number.map_or_else(String::new, |w| w.raw), self.text.get(at..end).unwrap_or_default());
            self.words.push(Word::operator(&raw, if whole { Role::Duplication } else { Role::Redirection }));
            self.advance_to(end);
            return;
        }
        let operator = ["&&", "||", ";;", "|&", "&", "|", ";", "(", ")"]
            .into_iter()
            .find(|op| rest.starts_with(op))
            .unwrap_or(";");
        self.advance_to(at + operator.len());
        self.separator(operator);
    }

    fn word(&mut self, start: usize) -> Result<(), CommandError> {
        let mut value = String::new();
        while let Some(&(at, c)) = self.chars.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    self.chars.next();
                    self.single_quoted(at, &mut value)?;
                }
                '"' => {
                    self.chars.next();
                    self.double_quoted(at, &mut value)?;
                }
                '\\' => {
                    self.chars.next();
                    match self.chars.next() {
                        Some((_, '\n')) | None => {}
                        Some((_, c)) => value.push(c),
                    }
                }
                '$' => self.variable(at, &mut value)?,
                '`' => {
                    self.chars.next();
                    let end = self.rest(at + 1).find('`').ok_or_else(|| self.unclosed(at))?;
                    self.advance_to(at + end + 2);
                    value.push_str(self.text.get(at..at + end + 2).unwrap_or_default());
                }
                c => {
                    value.push(c);
                    self.chars.next();
                }
            }
        }
        let end = self.position();
        let raw = self.text.get(start..end).unwrap_or_default().to_owned();
        if self.at_start {
            match assignment(&value) {
                Some((name, text)) if raw.starts_with(name) => {
                    self.assigned.insert(name.to_owned(), text.to_owned());
                }
                _ => self.at_start = matches!(value.as_str(), "export" | "env" | "declare" | "local"),
            }
        }
        self.words.push(Word { value, raw, role: Role::Argument });
        Ok(())
    }

    fn unclosed(&self, at: usize) -> CommandError {
        CommandError::Unclosed { near: self.rest(at).chars().take(24).collect() }
    }

    fn single_quoted(&mut self, start: usize, value: &mut String) -> Result<(), CommandError> {
        loop {
            match self.chars.next() {
                Some((_, '\'')) => return Ok(()),
                Some((_, c)) => value.push(c),
                None => return Err(self.unclosed(start)),
            }
        }
    }

    fn double_quoted(&mut self, start: usize, value: &mut String) -> Result<(), CommandError> {
        while let Some(&(at, c)) = self.chars.peek() {
            match c {
                '"' => {
                    self.chars.next();
                    return Ok(());
                }
                '\\' => {
                    self.chars.next();
                    match self.chars.next() {
                        Some((_, '\n')) => {}
                        Some((_, c @ ('$' | '`' | '"' | '\\'))) => value.push(c),
                        Some((_, c)) => value.extend(['\\', c]),
                        None => return Err(self.unclosed(start)),
                    }
                }
                '$' => self.variable(at, value)?,
                c => {
                    value.push(c);
                    self.chars.next();
                }
            }
        }
        Err(self.unclosed(start))
    }

    /// `$NAME`, `${NAME}`, `${NAME:-default}`, `$(command)`; what cannot be filled in stays as it is written.
    fn variable(&mut self, at: usize, value: &mut String) -> Result<(), CommandError> {
        let rest = self.text.get(at..).unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if rest.starts_with("$(") {
            let mut depth = 0_usize;
            let end = rest.char_indices().find_map(|(i, c)| {
                match c {
                    '(' => depth += 1,
                    ')' => depth = depth.saturating_sub(1),
                    _ => return None,
                }
                (depth == 0).then_some(i + 1)
            });
            let end = end.ok_or_else(|| self.unclosed(at))?;
            value.push_str(&rest[..end]);
            self.advance_to(at + end);
        } else if let Some(inner) = rest.strip_prefix("${") {
            let close = inner.find('}').ok_or_else(|| self.unclosed(at))?;
            let body = &inner[..close];
            let split = body.find(|c| !is_name(c)).unwrap_or(body.len());
            let (name, modifier) = body.split_at(split);
            let default = modifier.strip_prefix(":-").or_else(|| modifier.strip_prefix('-'));
            match (self.assigned.get(name), default) {
                (Some(known), _) => value.push_str(known),
                (None, Some(default)) => value.push_str(default),
                (None, None) => value.push_str(&rest[..close + 3]),
            }
            self.advance_to(at + close + 3);
        } else {
            let name: String = rest.chars().skip(1).take_while(|&c| is_name(c)).collect();
            match self.assigned.get(&name) {
                Some(known) => value.push_str(known),
                None => value.push_str(&rest[..=name.len()]),
            }
            self.advance_to(at + 1 + name.len());
        }
        Ok(())
    }
}

/// Whether the byte before `at` is a digit, so that a redirection there has a descriptor.
fn glued(text: &str, at: usize) -> bool {
    at.checked_sub(1).and_then(|i| text.as_bytes().get(i)).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        split(text).unwrap().into_iter().map(|w| w.value).collect()
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        let cases: &[(&str, &[&str])] = &[
            ("vllm serve a", &["vllm", "serve", "a"]),
            ("a 'b c' \"d e\" f\\ g", &["a", "b c", "d e", "f g"]),
            ("a \\\n  -b\\\n c", &["a", "-b", "c"]),
            ("a \\\r\n  b", &["a", "b"]),
            ("a\n  --b 1\n  --c", &["a", "--b", "1", "--c"]),
            ("a # comment 'x\n--b", &["a", "--b"]),
            ("'\"device=0,1\"'", &["\"device=0,1\""]),
            (r#"'{"a": "b"}'"#, &[r#"{"a": "b"}"#]),
            (r#""{\"a\": 1}""#, &[r#"{"a": 1}"#]),
            ("TP=4; vllm $TP ${TP}", &["TP=4", ";", "vllm", "4", "4"]),
            ("x ${TP:-8} ${NO} $NO '$TP'", &["x", "8", "${NO}", "$NO", "$TP"]),
            ("x $(nproc --all) `hostname -i`", &["x", "$(nproc --all)", "`hostname -i`"]),
            ("a > log 2>&1 &", &["a", ">", "log", "2>&1", "&"]),
            ("a 2> log", &["a", "2>", "log"]),
            ("-tp 2 > log", &["-tp", "2", ">", "log"]),
            ("a && b||c|d", &["a", "&&", "b", "||", "c", "|", "d"]),
            ("''", &[""]),
            ("", &[]),
            ("café 'naïve'", &["café", "naïve"]),
        ];
        for (text, expected) in cases {
            assert_eq!(values(text), *expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_closed_is_named() {
        for text in ["a 'b", "a \"b", "a $(b", "a ${b", "a `b", "\"\\"] {
            assert!(matches!(split(text), Err(CommandError::Unclosed { .. })), "{text}");
        }
    }

    #[test]
    fn quoting_reads_back() {
        for value in ["a", "", "it's", "{\"a\": 1}", "A=b c", "A=", "--x=$Y", "ü", "a\nb", "#x", "a;b", "\r", "a\r'"] {
            let word = Word::new(value);
            let read = split(&word.raw).unwrap();
            assert_eq!(read.len(), 1, "{value}: {}", word.raw);
            assert_eq!(read[0].value, value);
        }
        assert_eq!(Word::new("A=b c").raw, "A='b c'");
    }
}
