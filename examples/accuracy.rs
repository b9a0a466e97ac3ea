//! Compares the estimator with stored facts: `cargo run --release --example accuracy --
//! [parameters|maps|shards|refusals|kv|transformers|starts|speed|document] [--all]`.
//!
//! Prints one table a topic; `--all` lists each row that differs.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and reads stored facts")]

#[path = "../tests/corpus/mod.rs"]
mod corpus;
#[path = "../tests/corpus/kv.rs"]
mod kv;
#[path = "../tests/corpus/maps.rs"]
mod maps;
#[path = "accuracy/published.rs"]
mod published;
#[path = "../tests/corpus/runs.rs"]
mod runs;
#[path = "../tests/corpus/shards.rs"]
mod shards;
#[path = "accuracy/speed.rs"]
mod speed;
#[path = "../tests/corpus/starts.rs"]
mod starts;

use std::collections::BTreeMap;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = arguments.iter().any(|a| a == "--all");
    let wanted = |topic: &str| arguments.iter().all(|a| a.starts_with("--")) || arguments.iter().any(|a| a == topic);
    if wanted("parameters") {
        parameters(all);
    }
    if wanted("maps") {
        device_maps("device_maps.jsonl", "4.57.6", all);
        device_maps("device_maps_v5.jsonl", "5.23.0", all);
    }
    if wanted("transformers") {
        transformers_runs(all);
    }
    if wanted("shards") {
        for version in ["0.11.2", "0.25.1"] {
            per_rank(version, all);
        }
    }
    if wanted("refusals") {
        refusals(all);
    }
    if wanted("kv") {
        pools(all);
    }
    if wanted("starts") {
        print!("{}", published::tables(all));
    }
    // Only when asked for.
    if arguments.iter().any(|a| a == "speed") {
        speed::measure();
    }
    if arguments.iter().any(|a| a == "document") {
        print!("{}", published::document());
    }
}

