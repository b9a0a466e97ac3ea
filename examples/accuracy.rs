//! Compares the estimator with stored facts: `cargo run --release --example accuracy --
//! [parameters|maps|shards|refusals|kv|transformers|starts|speed] [--all]`, or `document [MACHINE]` for the whole of `docs/accuracy.md`.
//!
//! Prints one table a topic; `--all` lists each row that differs.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example prints, and reads stored facts")]

#[path = "../tests/corpus/mod.rs"]
mod corpus;
#[path = "accuracy/document.rs"]
mod document;
#[path = "accuracy/exact.rs"]
mod exact;
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
#[path = "accuracy/transformers.rs"]
mod transformers;

/// Versions of vLLM that the stored answers are of.
pub const VLLM: [&str; 2] = ["0.11.2", "0.25.1"];
/// Stored device maps, and the version of Transformers that made them.
pub const MAPS: [(&str, &str); 2] = [("device_maps.jsonl", "4.57.6"), ("device_maps_v5.jsonl", "5.23.0")];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|a| a == "document") {
        print!("{}", document::document(arguments.get(1).map_or("a machine that was not named", String::as_str)));
        return;
    }
    let all = arguments.iter().any(|a| a == "--all");
    let wanted = |topic: &str| arguments.iter().all(|a| a.starts_with("--")) || arguments.iter().any(|a| a == topic);
    if wanted("parameters") {
        print!("{}", exact::table("parameters", &exact::parameters(), all));
    }
    if wanted("maps") {
        for (file, version) in MAPS {
            let title = format!("device maps of transformers {version}");
            print!("{}", exact::table(&title, &exact::device_maps(file, version), all));
        }
    }
    if wanted("transformers") {
        print!("{}", transformers::tables(all));
    }
    if wanted("shards") {
        for version in VLLM {
            let title = format!("vLLM {version}, bytes per rank, constructed and resident");
            print!("{}", exact::table(&title, &exact::per_rank(version), all));
        }
    }
    if wanted("refusals") {
        let [refused, built] = exact::refusals();
        print!("{}", exact::table("sizes that vLLM refuses, refused", &refused, true));
        print!("{}", exact::table("sizes that vLLM builds, not refused", &built, true));
    }
    if wanted("kv") {
        print!("{}", exact::table("KV pools", &exact::pools(), all));
    }
    if wanted("starts") {
        print!("{}", published::tables(all));
    }
    // Only when asked for.
    if arguments.iter().any(|a| a == "speed") {
        print!("{}", speed::measure());
    }
}
