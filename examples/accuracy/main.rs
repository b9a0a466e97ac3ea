//! Compares the estimator with stored facts: `cargo run --release --example accuracy -- [parameters|shards|runs|speed|document] [--all]`.
//!
//! Prints one table a topic (`speed` and `document` only when asked for); `--all` lists each row that differs.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and reads stored facts")]

#[path = "../../tests/corpus/mod.rs"]
mod corpus;
mod published;
#[path = "../../tests/corpus/runs.rs"]
mod runs;
#[path = "../../tests/corpus/shards.rs"]
mod shards;
mod speed;

use std::collections::BTreeMap;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = arguments.iter().any(|a| a == "--all");
    let wanted = |topic: &str| arguments.iter().all(|a| a.starts_with("--")) || arguments.iter().any(|a| a == topic);
    if wanted("parameters") {
        parameters(all);
    }
    if wanted("shards") {
        for version in ["0.11.2", "0.25.1"] {
            per_rank(version, all);
        }
    }
    if wanted("runs") {
        print!("{}", published::tables(all));
    }
    if arguments.iter().any(|a| a == "speed") {
        speed::measure();
    }
    if arguments.iter().any(|a| a == "document") {
        print!("{}", published::document());
    }
}

/// Parameters and tensor names of every stored list.
fn parameters(all: bool) {
    let (mut exact, mut total, mut unread) = (0, 0, BTreeMap::<String, u32>::new());
    for list in corpus::parameter_lists() {
        let id = list["id"].as_str().unwrap();
        total += 1;
        match corpus::model(id) {
            None => *unread.entry("no config".to_owned()).or_default() += 1,
            Some(Err(error)) => *unread.entry(error.to_string()).or_default() += 1,
            Some(Ok(model)) => {
                let (ours, theirs) = (model.parameters(), list["params_total"].as_u64().unwrap());
                if ours == theirs {
                    exact += 1;
                } else {
                    println!("  {id} ({}): {ours}, not {theirs}", model.architecture);
                }
            }
        }
    }
    println!("parameters: {exact} of {total} lists exact");
    if all {
        for (why, count) in unread {
            println!("  {count} not read: {why}");
        }
    }
}

/// Bytes per rank by architecture and quantisation.
fn per_rank(version: &str, all: bool) {
    let card = shards::h100();
    let mut table = BTreeMap::<String, (u32, u32, u32)>::new();
    for row in corpus::rows("oracle/vllm_shards.jsonl") {
        if row["vllm"].as_str() != Some(version) {
            continue;
        }
        let id = row["model"].as_str().unwrap();
        let kind = format!("{} {}", row["arch"].as_str().unwrap_or("?"), row["quant"].as_str().unwrap_or("-"));
        let entry = table.entry(kind).or_default();
        entry.0 += 1;
        let Some(Ok(model)) = corpus::model(id) else { continue };
        entry.1 += 1;
        let place = format!("{id} tp {} pp {} stage {}", row["tp"], row["pp"], row["pp_rank"]);
        match shards::compare(&model, &row, &card) {
            Ok(compared) if compared.exact() => entry.2 += 1,
            Ok(compared) if all => println!("  {place}: {compared:?}"),
            Err(error) if all => println!("  {place}: {error}"),
            Ok(_) | Err(_) => {}
        }
    }
    println!("vLLM {version}, bytes per rank (rows, read, exact constructed and resident)");
    for (kind, (rows, read, exact)) in &table {
        println!("  {kind:58} {rows:4} {read:4} {exact:4}");
    }
    let sum = |f: fn(&(u32, u32, u32)) -> u32| table.values().map(f).sum::<u32>();
    println!("  {:58} {:4} {:4} {:4}", "all", sum(|t| t.0), sum(|t| t.1), sum(|t| t.2));
}
