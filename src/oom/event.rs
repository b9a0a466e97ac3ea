//! What a log states: one event a message, with its fields and its place.

use std::collections::BTreeMap;

use super::Value;
use crate::profiles::oom::{Role, Signal, Stage};
use crate::units::Bytes;

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the file, in the order they were read.
    pub file: usize,
    /// Its first line, counted from 1.
    pub line: u64,
    /// Its last line, where it is wrapped.
    pub last_line: u64,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Id of the pattern that it matched.
    pub pattern: String,
    /// Whose words these are.
    pub engine: String,
    /// What it is to a diagnosis.
    pub role: Role,
    /// What it says.
    pub signal: Signal,
    /// The stage that the words alone tell.
    pub stage: Option<Stage>,
    /// Named numbers and words.
    pub fields: BTreeMap<String, Value>,
    /// Where it stands.
    pub place: Place,
    /// The message, shortened.
    pub text: String,
    /// Rank that wrote it, where a prefix says so.
    pub rank: Option<u32>,
    /// Process that wrote it, where a prefix says so.
    pub pid: Option<u32>,
    /// Engine that the line's prefix or paths name, whoever's words the message is.
    pub speaker: Option<&'static str>,
    /// Time stamp as printed.
    pub time: Option<String>,
}

impl Event {
    /// A field's number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.fields.get(name)?.number()
    }

    /// A field as bytes, by the unit in its name.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Bytes> {
        super::field::bytes(name, self.number(name)?)
    }

    /// A field's words.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.fields.get(name)? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Numbers(_) => None,
        }
    }

    /// Whether two events may come from one process: a rank or a process id that both name must agree.
    #[must_use]
    pub fn same_process(&self, other: &Self) -> bool {
        let agree = |a: Option<u32>, b: Option<u32>| a.zip(b).is_none_or(|(a, b)| a == b);
        self.place.file == other.place.file && agree(self.rank, other.rank) && agree(self.pid, other.pid)
    }
}

/// All events of a scan, in the order of the text, and its extent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events {
    /// The events; of a message that is repeated without end, the first and the last ones.
    pub list: Vec<Event>,
    /// Messages that were found and not kept.
    pub dropped: u64,
    /// Lines of each file.
    pub lines: Vec<u64>,
    /// Line of each file that is the last one with text.
    pub last_text: Vec<u64>,
}

impl Events {
    /// Events of one signal.
    pub fn of(&self, signal: Signal) -> impl Iterator<Item = &Event> {
        self.list.iter().filter(move |e| e.signal == signal)
    }

    /// The first value of a field, over all events that state it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.list.iter().find_map(|e| e.fields.get(name))
    }

    /// The first number of a field.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.field(name)?.number()
    }
}
