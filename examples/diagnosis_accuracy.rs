//! Compares diagnoses with published failures: `cargo run --example diagnosis_accuracy -- [SET…] [--all] [document]`.
//!
//! A set is a file of `tests/data/oom` by its name; without one all are compared, each for itself. `--all` lists each record that differs;
//! `document` prints the tables of `docs/diagnosis.md`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and reads stored facts")]

#[path = "../tests/corpus/mod.rs"]
mod corpus;
#[path = "../tests/corpus/oom.rs"]
mod oom;

use std::collections::BTreeMap;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|a| a == word);
    let sets = oom::sets();
    let is_named = sets.iter().any(|set| has(set));
    let mut all = Vec::new();
    for set in sets.iter().filter(|set| !is_named || has(set)) {
        let records = oom::compare_set(set);
        if !has("document") {
            summary(set, &records);
        }
        all.extend(records);
    }
    if has("document") {
        confusion(&all);
    } else if has("--all") {
        all.iter().for_each(differences);
    }
}

/// How a record differs from what was published.
fn differences(r: &oom::Compared) {
    if !r.is_right() {
        let mark = if r.confirmed { "confirmed" } else { "" };
        println!(
            "{} {} {mark}\n  expected {} found {} ({})\n  {}",
            r.id, r.engine, r.expected, r.found, r.confidence, r.why
        );
    }
    for (name, expected, found) in &r.wrong_fields {
        println!("  {} field {name}: {expected} read as {found:?}", r.id);
    }
    if !r.device_right {
        println!("  {} device", r.id);
    }
    if r.fix == Some(false) {
        println!("  {} fix not among {:?}", r.id, r.repairs);
    }
}

fn summary(set: &str, records: &[oom::Compared]) {
    let score = oom::Score::of(records);
    println!("{set}: {} records", records.len());
    println!("  causes, all        {}", score.causes);
    println!("  causes, confirmed  {}", score.confirmed);
    println!("  right where a cause is named  {}", score.named);
    println!("  printed fields     {}", score.fields);
    println!("  device             {}", score.device);
    println!("  fix among first two repairs  {}", score.fixes);
}

/// Published cause by found cause.
fn confusion(records: &[oom::Compared]) {
    let mut table = BTreeMap::<&str, BTreeMap<&str, usize>>::new();
    for r in records {
        *table.entry(&r.expected).or_default().entry(r.found.id()).or_default() += 1;
    }
    println!(
        "| published cause | records | right | confirmed | right | taken for |\n| --- | ---: | ---: | ---: | ---: | --- |"
    );
    for (cause, found) in &table {
        let of = |confirmed: bool| records.iter().filter(move |r| r.expected == **cause && (!confirmed || r.confirmed));
        let others: Vec<String> =
            found.iter().filter(|(other, _)| *other != cause).map(|(other, n)| format!("`{other}` {n}")).collect();
        println!(
            "| `{cause}` | {} | {} | {} | {} | {} |",
            of(false).count(),
            of(false).filter(|r| r.is_right()).count(),
            of(true).count(),
            of(true).filter(|r| r.is_right()).count(),
            others.join(", ")
        );
    }
}
