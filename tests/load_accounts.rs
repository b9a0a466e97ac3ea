//! What a load makes beside the weights, and what it says of the cards: pools, holding, rehearsals, audits, reconciliation.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "runs the program, reads files, and stops at the first surprise"
)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simgpu::machine::MIB;
use simgpu::{Card, Fault, Machine, MigInstance};
use support::Bench;

const MODEL: &str = "examples/models/tiny-qwen2";

fn four_cards() -> Machine {
    Machine::new().cards(4, Card::a10())
}

fn bytes(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number of bytes"))
}

fn phase<'a>(report: &'a Value, card: usize, name: &str) -> &'a Value {
    let phases = report["cards"][card]["phases"].as_array().unwrap();
    phases.iter().find(|phase| phase["phase"] == name).unwrap_or_else(|| panic!("no `{name}` in {phases:?}"))
}

fn line<'a>(report: &'a Value, device: &str, what: &str) -> &'a Value {
    let lines = report["reconciliation"].as_array().unwrap();
    lines.iter().find(|line| line["device"] == device && line["line"] == what).unwrap_or_else(|| panic!("no {what}"))
}

fn findings(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn the_whole_plan_is_on_the_cards() {
    let bench = Bench::new(four_cards());
    let report = bench.report(0, &["load", MODEL, "--tp", "2", "--with", "all"]);
    assert_eq!((&report["confirmed"], &report["with"]), (&json!(true), &json!("all")));
    for (card, rank) in report["ranks"].as_array().unwrap().iter().enumerate() {
        let plan = &report["plan"]["ranks"][card];
        assert_eq!(rank["kv_cache_bytes"], plan["kv_cache_bytes"]);
        assert_eq!(rank["workspace_bytes"], plan["activation_bytes"]);
        // One tensor a layer, each of all blocks.
        assert_eq!(rank["kv_cache_allocations"], 2);
        let used = |name: &str| bytes(&phase(&report, card, name)["driver_used_bytes"]);
        let close = |grown: u64, wanted: u64| grown >= wanted && grown <= wanted + 4 * MIB;
        assert!(close(used("kv") - used("verified"), bytes(&rank["kv_cache_bytes"])), "{report:#}");
        assert!(close(used("peak") - used("kv"), bytes(&rank["workspace_bytes"])));
        assert_eq!(used("freed"), used("context"));
        let at_peak = phase(&report, card, "peak");
        assert_eq!(at_peak["own_bytes"], at_peak["nvml_used_bytes"], "nobody else is there");
        assert_eq!(bytes(&at_peak["nvml_total_bytes"]), 23_028 * MIB);
        assert_eq!(bytes(&at_peak["nvml_reserved_bytes"]), 520 * MIB);
        assert_eq!(bytes(&at_peak["driver_total_bytes"]), 22_508 * MIB);
        assert_eq!(report["cards"][card]["peak_used_bytes"], at_peak["nvml_used_bytes"]);
        for what in ["weights as constructed", "KV cache", "activation", "unexplained"] {
            let line = line(&report, &format!("cuda:{card}"), what);
            assert_eq!(line["status"], "agrees", "{line}");
        }
    }
    assert_eq!(findings(&report), [""; 0]);
    assert!(report["message"].as_str().unwrap().contains("of KV pool and workspace"), "{}", report["message"]);
}

/// The plan divides the whole card; somebody unseen holds half of it.
#[test]
fn a_pool_that_does_not_fit_is_shown_by_allocation() {
    let bench = Bench::new(four_cards().with_card(1, |card| card.hidden(11_000 * MIB)));
    let report = bench.report(1, &["load", MODEL, "--tp", "2", "--with", "kv"]);
    let failure = &report["failure"];
    assert_eq!(failure["rank"], 1);
    assert!(failure["tensor"].as_str().unwrap().starts_with("KV cache, allocation"), "{failure}");
    assert!(bytes(&failure["placed_bytes"]) > 0, "the weights were there");
    assert!(findings(&report)[0].contains("by nobody who can be seen from here"), "{:?}", findings(&report));
}

#[test]
fn the_cards_are_audited_before_and_compared_after() {
    let machine = four_cards().with_card(3, |card| card.process(4242, 3182 * MIB));
    let report = Bench::new(machine).report(0, &["load", MODEL, "--tp", "4"]);
    let baseline = &report["cards"][3]["baseline"];
    assert_eq!((&baseline["processes"][0]["pid"], bytes(&baseline["used_bytes"])), (&json!(4242), 3182 * MIB));
    assert_eq!(report["cards"][0]["baseline"]["processes"], json!([]));
    assert_eq!(baseline["nvml_cuda_total_bytes"], report["cards"][3]["capacity_bytes"]);
    let findings = findings(&report);
    assert!(findings[0].starts_with("cuda:3 held 3.11 GiB before we came: pid 4242"), "{findings:?}");
    assert!(findings[1].starts_with("cuda:3 holds 3.11 GiB more than its peers: not ours: pid 4242"), "{findings:?}");
}

#[test]
fn a_slice_is_known_by_its_own_account() {
    let machine = Machine::new().card(Card::a100_80gb().partitioned(2, MigInstance::a100_3g_40gb()));
    let report = Bench::new(machine).report(0, &["load", MODEL, "--with", "all", "--gpu-memory-utilization", "0.2"]);
    let baseline = &report["cards"][0]["baseline"];
    assert!(baseline["mig_slice"].as_str().unwrap().contains("3g.40gb"), "{baseline}");
    assert_eq!(baseline["mig_card"], 0);
    assert_eq!(bytes(&report["cards"][0]["capacity_bytes"]), MigInstance::a100_3g_40gb().cuda_total());
}

/// Starts a load in the background.
fn start(bench: &Bench, arguments: &[&str]) -> Child {
    let mut command = bench.command();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).args(["--format", "json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn ended(bench: &Bench, child: Child, exit: i32) -> Value {
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{stdout}{stderr}");
    bench.assert_everything_returned();
    serde_json::from_str(&stdout).unwrap()
}

/// Whether a live process holds more than so many bytes of a card, its context included.
fn holds(bench: &Bench, card: usize, more_than: u64) -> bool {
    bench.held_now().is_some_and(|used| used.processes.iter().any(|p| p.units[card].total() > more_than))
}

#[test]
fn what_is_held_stays_until_a_line_a_signal_or_its_time() {
    let bench = Bench::new(four_cards());
    let hold = |time: &str| start(&bench, &["load", MODEL, "--with", "all", "--hold", time]);
    // The program says when it holds everything; bytes alone are there a moment earlier.
    let until_held = |child: &mut Child| {
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.starts_with("everything is on the cards")));
        assert!(holds(&bench, 0, 10_000 * MIB));
    };

    let mut child = hold("until-key");
    until_held(&mut child);
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(ended(&bench, child, 0)["confirmed"], true);

    let mut child = hold("3600");
    until_held(&mut child);
    std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let report = ended(&bench, child, 0);
    assert_eq!(report["confirmed"], true, "the load was over: a signal ends the holding alone");

    assert_eq!(ended(&bench, hold("0.01"), 0)["confirmed"], true);
}

