//! Compares diagnoses with published failures: `cargo run --example diagnosis_accuracy -- [--all] [document]`.
//!
//! `--all` lists each record that differs; `document` prints the tables of `docs/diagnosis.md`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and reads stored facts")]

#[path = "../tests/corpus/mod.rs"]
mod corpus;
#[path = "../tests/corpus/oom.rs"]
mod oom;

use std::collections::BTreeMap;

use shardfit::engines::Cause;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let records = oom::compare_all();
    if arguments.iter().any(|a| a == "document") {
        confusion(&records);
        return;
    }
    summary(&records);
    if arguments.iter().any(|a| a == "--all") {
        for r in &records {
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
    }
}

fn summary(records: &[oom::Compared]) {
    let share =
        |right: usize, all: usize| format!("{right} of {all} ({:.1} %)", 100.0 * right as f64 / all.max(1) as f64);
    let confirmed: Vec<_> = records.iter().filter(|r| r.confirmed).collect();
    println!("causes, all        {}", share(records.iter().filter(|r| r.is_right()).count(), records.len()));
    println!("causes, confirmed  {}", share(confirmed.iter().filter(|r| r.is_right()).count(), confirmed.len()));
    let claimed: Vec<_> = records.iter().filter(|r| r.found != Cause::Unknown).collect();
    println!("right where a cause is named  {}", share(claimed.iter().filter(|r| r.is_right()).count(), claimed.len()));
    let fields: usize = records.iter().map(|r| r.fields).sum();
    let wrong: usize = records.iter().map(|r| r.wrong_fields.len()).sum();
    println!("printed fields     {}", share(fields - wrong, fields));
    println!("device             {}", share(records.iter().filter(|r| r.device_right).count(), records.len()));
    let fixes: Vec<bool> = records.iter().filter_map(|r| r.fix).collect();
    println!("fix among first two repairs  {}", share(fixes.iter().filter(|f| **f).count(), fixes.len()));
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
