//! `calibrate` on simulated cards, what later plans make of it, and what `profiles` says of it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "runs the program, reads files, and stops at the first surprise"
)]

mod support;

use serde_json::{Value, json};
use simgpu::machine::MIB;
use simgpu::{Card, Machine};
use support::Bench;

const MODEL: &str = "examples/models/tiny-qwen2";

fn two_cards() -> Machine {
    Machine::new().cards(2, Card::a10())
}

/// Measures with a small file, so that a test needs no seconds.
fn calibrate(bench: &Bench, more: &[&str]) -> Value {
    bench.report(0, &[&["calibrate", "--read", "Cargo.lock"], more].concat())
}

fn context_line(plan: &Value) -> &Value {
    let lines = plan["ranks"][0]["lines"].as_array().unwrap();
    lines.iter().find(|line| line["what"] == "CUDA context").unwrap()
}

#[test]
fn measured_figures_take_the_place_of_the_profiles() {
    let bench = Bench::new(two_cards());
    let plan = ["plan", MODEL, "--gpus", "live"];
    assert_eq!(context_line(&bench.report(0, &plan))["basis"], "profile");

    let measured = calibrate(&bench, &[]);
    let cards = measured["cards"].as_array().unwrap();
    assert_eq!(cards.len(), 1, "one of each kind");
    assert_eq!((&cards[0]["name"], &cards[0]["bare_context_bytes"]), (&json!("NVIDIA A10"), &json!(240 * MIB)));
    assert_eq!(cards[0]["granularity_bytes"], 2 * MIB);
    assert_eq!(cards[0]["usable_bytes"], (22_508 - 240) * MIB);
    assert!(cards[0]["to_card_gigabytes_per_second"].as_f64().unwrap() > 0.0);
    assert!(cards[0]["pack_below_bytes"].is_u64());
    assert!(measured["host"]["memory_copy_gigabytes_per_second"].as_f64().unwrap() > 0.0);
    assert!(measured["host"]["read_cached_gigabytes_per_second"].as_f64().unwrap() > 0.0);
    assert!(measured["kept_in"].as_str().unwrap().ends_with("shardfit/profiles/calibration.toml"));

    let calibrated = bench.report(0, &plan);
    let line = context_line(&calibrated);
    assert_eq!((&line["basis"], &line["low"]), (&json!("measured"), &json!(250 * MIB)));
    let ignored = bench.report(0, &[&plan[..], &["--no-calibration"]].concat());
    assert_eq!(context_line(&ignored)["basis"], "profile");

    // A load compares the bare context with what was measured.
    let bare = |report: &Value| {
        let lines = report["reconciliation"].as_array().unwrap();
        lines.iter().find(|line| line["line"] == "bare context").cloned()
    };
    let line = bare(&bench.report(0, &["load", MODEL])).unwrap();
    assert_eq!((&line["status"], &line["difference_bytes"]), (&json!("agrees"), &json!(0)));
    assert_eq!(bare(&bench.report(0, &["load", MODEL, "--no-calibration"])), None);

    let shown = bench.report(0, &["profiles", "show", "a10"]);
    let facts = shown["facts"].as_array().unwrap();
    let fact = |name: &str| facts.iter().find(|fact| fact["name"] == name).unwrap();
    assert_eq!(
        (&fact("bare context")["basis"], &fact("bare context")["value"]),
        (&json!("measured"), &json!("240 MiB"))
    );
    assert!(fact("bare context")["source"].as_str().unwrap().contains("shardfit calibrate"));
    assert_eq!(fact("context with kernels")["replaced"], true);
    assert_eq!(fact("CUDA total")["basis"], "profile");
    let listed = bench.report(0, &["profiles", "list", "a10"]);
    let kinds: Vec<&str> = listed["profiles"].as_array().unwrap().iter().map(|p| p["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"calibration") && kinds.contains(&"card"), "{kinds:?}");
}

#[test]
fn another_driver_makes_figures_old() {
    let mut bench = Bench::new(two_cards());
    calibrate(&bench, &[]);
    bench.change(|machine| Machine { driver_version: "999.1".to_owned(), ..machine });
    assert_eq!(context_line(&bench.report(0, &["plan", MODEL, "--gpus", "live"]))["basis"], "profile");
}

#[test]
fn a_card_in_use_is_not_filled() {
    let bench = Bench::new(two_cards().with_card(0, |card| card.process(4242, 3000 * MIB)));
    let measured = calibrate(&bench, &["--dry-run"]);
    assert!(measured["cards"][0]["usable_bytes"].is_null());
    assert_eq!(measured["cards"][0]["bare_context_bytes"], 240 * MIB);
    assert!(measured["notes"].to_string().contains("cuda:0 is in use"), "{}", measured["notes"]);
    assert!(measured["kept_in"].is_null());
    assert!(bench.used().units[0].high_water < 10_000 * MIB);
    assert!(!bench.folder().join("config").exists(), "a dry run keeps nothing");
}

#[test]
fn without_nvml_or_without_cards_the_rest_is_measured() {
    let bench = Bench::without_nvml(two_cards());
    let measured = calibrate(&bench, &[]);
    assert!(measured["cards"][0]["bare_context_bytes"].is_null() && measured["cards"][0]["granularity_bytes"].is_u64());
    assert!(measured["notes"].to_string().contains("unknown without NVML"), "{}", measured["notes"]);

    let bench = Bench::without_driver();
    let measured = calibrate(&bench, &[]);
    assert_eq!(measured["cards"], json!([]));
    assert!(measured["notes"].to_string().contains("no card was measured"), "{}", measured["notes"]);
    bench.report(3, &["calibrate", "--devices", "0"]);
    bench.report(2, &["calibrate", "--read", "no/such/path"]);
}

#[test]
fn a_broken_calibration_is_named_with_its_repair() {
    let bench = Bench::new(two_cards());
    let folder = bench.folder().join("config/shardfit/profiles");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("calibration.toml"), "schema = 1\nnonsense = true\n").unwrap();
    let refused = bench.report(2, &["plan", MODEL, "--gpus", "live"]);
    assert!(refused["error"].as_str().unwrap().contains("calibration.toml"), "{refused}");
    assert!(refused["hints"].to_string().contains("--no-calibration"), "{refused}");
    bench.report(0, &["plan", MODEL, "--gpus", "live", "--no-calibration"]);
    // Plans for other machines do not look at it.
    bench.report(0, &["plan", MODEL, "--gpus", "1xA10"]);
}

#[test]
fn profiles_are_shown_with_their_sources() {
    let bench = Bench::without_driver();
    for name in ["H100", "awq", "Qwen/Qwen2.5-7B-Instruct"] {
        let shown = bench.report(0, &["profiles", "show", name]);
        let facts = shown["facts"].as_array().unwrap();
        assert!(
            facts.len() > 3 && facts.iter().all(|fact| fact["source"].as_str().is_some_and(|s| s.len() > 5)),
            "{shown}"
        );
    }
    let refused = bench.report(2, &["profiles", "show", "h1000"]);
    assert!(refused["hints"].to_string().contains("H100"), "{refused}");
    bench.report(2, &["profiles", "list", "no-such-thing"]);
}