/// Somebody else takes memory while the load waits for a slow NVML.
#[test]
fn what_nobody_explains_is_told_and_ends_with_four() {
    let mut bench = Bench::new(four_cards().fault(Fault::SlowNvml { millis: 8 }));
    let child = start(&bench, &["load", MODEL, "--tp", "2", "--tolerance", "1%"]);
    wait_until("contexts are made", || holds(&bench, 0, 0) && holds(&bench, 1, 0));
    bench.change(|machine| machine.with_card(1, |card| card.hidden(3000 * MIB)));
    let report = ended(&bench, child, 4);
    assert_eq!(report["confirmed"], false);
    let rest = line(&report, "cuda:1", "unexplained");
    assert_eq!((&rest["status"], bytes(&rest["observed_bytes"])), (&json!("disagrees"), 3000 * MIB));
    assert_eq!(line(&report, "cuda:0", "unexplained")["status"], "agrees");
    let others = findings(&report).iter().any(|text| text.contains("others took 2.93 GiB on cuda:1"));
    assert!(others, "{:?}", findings(&report));
}

/// The config alone, in a folder.
fn config_only(bench: &Bench, model: &str) -> String {
    let folder = bench.folder().join("config-only");
    std::fs::create_dir_all(&folder).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(model).join("config.json");
    std::fs::copy(from, folder.join("config.json")).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn a_rehearsal_places_what_the_checkpoint_would() {
    for (model, tp) in [(MODEL, "4"), ("examples/models/tiny-qwen2-awq", "2")] {
        let bench = Bench::new(four_cards());
        let config = config_only(&bench, model);
        let load = |checkpoint: &str, more: &[&str]| {
            let arguments = ["load", checkpoint, "--tp", tp, "--dtype", "float16", "--verify", "full"];
            bench.report(0, &[&arguments, more].concat())
        };
        let (rehearsed, real) = (load(&config, &["--synthetic"]), load(model, &[]));
        assert_eq!((&rehearsed["read"]["source"], &real["read"]["source"]), (&json!("generated"), &json!("files")));
        for (a, b) in rehearsed["ranks"].as_array().unwrap().iter().zip(real["ranks"].as_array().unwrap()) {
            for field in ["tensors", "predicted_bytes", "placed_bytes", "zeroed_bytes", "arena_bytes", "compared_bytes"]
            {
                assert_eq!(a[field], b[field], "{model} {field}");
            }
        }
        assert_eq!(rehearsed["read"]["file_bytes"], real["read"]["file_bytes"]);
        assert!(rehearsed["warnings"][0].as_str().unwrap().contains("generated"), "{}", rehearsed["warnings"]);
    }
    // Without the flag, a config is no checkpoint.
    let bench = Bench::new(four_cards());
    let refused = bench.report(2, &["load", &config_only(&bench, MODEL)]);
    assert!(refused["hints"].to_string().contains("--synthetic"), "{refused}");
}

#[test]
fn the_host_is_checked_with_the_cards_of_this_machine() {
    let bench = Bench::new(four_cards());
    let live = bench.report(0, &["plan", MODEL, "--tp", "2", "--gpus", "live"]);
    let host = &live["host"];
    assert_eq!(host["page_cache_bytes"], live["model"]["checkpoint_bytes"]);
    assert!(bytes(&host["staging_bytes"]) > 0 && bytes(&host["shared_memory_bytes"]) > 0);
    assert!(bytes(&host["limit_bytes"]) > 0 && host["limited_by"].is_string());
    assert_eq!((&host["fits"], &host["reason"]), (&json!(true), &Value::Null));
    // More cache on the host than any machine has memory for.
    let arguments = ["plan", "--gpus", "live", "--", "vllm", "serve", MODEL, "--kv-offloading-size", "100000"];
    let offloading = bench.report(0, &arguments);
    assert_eq!(offloading["host"]["fits"], false, "{}", offloading["host"]);
    assert!(offloading["warnings"].to_string().contains("of host memory"), "{}", offloading["warnings"]);
    // Cards that are only named have no host.
    let named = bench.report(0, &["plan", MODEL, "--gpus", "1xA10"]);
    assert!(named["host"]["limit_bytes"].is_null() && named["host"]["fits"].is_null(), "{}", named["host"]);
    assert!(named["host"]["reason"].is_string());
}
