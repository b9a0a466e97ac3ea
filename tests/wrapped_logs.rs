//! A log means the same whatever stands around its words: each stored failure is diagnosed as it is, and as containers, launchers,
//! journals and terminals would have written it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod corpus;
#[path = "corpus/oom.rs"]
mod oom;

use std::collections::BTreeSet;

use serde_json::Value;
use shardfit::oom::Patterns;

/// One way of writing a line, and its name.
type Wrapping = (&'static str, fn(&str) -> String);

const WRAPPINGS: &[Wrapping] = &[
    ("windows", |line| format!("{line}\r")),
    ("colours", |line| format!("\u{1b}[31m\u{1b}[1m{line}\u{1b}[0m")),
    ("compose", |line| format!("server-1  | {line}")),
    ("compose v1", |line| format!("server_1     | {line}")),
    ("coloured compose", |line| format!("\u{1b}[36mserver-1  | \u{1b}[0m{line}")),
    ("containerd", |line| format!("2024-06-28T06:11:52.685300953Z stderr F {line}")),
    ("docker", |line| {
        let line = Value::from(format!("{line}\n"));
        format!("{{\"log\":{line},\"stream\":\"stderr\",\"time\":\"2024-06-28T06:11:52.685300953Z\"}}")
    }),
    ("structured", |line| {
        format!("{{\"timestamp\":\"2024-06-28T06:11:52Z\",\"level\":\"ERROR\",\"message\":{}}}", Value::from(line))
    }),
    ("fluent", |line| format!("{{\"stream\":\"stderr\",\"logtag\":\"F\",\"log\":{}}}", Value::from(line))),
    ("kubectl", |line| format!("[pod/llm-7d9f/server] {line}")),
    ("kubectl with times", |line| format!("[pod/llm-7d9f/server] 2024-06-28T06:11:52.685300953Z {line}")),
    ("actions", |line| format!("2024-06-28T06:11:52.6853009Z {line}")),
    ("journal", |line| format!("Nov 21 18:00:01 gpu-node-3 python3[41371]: {line}")),
    ("journal with precise times", |line| format!("2024-11-21T18:00:01.123456+0000 gpu-node-3 python3[41371]: {line}")),
    ("ray", |line| format!("(RayWorkerWrapper pid=20770, ip=10.0.0.2) {line}")),
    ("coloured ray", |line| format!("\u{1b}[36m(RayWorkerWrapper pid=20770)\u{1b}[0m {line}")),
    ("torchrun", |line| format!("[rank0]: {line}")),
    ("elastic", |line| format!("[default0]:{line}")),
    ("slurm", |line| format!("0: {line}")),
    ("loguru", |line| format!("2024-06-28 06:11:52.685 | ERROR    | server.engine:load:417 - {line}")),
    ("logging", |line| format!("2024-06-28 06:11:52,685 - server - ERROR - {line}")),
    ("absl", |line| format!("E0628 06:11:52.685300 41371 engine.py:417] {line}")),
    ("quoted", |line| format!("> {line}")),
    ("indented", |line| format!("    {line}")),
    ("supervisor", |line| format!("2024-06-28 06:11:52,685 DEBG 'server' stderr output: {line}")),
    ("pm2", |line| format!("0|server  | {line}")),
];

/// Every so many wrappings are tried on a record.
const TAKEN: usize = 7;

fn summary(patterns: &Patterns, record: &Value) -> (&'static str, BTreeSet<String>) {
    let diagnosis = oom::diagnosis(patterns, record);
    let Some(finding) = diagnosis.findings.first() else { return ("none", BTreeSet::new()) };
    let printed = record["printed"].as_object().unwrap();
    let fields = finding.fields.iter().filter(|(name, _)| printed.contains_key(*name));
    (finding.cause.id(), fields.map(|(name, value)| format!("{name}={value}")).collect())
}

#[test]
fn what_stands_around_the_words_changes_nothing() {
    let patterns = Patterns::built_in().unwrap();
    let mut failed = Vec::new();
    for set in oom::sets() {
        for (i, record) in corpus::rows(&format!("oom/{set}.jsonl")).into_iter().enumerate() {
            let plain = summary(&patterns, &record);
            // Each record in some of the wrappings, each wrapping around a good part of the records.
            for (name, wrap) in WRAPPINGS.iter().skip(i % TAKEN).step_by(TAKEN) {
                // Ray numbers its own processes; a log that numbers others was not written under it.
                if name.contains("ray") && record["log"].as_str().unwrap().contains("pid=") {
                    continue;
                }
                let text: Vec<String> = record["log"].as_str().unwrap().lines().map(wrap).collect();
                let mut wrapped = record.clone();
                wrapped["log"] = (text.join("\n") + "\n").into();
                let mut found = summary(&patterns, &wrapped);
                let mut plain = plain.clone();
                // A launcher's rank is one too, for lines that name none.
                if matches!(*name, "torchrun" | "elastic") {
                    found.1.retain(|field| !field.starts_with("rank="));
                    plain.1.retain(|field| !field.starts_with("rank="));
                }
                if found != plain {
                    failed.push(format!("{name}: {}\n  {plain:?}\n  {found:?}", record["id"]));
                }
            }
        }
    }
    failed.sort();
    assert!(failed.is_empty(), "{} differ\n{}", failed.len(), failed.join("\n"));
}
