//! Published logs of failures with what was found out about them, and how the diagnosis compares.
#![allow(clippy::disallowed_methods, dead_code, reason = "stored records are read from files; each target uses a part")]

use serde_json::Value as Json;
use shardfit::engines::Cause;
use shardfit::oom::{Diagnosis, Facts, KnownModel, Patterns, Scanner, Value, diagnose};
use shardfit::units::Bytes;

/// One record, compared.
pub struct Compared {
    pub id: String,
    pub engine: String,
    pub confirmed: bool,
    pub expected: String,
    pub found: Cause,
    pub confidence: &'static str,
    pub why: String,
    /// Fields that are printed and were read otherwise or not at all: name, expected, found.
    pub wrong_fields: Vec<(String, Json, Option<Value>)>,
    pub fields: usize,
    pub device_right: bool,
    /// Whether the fix that worked is among the first two repairs; `None` where none is known.
    pub fix: Option<bool>,
    pub repairs: Vec<String>,
}

impl Compared {
    /// Whether the cause is the published one.
    pub fn is_right(&self) -> bool {
        self.found.id() == self.expected
    }
}

/// The sets of records: each file of `oom/`, by its name. `records` was at hand while the rules were written; the others were collected
/// and labelled before the program saw them.
pub fn sets() -> Vec<String> {
    let folder = super::corpus::data().join("oom");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let records = files.filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let mut names: Vec<String> = records.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The records of one set.
pub fn compare_set(name: &str) -> Vec<Compared> {
    let patterns = Patterns::built_in().unwrap();
    super::corpus::rows(&format!("oom/{name}.jsonl")).iter().map(|record| compare(&patterns, record)).collect()
}

/// How many of a set are right.
#[derive(Debug, Clone, Copy, Default)]
pub struct Share {
    pub right: usize,
    pub all: usize,
}

impl Share {
    fn of(items: impl Iterator<Item = bool>) -> Self {
        items.fold(Self::default(), |sum, is_right| Self { right: sum.right + usize::from(is_right), all: sum.all + 1 })
    }

    /// Right of all, 1 where there is none.
    pub fn part(self) -> f64 {
        if self.all == 0 { 1.0 } else { self.right as f64 / self.all as f64 }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} ({:.1} %)", self.right, self.all, 100.0 * self.part())
    }
}

/// What is counted over a set.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// Causes of all records.
    pub causes: Share,
    /// Causes of those whose author or maintainer confirmed them.
    pub confirmed: Share,
    /// Right ones of the causes that were named.
    pub named: Share,
    /// Printed fields that were read as they stand.
    pub fields: Share,
    /// Cards.
    pub device: Share,
    /// Fixes that worked and are among the first two repairs.
    pub fixes: Share,
}

impl Score {
    pub fn of(records: &[Compared]) -> Self {
        let fields: usize = records.iter().map(|r| r.fields).sum();
        let wrong: usize = records.iter().map(|r| r.wrong_fields.len()).sum();
        Self {
            causes: Share::of(records.iter().map(Compared::is_right)),
            confirmed: Share::of(records.iter().filter(|r| r.confirmed).map(Compared::is_right)),
            named: Share::of(records.iter().filter(|r| r.found != Cause::Unknown).map(Compared::is_right)),
            fields: Share { right: fields - wrong, all: fields },
            device: Share::of(records.iter().map(|r| r.device_right)),
            fixes: Share::of(records.iter().filter_map(|r| r.fix)),
        }
    }
}

/// The model, cards and degree of a record, as flags would give them.
fn facts(record: &Json) -> Facts {
    let name = record["model"].as_str();
    let model = name.map(|name| match super::corpus::model(name) {
        Some(Ok(model)) => KnownModel::of(model),
        _ => KnownModel::named(name),
    });
    Facts {
        model: model.unwrap_or_default(),
        cards: record["cards"].as_u64().map(|n| n as u32),
        capacity: record["card_gib"].as_f64().map(Bytes::from_gib),
        tensor_parallel: record["tp"].as_u64().map(|n| n as u32),
        ..Facts::default()
    }
}

/// The diagnosis of a record.
pub fn diagnosis(patterns: &Patterns, record: &Json) -> Diagnosis {
    let mut scanner = Scanner::new(patterns);
    scanner.push(record["log"].as_str().unwrap().as_bytes());
    diagnose(&scanner.finish(), &facts(record))
}

fn compare(patterns: &Patterns, record: &Json) -> Compared {
    let diagnosis = diagnosis(patterns, record);
    let finding = diagnosis.findings.first();
    let mut wrong_fields = Vec::new();
    let printed = record["printed"].as_object().unwrap();
    for (name, expected) in printed {
        let found = finding.and_then(|f| f.fields.get(name));
        let found = found.or_else(|| diagnosis.configuration.get(name)).or_else(|| diagnosis.measurements.get(name));
        if !found.is_some_and(|found| equal(found, expected)) {
            wrong_fields.push((name.clone(), expected.clone(), found.cloned()));
        }
    }
    let fixes: Vec<&str> = record["fix"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let repairs: Vec<String> = finding
        .map(|f| f.repairs.iter().map(|r| serde_json::to_value(r.kind).unwrap().as_str().unwrap().to_owned()).collect())
        .unwrap_or_default();
    let device = printed.get("device").and_then(Json::as_u64);
    Compared {
        id: record["id"].as_str().unwrap().to_owned(),
        engine: record["engine"].as_str().unwrap().to_owned(),
        confirmed: record["confirmed"].as_bool().unwrap(),
        expected: record["cause"].as_str().unwrap().to_owned(),
        found: finding.map_or(Cause::Unknown, |f| f.cause),
        confidence: finding.map_or("none", |f| f.confidence.name()),
        why: finding.map(|f| f.why.clone()).unwrap_or_default(),
        wrong_fields,
        fields: printed.len(),
        device_right: device.is_none_or(|d| finding.and_then(|f| f.device).map(u64::from) == Some(d)),
        fix: (!fixes.is_empty()).then(|| repairs.iter().take(2).any(|r| fixes.contains(&r.as_str()))),
        repairs,
    }
}

fn equal(found: &Value, expected: &Json) -> bool {
    match found {
        Value::Number(number) => expected.as_f64().is_some_and(|e| (e - number).abs() < 1e-9 + e.abs() * 1e-6),
        Value::Numbers(numbers) => expected.as_array().is_some_and(|e| {
            e.len() == numbers.len()
                && e.iter().zip(numbers).all(|(e, n)| e.as_f64().is_some_and(|e| (e - n).abs() < 1e-9))
        }),
        Value::Text(text) => expected.as_str() == Some(text),
    }
}
