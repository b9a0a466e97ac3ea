//! Values of literal expressions.

use serde_json::{Map, Value};

use super::arguments::Script;
use super::tokens::{Kind, Token};

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    /// As written.
    Number(String),
    Bool(bool),
    None,
    /// A list or tuple.
    List(Vec<Self>),
    Dict(Vec<(Self, Self)>),
    /// `torch.float16`: the name in torch.
    Torch(String),
    /// `BitsAndBytesConfig(load_in_4bit=True)`: a call with literal keywords; the others are named.
    Call {
        name: String,
        arguments: Vec<(String, Self)>,
        computed: Vec<String>,
    },
}

/// Deepest nesting followed.
const DEPTH: usize = 32;

/// The value of an expression; `None` when it is computed.
pub(super) fn literal(script: &Script, tokens: &[Token]) -> Option<Literal> {
    literal_within(script, tokens, 0)
}

/// The same inside another, `depth` levels down.
pub(super) fn literal_within(script: &Script, tokens: &[Token], depth: usize) -> Option<Literal> {
    Parser { script, tokens, at: 0, depth }.whole()
}

struct Parser<'a> {
    script: &'a Script,
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn whole(mut self) -> Option<Literal> {
        let value = self.value()?;
        (self.at == self.tokens.len()).then_some(value)
    }

    fn kind(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|t| &t.kind)
    }

    fn mark(&mut self, mark: char) -> bool {
        let found = self.kind() == Some(&Kind::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Option<Literal> {
        if self.depth >= DEPTH || !self.script.spend() {
            return None;
        }
        self.depth += 1;
        let value = self.product();
        self.depth -= 1;
        value
    }

    /// Whole numbers joined by `*`, as sizes are often written.
    fn product(&mut self) -> Option<Literal> {
        let mut value = self.power()?;
        while self.mark('*') {
            let (a, b) = (whole(&value)?, whole(&self.power()?)?);
            value = Literal::Number(a.checked_mul(b)?.to_string());
        }
        Some(value)
    }

    /// Whole numbers joined by `**`.
    fn power(&mut self) -> Option<Literal> {
        let value = self.single()?;
        let star = |at: usize| self.tokens.get(at).is_some_and(|t| t.kind == Kind::Mark('*'));
        if !(star(self.at) && star(self.at + 1)) {
            return Some(value);
        }
        self.at += 2;
        let exponent = u32::try_from(whole(&self.single()?)?).ok()?;
        Some(Literal::Number(whole(&value)?.checked_pow(exponent)?.to_string()))
    }

    fn single(&mut self) -> Option<Literal> {
        match self.kind()?.clone() {
            Kind::Text(text) => {
                self.at += 1;
                let mut text = text?;
                // Neighbouring strings are one.
                while let Some(Kind::Text(next)) = self.kind().cloned() {
                    text.push_str(&next?);
                    self.at += 1;
                }
                Some(Literal::Text(text))
            }
            Kind::Number(number) => {
                self.at += 1;
                Some(Literal::Number(number))
            }
            Kind::Mark('-') => {
                self.at += 1;
                let Kind::Number(number) = self.kind()?.clone() else { return None };
                self.at += 1;
                Some(Literal::Number(format!("-{number}")))
            }
            Kind::Mark('[') => self.list('[', ']'),
            Kind::Mark('(') => match self.list('(', ')')? {
                // Brackets around one value are no tuple.
                Literal::List(mut items) if items.len() == 1 => items.pop(),
                list => Some(list),
            },
            Kind::Mark('{') => self.dict(),
            Kind::Name(name) => self.name(name),
            Kind::Mark(_) | Kind::End => None,
        }
    }

    fn list(&mut self, open: char, close: char) -> Option<Literal> {
        let mut items = Vec::new();
        if !self.mark(open) {
            return None;
        }
        while !self.mark(close) {
            items.push(self.value()?);
            if !self.mark(',') && self.kind() != Some(&Kind::Mark(close)) {
                return None;
            }
        }
        Some(Literal::List(items))
    }

    /// `{0: "20GiB"}`, and `{i: "20GiB" for i in range(4)}`, which is how caps for all cards are usually written.
    fn dict(&mut self) -> Option<Literal> {
        let mut entries = Vec::new();
        if !self.mark('{') {
            return None;
        }
        while !self.mark('}') {
            if let Some(comprehension) = self.comprehension() {
                return Some(comprehension);
            }
            let key = self.value()?;
            if !self.mark(':') {
                return None;
            }
            entries.push((key, self.value()?));
            if !self.mark(',') && self.kind() != Some(&Kind::Mark('}')) {
                return None;
            }
        }
        Some(Literal::Dict(entries))
    }

    fn comprehension(&mut self) -> Option<Literal> {
        /// More cards than any machine has.
        const MOST: u64 = 1024;
        let start = self.at;
        let attempt = (|| {
            let Kind::Name(variable) = self.kind()?.clone() else { return None };
            self.at += 1;
            if !self.mark(':') {
                return None;
            }
            // One size for each card; anything larger would be copied as often.
            let value = self.value().filter(|value| matches!(value, Literal::Text(_) | Literal::Number(_)))?;
            for expected in ["for", variable.as_str(), "in", "range"] {
                if self.kind()? != &Kind::Name(expected.to_owned()) {
                    return None;
                }
                self.at += 1;
            }
            let count = match (self.mark('('), self.value()?, self.mark(')'), self.mark('}')) {
                (true, Literal::Number(count), true, true) => count.parse::<u64>().ok().filter(|n| *n <= MOST)?,
                _ => return None,
            };
            let entries = (0..count).map(|key| (Literal::Number(key.to_string()), value.clone()));
            Some(Literal::Dict(entries.collect()))
        })();
        if attempt.is_none() {
            self.at = start;
        }
        attempt
    }

    fn name(&mut self, first: String) -> Option<Literal> {
        self.at += 1;
        match first.as_str() {
            "True" => return Some(Literal::Bool(true)),
            "False" => return Some(Literal::Bool(false)),
            "None" => return Some(Literal::None),
            _ => {}
        }
        let mut path = vec![first];
        while self.mark('.') {
            let Kind::Name(part) = self.kind()?.clone() else { return None };
            self.at += 1;
            path.push(part);
        }
        let last = path.last()?.clone();
        if self.kind() == Some(&Kind::Mark('(')) {
            return self.call(last, path.first().is_some_and(|m| m == "torch"));
        }
        match path.as_slice() {
            [module, name] if module == "torch" => Some(Literal::Torch(name.clone())),
            // A name bound once, at the top of the script, to a literal.
            [name] => self.script.constant(name, self.depth),
            _ => None,
        }
    }

    fn call(&mut self, name: String, of_torch: bool) -> Option<Literal> {
        let end = super::arguments::closing(self.tokens, self.at)?;
        let inner = &self.tokens[self.at + 1..end];
        self.at = end + 1;
        let arguments = super::arguments::split(inner);
        if of_torch && name == "device" {
            let parts: Option<Vec<Literal>> = arguments.iter().map(|a| literal(self.script, a.value)).collect();
            return match parts?.as_slice() {
                [Literal::Text(device)] => Some(Literal::Text(device.clone())),
                [Literal::Text(device), Literal::Number(ordinal)] => Some(Literal::Text(format!("{device}:{ordinal}"))),
                _ => None,
            };
        }
        if !name.ends_with("Config") {
            return None;
        }
        let mut known = Vec::new();
        let mut computed = Vec::new();
        for argument in arguments {
            let keyword = argument.keyword?;
            match literal_within(self.script, argument.value, self.depth + 1) {
                Some(value) => known.push((keyword, value)),
                None => computed.push(keyword),
            }
        }
        Some(Literal::Call { name, arguments: known, computed })
    }
}

/// A literal's whole number.
fn whole(value: &Literal) -> Option<u64> {
    match value {
        Literal::Number(number) => number.parse().ok(),
        _ => None,
    }
}

impl Literal {
    /// As JSON, where JSON can say it.
    pub(super) fn json(&self) -> Option<Value> {
        Some(match self {
            Self::Text(text) | Self::Torch(text) => Value::String(text.clone()),
            Self::Number(number) => serde_json::from_str(number).ok()?,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::None => Value::Null,
            Self::List(items) => Value::Array(items.iter().map(Self::json).collect::<Option<_>>()?),
            Self::Dict(entries) => {
                let entries = entries.iter().map(|(key, value)| Some((key.plain()?, value.json()?)));
                Value::Object(entries.collect::<Option<Map<_, _>>>()?)
            }
            Self::Call { .. } => return None,
        })
    }

    /// As plain text: what a command line would say.
    pub(super) fn plain(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Torch(text) => Some(text.clone()),
            Self::Bool(true) => Some("True".to_owned()),
            Self::Bool(false) => Some("False".to_owned()),
            Self::None => Some("None".to_owned()),
            Self::List(_) | Self::Dict(_) => self.json().map(|json| json.to_string()),
            Self::Call { .. } => None,
        }
    }
}
