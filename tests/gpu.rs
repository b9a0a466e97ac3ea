//! The program on a real card. `cargo test --test gpu -- --ignored` where a CUDA device is at hand; the machine's recording is left under
//! `tests/data/recordings/`, where the ordinary tests replay it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "runs the program, reads files, and stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const MODEL: &str = "examples/models/tiny-qwen2";

fn shardfit(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shardfit"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CUDA_VISIBLE_DEVICES")
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn report(exit: i32, arguments: &[&str]) -> Value {
    let output = shardfit(&[arguments, &["--format", "json"]].concat());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn phase<'a>(report: &'a Value, card: usize, name: &str) -> &'a Value {
    let phases = report["cards"][card]["phases"].as_array().unwrap();
    phases.iter().find(|phase| phase["phase"] == name).unwrap()
}

#[test]
#[ignore = "needs a CUDA device"]
fn the_checkpoint_is_on_the_card() {
    for (tp, devices) in [("1", "0"), ("2", "0,0"), ("4", "0,0,0,0")] {
        let report =
            report(0, &["load", MODEL, "--device", "cuda", "--tp", tp, "--devices", devices, "--verify", "full"]);
        assert_eq!((&report["device"], &report["confirmed"]), (&"cuda".into(), &true.into()), "{}", report["message"]);
        assert_eq!(report["read"]["file_bytes"], report["plan"]["model"]["checkpoint_bytes"]);
        let ranks = report["ranks"].as_array().unwrap();
        assert_eq!(ranks.len().to_string(), tp);
        for rank in ranks {
            let bytes = |name: &str| rank[name].as_u64().unwrap();
            assert_eq!(bytes("predicted_bytes"), bytes("placed_bytes") + bytes("zeroed_bytes"));
            assert_eq!((&rank["verified"], bytes("compared_bytes") >= bytes("placed_bytes")), (&true.into(), true));
        }

        // The driver hands out granules of 2 MiB; small requests may share one, or find room in one that was begun.
        let arenas: u64 = ranks.iter().map(|rank| rank["arena_bytes"].as_u64().unwrap()).sum();
        let driver = |name: &str| phase(&report, 0, name)["driver_used_bytes"].as_u64().unwrap();
        let grown = driver("loaded").saturating_sub(driver("context"));
        let granule = 2 << 20;
        let expected = arenas.saturating_sub(granule)..=arenas + ranks.len() as u64 * granule;
        assert!(expected.contains(&grown), "TP {tp}: {grown} bytes grown for {arenas}");
        assert_eq!(driver("freed"), driver("context"), "TP {tp}: everything is given back");
        assert!(phase(&report, 0, "loaded")["nvml_used_bytes"].is_u64(), "NVML tells its side: {report:#}");
    }
}

/// The whole plan on the card, read around the page cache and compared by checksum: the driver, NVML and the plan tell one story.
#[test]
#[ignore = "needs a CUDA device"]
fn the_whole_plan_is_on_the_card() {
    let plan = ["--with", "all", "--verify", "checksum", "--gpu-memory-utilization", "0.5"];
    let report = report(0, &[&["load", MODEL, "--device", "cuda"][..], &plan].concat());
    for line in report["reconciliation"].as_array().unwrap() {
        assert_ne!(line["status"], "disagrees", "{line}");
    }
    let used = |name: &str| phase(&report, 0, name)["driver_used_bytes"].as_u64().unwrap();
    let rank = &report["ranks"][0];
    let pool = rank["kv_cache_bytes"].as_u64().unwrap();
    assert!(used("kv") - used("verified") >= pool && used("peak") > used("kv"));
    assert_eq!(used("freed"), used("context"), "everything is given back");
}