/// KV pools: blocks, groups, printed tokens, concurrency, and the lengths of refusals.
fn pools(all: bool) {
    let mut table = BTreeMap::<(String, kv::Answer), (u32, u32, u32)>::new();
    for row in corpus::rows("oracle/vllm_kv.jsonl") {
        let (id, version) = (row["model"].as_str().unwrap(), row["vllm"].as_str().unwrap());
        let entry = table.entry((version.to_owned(), kv::answer(&row))).or_default();
        entry.0 += 1;
        let Some(Ok(model)) = corpus::model(id) else { continue };
        entry.1 += 1;
        match kv::compare(&model, &row) {
            Ok(()) => entry.2 += 1,
            Err(difference) if all => println!("  {version} {id} tp {}: {difference}", row["tp"]),
            Err(_) => {}
        }
    }
    println!("KV pools (rows, read, exact)");
    for ((version, answer), (rows, read, exact)) in table {
        // Rows without an answer are listed, not counted as exact.
        let exact = if answer == kv::Answer::None { 0 } else { exact };
        println!("  {version} {:40} {rows:4} {read:4} {exact:4}", format!("{answer:?}"));
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

/// Device maps by model.
fn device_maps(file: &str, version: &str, all: bool) {
    let mut table = BTreeMap::<String, (u32, u32, u32)>::new();
    for row in corpus::rows(&format!("oracle/{file}")) {
        let id = row["model"].as_str().unwrap();
        let entry = table.entry(id.to_owned()).or_default();
        entry.0 += 1;
        let Some(Ok(model)) = corpus::model(id) else { continue };
        entry.1 += 1;
        let compared = maps::compare(&model, &row, maps::version(version));
        if compared.exact() {
            entry.2 += 1;
        } else if all {
            println!("  {id} {} {}: {compared:?}", row["max_memory_name"], row["mode"]);
        }
    }
    print_counts(&format!("device maps of transformers {version} (rows, read, exact)"), &table);
}

/// Peaks of published Transformers runs.
fn transformers_runs(all: bool) {
    let mut series = BTreeMap::<(String, String), Vec<f64>>::new();
    let mut unread = 0;
    for row in corpus::rows("runs/others.jsonl") {
        let Some(run) = runs::run(&row) else { continue };
        let id = row["model"].as_str().unwrap();
        let Some(Ok(model)) = corpus::published_model(id) else {
            unread += 1;
            continue;
        };
        let plan = match runs::plan(&model, &run) {
            Ok(plan) => plan,
            Err(error) => {
                println!("  {id}: {error}");
                continue;
            }
        };
        let ours = runs::allocated(&plan).0 as f64;
        let error = ours / run.peak as f64 - 1.0;
        let quantization = row["quantization"].as_str().unwrap_or("none");
        series.entry((run.version.to_string(), quantization.to_owned())).or_default().push(error);
        // The tables of 4.51 show what is held in the end, without any activation of the prompt.
        if run.version.minor == 51 {
            let held = runs::held(&plan).0 as f64 / run.peak as f64 - 1.0;
            series.entry((format!("{} held", run.version), quantization.to_owned())).or_default().push(held);
        }
        if all {
            let mib = |bytes: f64| bytes / 1048576.0;
            println!(
                "  {:28} {:9} {:1} cards {:6} tokens: {:9.0} MiB, measured {:9.0}, {:+6.1} %, held {:9.0}",
                id.trim_start_matches("Qwen/"),
                quantization,
                row["gpu_count"],
                row["batch"]["input_tokens"],
                mib(ours),
                mib(run.peak as f64),
                error * 100.0,
                mib(runs::held(&plan).0 as f64),
            );
        }
    }
    println!(
        "peak allocated in published Transformers runs (runs, median and mean absolute error, worst); {unread} not read"
    );
    for ((version, quantization), errors) in &series {
        let mut sizes: Vec<f64> = errors.iter().map(|e| e.abs() * 100.0).collect();
        sizes.sort_by(f64::total_cmp);
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        let (median, worst) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
        println!("  {version:11} {quantization:10} {:4} {median:6.2} % {mean:6.2} % {worst:6.2} %", sizes.len());
    }
}

fn print_counts(title: &str, table: &BTreeMap<String, (u32, u32, u32)>) {
    println!("{title}");
    for (kind, (rows, read, exact)) in table {
        println!("  {kind:58} {rows:4} {read:4} {exact:4}");
    }
    let sum = |f: fn(&(u32, u32, u32)) -> u32| table.values().map(f).sum::<u32>();
    println!("  {:58} {:4} {:4} {:4}", "all", sum(|t| t.0), sum(|t| t.1), sum(|t| t.2));
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
    print_counts(&format!("vLLM {version}, bytes per rank (rows, read, exact constructed and resident)"), &table);
}

/// Sizes that vLLM refuses, and sizes that it builds.
fn refusals(all: bool) {
    let (mut refused, mut read, mut known) = (0, 0, 0);
    for row in corpus::rows("oracle/vllm_shard_refusals.jsonl") {
        if row["of_this_size"].as_bool() != Some(true) {
            continue;
        }
        known += 1;
        let Some(Ok(model)) = corpus::model(row["model"].as_str().unwrap()) else { continue };
        read += 1;
        let ours = shards::refusal(&model, &row);
        refused += u32::from(ours.is_some());
        if all || ours.is_none() {
            let ours = ours.unwrap_or_else(|| "not refused".to_owned());
            println!("  {} tp {} pp {}: {ours} | {}", row["model"], row["tp"], row["pp"], row["error"]);
        }
    }
    println!("vLLM's refusals of a size ({known} rows, {read} read): {refused} refused");
    let (mut built, mut read) = (0, 0);
    for row in corpus::rows("oracle/vllm_shards.jsonl") {
        let Some(Ok(model)) = corpus::model(row["model"].as_str().unwrap()) else { continue };
        read += 1;
        match shards::refusal(&model, &row) {
            None => built += 1,
            Some(why) => {
                println!("  {} tp {} pp {}: refused, but vLLM builds it: {why}", row["model"], row["tp"], row["pp"])
            }
        }
    }
    println!("sizes that vLLM builds ({read} read): {built} not refused");
}
