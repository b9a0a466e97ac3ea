//! Source text as tokens with lines: no comments, no text of strings, no code that only tests see.

use std::path::{Path, PathBuf};

/// A file under `src/`.
pub struct SourceFile {
    /// Below `src/`.
    pub path: PathBuf,
    /// Its code without tests.
    pub tokens: Vec<Token>,
}

/// A word, or one character of punctuation, or a string as `"text"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// Counted from one.
    pub line: usize,
}

impl SourceFile {
    /// Names of the modules around the code of this file: `planning/advice/mod.rs` → `planning`, `advice`.
    pub fn module(&self) -> Vec<String> {
        let mut parts: Vec<String> =
            self.path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if parts.last().is_some_and(|last| last == "mod") {
            parts.pop();
        }
        parts
    }
}

/// The files that a build without tests reads, and of each what such a build reads.
pub fn without_tests(texts: Vec<(PathBuf, String)>) -> Vec<SourceFile> {
    let mut files: Vec<SourceFile> = Vec::new();
    let mut test_modules: Vec<PathBuf> = Vec::new();
    for (path, text) in texts {
        let (tokens, modules) = strip_tests(tokens(&text));
        let file = SourceFile { path, tokens };
        // A module lies beside `mod.rs`, and under the folder of any other file's name; `path` counts from the folder of the file.
        let folder = file.path.parent().unwrap_or(Path::new("")).to_owned();
        let own = if file.path.ends_with("mod.rs") { folder.clone() } else { file.path.with_extension("") };
        for module in modules {
            test_modules.push(match module {
                TestModule::At(path) => folder.join(path).with_extension(""),
                TestModule::Named(name) => own.join(name),
            });
        }
        files.push(file);
    }
    files.retain(|file| !test_modules.iter().any(|tests| file.path.with_extension("").starts_with(tests)));
    files
}

/// A module of tests in a file of its own.
enum TestModule {
    At(String),
    Named(String),
}

/// Leaves out each item behind `#[cfg(test)]`.
fn strip_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<TestModule>) {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if ["#", "[", "cfg", "(", "test", ")", "]"].iter().enumerate().any(|(i, word)| text(at + i) != *word) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += 7;
        let mut file = None;
        // Further attributes of the same item.
        while text(at) == "#" {
            let end = closing(&tokens, at + 1);
            if text(at + 2) == "path" {
                file = Some(text(at + 4).trim_matches('"').to_owned());
            }
            at = end + 1;
        }
        let start = at;
        while at < tokens.len() && text(at) != ";" && text(at) != "{" {
            // Brackets of an argument list or a type may hold either.
            at = if matches!(text(at), "(" | "[") { closing(&tokens, at) } else { at } + 1;
        }
        let named = (start..at).find(|i| text(*i) == "mod").map(|i| text(i + 1).to_owned());
        if text(at) == "{" {
            at = closing(&tokens, at);
            // `use a::{b};` goes on to its semicolon.
            if text(start) == "use" || text(start + 1) == "use" {
                at += 1;
            }
        } else if let Some(name) = named {
            modules.push(file.map_or(TestModule::Named(name), TestModule::At));
        }
        at += 1;
    }
    (kept, modules)
}

/// The token that closes the bracket at `open`; the last one when none does.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Words and punctuation of Rust source; comments and character literals vanish, strings become one token.
pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let begin = at;
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            at = after_block_comment(&chars, at);
        } else if let Some(hashes) = raw_string(&chars, at) {
            let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            at += 1;
            while chars[at] != '"' {
                at += 1;
            }
            at += 1;
            while at < chars.len() && !starts(at, &end) {
                at += 1;
            }
            at += end.len();
            found.push(Token { text: "\"\"".to_owned(), line });
        } else if chars[at] == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
            found.push(Token { text: chars[begin..at.min(chars.len())].iter().collect(), line });
        } else if chars[at] == '\'' {
            at = after_quote(&chars, at);
        } else if chars[at].is_alphanumeric() || chars[at] == '_' {
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            found.push(Token { text: chars[begin..at].iter().collect(), line });
        } else {
            if !chars[at].is_whitespace() {
                found.push(Token { text: chars[at].to_string(), line });
            }
            at += 1;
        }
        line += chars[begin..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// Block comments nest.
fn after_block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// How many `#` a raw string at this place has; `None` where none starts.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let word = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let r = match (chars[at], chars.get(at + 1)) {
        ('r', _) => at,
        ('b' | 'c', Some('r')) => at + 1,
        _ => return None,
    };
    if at > 0 && word(chars.get(at - 1)) {
        return None;
    }
    let hashes = chars[r + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(r + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// Behind a character literal, or behind the quote of a lifetime.
fn after_quote(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let end = chars.iter().skip(at + 3).position(|c| *c == '\'');
            end.map_or(chars.len(), |end| at + 3 + end + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}