/// Models that are not here, at the sizes of a plan: what NVML counts at the peak is what was predicted, within one per cent.
#[test]
#[ignore = "needs a CUDA device"]
fn rehearsals_are_predicted_to_the_per_cent() {
    let models = [
        "Qwen/Qwen2.5-0.5B-Instruct",
        "Qwen/Qwen2.5-1.5B-Instruct",
        "Qwen/Qwen2.5-3B-Instruct",
        "Qwen/Qwen2.5-7B-Instruct",
        "Qwen/Qwen3-8B",
        "microsoft/Phi-3.5-mini-instruct",
    ];
    for model in models {
        let load = ["load", model, "--synthetic", "--device", "cuda", "--with", "all", "--tolerance", "1%"];
        let report = report(0, &[&load[..], &["--gpu-memory-utilization", "0.6", "--max-model-len", "4096"]].concat());
        let bytes = |value: &Value| value.as_u64().unwrap();
        let rank = &report["ranks"][0];
        let predicted: u64 =
            ["predicted_bytes", "kv_cache_bytes", "workspace_bytes"].iter().map(|field| bytes(&rank[*field])).sum();
        let used = |name: &str| bytes(&phase(&report, 0, name)["nvml_used_bytes"]);
        let observed = used("peak") - used("context");
        let off = observed.abs_diff(predicted) as f64 / predicted as f64;
        assert!(off <= 0.01, "{model}: {predicted} predicted, {observed} observed");
    }
}

/// Calibration finds what a card of this kind is known for.
#[test]
#[ignore = "needs a CUDA device"]
fn the_card_is_measured() {
    let report = report(0, &["calibrate", "--dry-run", "--read", MODEL, "--devices", "0"]);
    let card = &report["cards"][0];
    assert_eq!(card["granularity_bytes"], 2 << 20, "{card}");
    let context = card["bare_context_bytes"].as_u64().unwrap();
    assert!((50 << 20..2_u64 << 30).contains(&context), "{card}");
    assert!(card["to_card_gigabytes_per_second"].as_f64().unwrap() > 1.0, "{card}");
}

/// What the plan says of a card is what NVML says of it.
#[test]
#[ignore = "needs a CUDA device"]
fn the_plan_knows_the_card() {
    let probe = report(0, &["probe"]);
    let output = shardfit(&["plan", MODEL, "--gpus", "live", "--format", "json"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let uuid = &plan["ranks"][0]["device_uuid"];
    let cards = probe["cards"].as_array().unwrap();
    let card = cards.iter().find(|card| card["uuid"] == *uuid).unwrap_or_else(|| panic!("{uuid} is not probed"));
    // With MIG or a pool shared with the host, the CUDA total is another.
    if card["mig"]["enabled"] != true {
        assert_eq!(plan["ranks"][0]["capacity_bytes"], card["memory"]["cuda_total_bytes"]);
    }
    let load = report(0, &["load", MODEL, "--device", "cuda"]);
    assert_eq!(
        load["cards"][0]["capacity_bytes"], plan["ranks"][0]["capacity_bytes"],
        "NVML and CUDA agree on the total"
    );
}

/// Leaves what the machine says for the tests that have no card.
#[test]
#[ignore = "needs a CUDA device"]
fn the_machine_is_recorded() {
    let probe = report(0, &["probe"]);
    let cards = probe["cards"].as_array().unwrap();
    let name = cards[0]["name"].as_str().unwrap().trim_start_matches("NVIDIA ").replace(' ', "-");
    let driver = probe["driver_version"].as_str().unwrap().split('.').next().unwrap();
    let folder = std::env::var_os("SHARDFIT_TEST_RECORDINGS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings"), PathBuf::from);
    let file = folder.join(format!("{}x{name}-driver-{driver}.json", cards.len()));
    let saved = report(0, &["probe", "--save", file.to_str().unwrap()]);
    let replayed = report(0, &["probe", "--recording", file.to_str().unwrap()]);
    assert_eq!(replayed["source"], "recording");
    assert_eq!(saved["cards"], replayed["cards"]);
    let once = report(0, &["top", "--once", "--recording", file.to_str().unwrap()]);
    assert_eq!(once["cards"].as_array().unwrap().len(), cards.len());
}
