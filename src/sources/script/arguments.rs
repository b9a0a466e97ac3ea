//! Calls in a script, and their arguments.

use std::cell::Cell;
use std::collections::HashMap;

use super::expression::{Literal, literal_within};
use super::tokens::{Kind, Token, tokens};

/// A script taken apart.
pub(super) struct Script {
    text: Vec<char>,
    tokens: Vec<Token>,
    /// Names bound exactly once, outside any call: where their value lies. `None` for names bound more than once.
    bound: HashMap<String, Option<(usize, usize)>>,
    /// Where each opening bracket is closed.
    closers: HashMap<usize, usize>,
    /// Values that may still be looked at: names that stand for lists of names could go on for ever.
    budget: Cell<u32>,
}

/// Values looked at in one script.
const BUDGET: u32 = 100_000;

/// What a call loads with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loader {
    /// `….from_pretrained(…)`.
    Transformers,
    /// `LLM(…)`.
    Vllm,
}

/// A call that loads a model.
pub(super) struct Call {
    pub engine: Loader,
    /// `AutoModelForCausalLM.from_pretrained`.
    pub name: String,
    pub line: usize,
    /// The name its result is bound to.
    pub target: Option<String>,
    /// First token after the opening bracket, and the closing bracket.
    pub inside: (usize, usize),
}

/// One argument.
pub(super) struct Argument<'a> {
    /// Its keyword; `None` for a positional one.
    pub keyword: Option<String>,
    pub value: &'a [Token],
    /// Whether it is `*args` or `**kwargs`.
    pub unpacked: bool,
}

impl Script {
    /// Takes a script apart.
    pub(super) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        let tokens = tokens(&text);
        let bound = bindings(&tokens);
        let closers = closers(&tokens);
        Self { text, tokens, bound, closers, budget: Cell::new(BUDGET) }
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The arguments of a call.
    pub(super) fn arguments(&self, call: &Call) -> Vec<Argument<'_>> {
        split(&self.tokens[call.inside.0..call.inside.1])
    }

    /// Takes one value from the budget; `false` when it is spent.
    pub(super) fn spend(&self) -> bool {
        let left = self.budget.get();
        self.budget.set(left.saturating_sub(1));
        left > 0
    }

    /// The literal that a name stands for.
    pub(super) fn constant(&self, name: &str, depth: usize) -> Option<Literal> {
        // A name may stand for another, but not for ever.
        if depth > 8 {
            return None;
        }
        let (start, end) = (*self.bound.get(name)?)?;
        let value = &self.tokens[start..end];
        let refers_to_itself = value.iter().any(|t| t.kind == Kind::Name(name.to_owned()));
        let is_name = matches!(value, [Token { kind: Kind::Name(other), .. }] if !matches!(other.as_str(), "True" | "False" | "None"));
        if refers_to_itself || is_name { None } else { literal_within(self, value, depth + 1) }
    }

    /// The text of some tokens, shortened, for messages.
    pub(super) fn quote(&self, tokens: &[Token]) -> String {
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return String::new() };
        let text: String = self.text.get(first.start..last.end).unwrap_or_default().iter().collect();
        let one_line: Vec<&str> = text.split_whitespace().collect();
        let mut quoted = one_line.join(" ");
        if quoted.chars().count() > 60 {
            quoted = quoted.chars().take(57).chain(['…']).collect();
        }
        quoted
    }

    /// Calls of `.method(` on a name (or right behind a call), with their arguments.
    pub(super) fn method_calls(&self, object: Option<&str>, method: &str) -> Vec<(usize, Vec<Argument<'_>>)> {
        let mut found = Vec::new();
        for (at, window) in self.tokens.windows(4).enumerate() {
            let [before, dot, name, open] = window else { continue };
            let on_object = match (&before.kind, object) {
                (Kind::Name(name), Some(object)) => name == object,
                (_, None) => true,
                _ => false,
            };
            if !on_object
                || dot.kind != Kind::Mark('.')
                || name.kind != Kind::Name(method.to_owned())
                || open.kind != Kind::Mark('(')
            {
                continue;
            }
            if let Some(end) = self.closers.get(&(at + 3)).copied() {
                found.push((at, split(&self.tokens[at + 4..end])));
            }
        }
        found
    }

    /// The method called right behind a call: `.to(…)` in `from_pretrained(…).to(…)`.
    pub(super) fn chained(&self, call: &Call) -> Option<(&str, Vec<Argument<'_>>)> {
        let [dot, name, open] = self.tokens.get(call.inside.1 + 1..call.inside.1 + 4)? else { return None };
        let Kind::Name(method) = &name.kind else { return None };
        if dot.kind != Kind::Mark('.') || open.kind != Kind::Mark('(') {
            return None;
        }
        let end = *self.closers.get(&(call.inside.1 + 3))?;
        Some((method, split(&self.tokens[call.inside.1 + 4..end])))
    }
}

