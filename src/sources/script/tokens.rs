//! Python's tokens, as far as calls and literals need them. What is not understood is one token of its own: scripts are never refused.

/// A token and the line it starts on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    pub line: usize,
    /// Where it lies in the text, in characters.
    pub start: usize,
    pub end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name or keyword.
    Name(String),
    /// A number as written, underscores taken out.
    Number(String),
    /// A string's value; `None` for f-strings, which are computed, and for bytes.
    Text(Option<String>),
    /// One character of punctuation.
    Mark(char),
    /// The end of a statement: a newline outside brackets, or a semicolon.
    End,
}

/// The tokens of a script.
pub(super) fn tokens(text: &[char]) -> Vec<Token> {
    let mut reader = Reader { text, at: 0, line: 1, open: 0, found: Vec::new() };
    while reader.at < text.len() {
        reader.step();
    }
    let (at, line) = (reader.at, reader.line);
    reader.found.push(Token { kind: Kind::End, line, start: at, end: at });
    reader.found
}

struct Reader<'a> {
    text: &'a [char],
    at: usize,
    line: usize,
    /// Brackets that are open: newlines inside them end nothing.
    open: usize,
    found: Vec<Token>,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at.saturating_add(ahead)).copied()
    }

    fn push(&mut self, kind: Kind, start: usize, line: usize) {
        self.found.push(Token { kind, line, start, end: self.at });
    }

    fn step(&mut self) {
        let (start, line) = (self.at, self.line);
        let Some(c) = self.peek(0) else { return };
        match c {
            '\n' => {
                self.at += 1;
                self.line += 1;
                if self.open == 0 {
                    self.push(Kind::End, start, line);
                }
            }
            '#' => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            }
            '\\' if self.peek(1) == Some('\n') => {
                self.at += 2;
                self.line += 1;
            }
            c if c.is_whitespace() => self.at += 1,
            '"' | '\'' => {
                let text = self.string(false);
                self.push(Kind::Text(text), start, line);
            }
            c if c.is_alphabetic() || c == '_' => self.word(start, line),
            c if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|d| d.is_ascii_digit())) => {
                let mut number = String::new();
                while let Some(c) = self.peek(0) {
                    let sign = matches!(c, '+' | '-') && number.ends_with(['e', 'E']) && !number.starts_with("0x");
                    if c.is_ascii_alphanumeric() || c == '.' || sign {
                        number.push(c);
                    } else if c != '_' {
                        break;
                    }
                    self.at += 1;
                }
                self.push(Kind::Number(number), start, line);
            }
            ';' => {
                self.at += 1;
                self.push(Kind::End, start, line);
            }
            mark => {
                self.at += 1;
                match mark {
                    '(' | '[' | '{' => self.open += 1,
                    ')' | ']' | '}' => self.open = self.open.saturating_sub(1),
                    _ => {}
                }
                self.push(Kind::Mark(mark), start, line);
            }
        }
    }

    /// A name, or the prefix of a string.
    fn word(&mut self, start: usize, line: usize) {
        let mut name = String::new();
        while let Some(c) = self.peek(0).filter(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
            self.at += 1;
        }
        let is_prefix = name.len() <= 2 && name.chars().all(|c| "rRbBuUfFtT".contains(c));
        if is_prefix && matches!(self.peek(0), Some('"' | '\'')) {
            let has = |letters: [char; 2]| name.contains(letters);
            let text = self.string(has(['r', 'R']));
            let computed = has(['f', 'F']) || has(['t', 'T']) || has(['b', 'B']);
            self.push(Kind::Text(text.filter(|_| !computed)), start, line);
        } else {
            self.push(Kind::Name(name), start, line);
        }
    }

    /// A string from its first quote on. One that is not closed ends with its line (or the text).
    fn string(&mut self, raw: bool) -> Option<String> {
        let quote = self.peek(0)?;
        let long = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        self.at += if long { 3 } else { 1 };
        let mut value = String::new();
        while let Some(c) = self.peek(0) {
            if c == quote && (!long || (self.peek(1) == Some(quote) && self.peek(2) == Some(quote))) {
                self.at += if long { 3 } else { 1 };
                return Some(value);
            }
            if c == '\n' {
                if !long {
                    return None;
                }
                self.line += 1;
            }
            self.at += 1;
            if c != '\\' {
                value.push(c);
                continue;
            }
            let Some(escaped) = self.peek(0) else { break };
            self.at += 1;
            if escaped == '\n' {
                self.line += 1;
            }
            match (raw, escaped) {
                (true, escaped) => value.extend(['\\', escaped]),
                (false, '\n') => {}
                (false, 'n') => value.push('\n'),
                (false, 't') => value.push('\t'),
                (false, '\\' | '\'' | '"') => value.push(escaped),
                // Names of models and devices hold no other escapes.
                (false, other) => value.extend(['\\', other]),
            }
        }
        None
    }
}