fn closers(tokens: &[Token]) -> HashMap<usize, usize> {
    let mut open = Vec::new();
    let mut found = HashMap::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => open.push(at),
            Kind::Mark(')' | ']' | '}') => {
                if let Some(start) = open.pop() {
                    found.insert(start, at);
                }
            }
            _ => {}
        }
    }
    found
}

/// Position of the bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Arguments between brackets.
pub(super) fn split(tokens: &[Token]) -> Vec<Argument<'_>> {
    let mut depth = 0usize;
    let mut start = 0;
    let mut found = Vec::new();
    for at in 0..=tokens.len() {
        match tokens.get(at).map(|t| &t.kind) {
            Some(Kind::Mark('(' | '[' | '{')) => depth += 1,
            Some(Kind::Mark(')' | ']' | '}')) => depth = depth.saturating_sub(1),
            None | Some(Kind::Mark(',')) if depth == 0 => {
                if start < at {
                    found.push(argument(&tokens[start..at]));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn argument(tokens: &[Token]) -> Argument<'_> {
    let unpacked = matches!(tokens.first().map(|t| &t.kind), Some(Kind::Mark('*')));
    match tokens {
        [Token { kind: Kind::Name(name), .. }, Token { kind: Kind::Mark('='), .. }, value @ ..]
            if value.first().is_some_and(|t| t.kind != Kind::Mark('=')) =>
        {
            Argument { keyword: Some(name.clone()), value, unpacked }
        }
        _ => Argument { keyword: None, value: tokens, unpacked },
    }
}

/// Statements `NAME = value`.
fn bindings(tokens: &[Token]) -> HashMap<String, Option<(usize, usize)>> {
    let mut bound: HashMap<String, Option<(usize, usize)>> = HashMap::new();
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        if token.kind != Kind::End {
            continue;
        }
        if let [Token { kind: Kind::Name(name), .. }, Token { kind: Kind::Mark('='), .. }, rest @ ..] =
            &tokens[start..at]
            && rest.first().is_some_and(|t| t.kind != Kind::Mark('='))
        {
            let place = (start + 2, at);
            bound.entry(name.clone()).and_modify(|place| *place = None).or_insert(Some(place));
        } else if let [
            Token { kind: Kind::Name(name), .. },
            Token { kind: Kind::Mark(_), .. },
            Token { kind: Kind::Mark('='), .. },
            ..,
        ] = &tokens[start..at]
        {
            // `name += …`
            bound.insert(name.clone(), None);
        }
        start = at + 1;
    }
    bound
}

/// Classes whose `from_pretrained` loads no weights.
const NO_WEIGHTS: [&str; 6] = ["Tokenizer", "TokenizerFast", "Processor", "Config", "FeatureExtractor", "Extractor"];

/// Calls that load a model, in order.
pub(super) fn find_calls(script: &Script) -> Vec<Call> {
    let tokens = script.tokens();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Kind::Name(name) = &token.kind else { continue };
        if tokens.get(at + 1).is_none_or(|t| t.kind != Kind::Mark('(')) {
            continue;
        }
        let class = match (at.checked_sub(2).map(|i| &tokens[i].kind), at.checked_sub(1).map(|i| &tokens[i].kind)) {
            (Some(Kind::Name(class)), Some(Kind::Mark('.'))) => Some(class.as_str()),
            _ => None,
        };
        let is_definition = matches!(class_before(tokens, at), Some("def" | "class"));
        let engine = match (class, name.as_str()) {
            (Some(class), "from_pretrained")
                if class.chars().next().is_some_and(char::is_uppercase)
                    && !NO_WEIGHTS.iter().any(|end| class.ends_with(end)) =>
            {
                Loader::Transformers
            }
            (None | Some("vllm"), "LLM") if !is_definition => Loader::Vllm,
            _ => continue,
        };
        let Some(end) = script.closers.get(&(at + 1)).copied() else { continue };
        let first = if class.is_some() { at - 2 } else { at };
        let target = match first.checked_sub(2).map(|i| &tokens[i..first]) {
            Some([Token { kind: Kind::Name(target), .. }, Token { kind: Kind::Mark('='), .. }]) => Some(target.clone()),
            _ => None,
        };
        let name = class.map_or_else(|| name.clone(), |class| format!("{class}.{name}"));
        found.push(Call { engine, name, line: token.line, target, inside: (at + 2, end) });
    }
    found
}

fn class_before(tokens: &[Token], at: usize) -> Option<&str> {
    match &tokens.get(at.checked_sub(1)?)?.kind {
        Kind::Name(name) => Some(name),
        _ => None,
    }
}
