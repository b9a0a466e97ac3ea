//! The program itself on simulated machines: loads, refusals, faults on the way, and what stays on the cards afterwards (nothing).

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "runs the program, reads files, and stops at the first surprise"
)]

mod support;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simgpu::machine::{MIB, NvmlFailure};
use simgpu::{Card, Fault, Machine};
use support::Bench;

const MODEL: &str = "examples/models/tiny-qwen2";

fn four_cards() -> Machine {
    Machine::new().cards(4, Card::a10())
}

fn shardfit(bench: &Bench, arguments: &[&str]) -> Output {
    let mut command = bench.shardfit();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("HF_HUB_OFFLINE", "1").args(arguments);
    let output = command.output().unwrap();
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command with `--format json` and checks its exit code, and that nothing is held afterwards.
#[track_caller]
fn report(bench: &Bench, exit: i32, arguments: &[&str]) -> Value {
    let output = shardfit(bench, &[arguments, &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(exit), "{}{}", text(&output.stdout), text(&output.stderr));
    bench.assert_everything_returned();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn bytes(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number of bytes"))
}

fn phase<'a>(report: &'a Value, card: usize, name: &str) -> &'a Value {
    let phases = report["cards"][card]["phases"].as_array().unwrap();
    phases.iter().find(|phase| phase["phase"] == name).unwrap_or_else(|| panic!("no `{name}` in {phases:?}"))
}

/// Sum of a field over the ranks.
fn sum(report: &Value, field: &str) -> u64 {
    report["ranks"].as_array().unwrap().iter().map(|rank| bytes(&rank[field])).sum()
}

#[test]
fn four_ranks_on_four_cards() {
    let bench = Bench::new(four_cards());
    let report = report(&bench, 0, &["load", MODEL, "--tp", "4", "--verify", "full"]);
    assert_eq!((&report["schema"], &report["confirmed"]), (&json!("shardfit/load/1"), &json!(true)));
    assert_eq!((&report["device"], &report["failure"]), (&json!("cuda"), &Value::Null));
    let ranks = report["ranks"].as_array().unwrap();
    assert_eq!(ranks.len(), 4);
    for (i, rank) in ranks.iter().enumerate() {
        assert_eq!(rank["device"], format!("cuda:{i}"));
        assert_eq!(
            bytes(&rank["predicted_bytes"]),
            bytes(&rank["placed_bytes"]) + bytes(&rank["zeroed_bytes"]),
            "{rank}"
        );
        assert_eq!(rank["predicted_bytes"], report["plan"]["ranks"][i]["constructed_bytes"]);
        assert!(rank["compared_bytes"].as_u64() >= rank["placed_bytes"].as_u64(), "{rank}");
        assert_eq!(rank["verified"], true);
    }
    // Each byte of the files once: replicated tensors are sent to every rank and read for none twice.
    let files = report["plan"]["model"]["checkpoint_bytes"].clone();
    assert_eq!(report["read"]["file_bytes"], files);
    assert!(sum(&report, "placed_bytes") > bytes(&files));

    // What the driver and NVML say grows by the arena, and both are as before at the end.
    for (card, rank) in ranks.iter().enumerate() {
        let arena = bytes(&rank["arena_bytes"]);
        for account in ["driver_used_bytes", "nvml_used_bytes"] {
            let used = |name: &str| bytes(&phase(&report, card, name)[account]);
            let grown = used("loaded") - used("context");
            assert!(grown >= arena && grown - arena < 2 * MIB, "card {card}, {account}: {grown} for {arena}");
            assert_eq!(used("freed"), used("context"), "card {card}, {account}");
        }
        let nvml = |name: &str| bytes(&phase(&report, card, name)["nvml_used_bytes"]);
        assert_eq!(nvml("context") - nvml("before"), 240 * MIB, "the context of an A10");
        assert_eq!(nvml("released"), nvml("before"));
        assert!(phase(&report, card, "before")["driver_used_bytes"].is_null(), "there is no context to ask in");
    }
    for line in report["reconciliation"].as_array().unwrap() {
        let made = line["line"] == "weights as constructed" || line["line"] == "unexplained";
        assert_eq!(line["status"], if made { "agrees" } else { "not_exercised" }, "{line}");
    }
}

#[test]
fn the_same_on_a_terminal() {
    let bench = Bench::new(four_cards());
    let output = shardfit(&bench, &["load", MODEL, "--tp", "4"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(shown.starts_with("confirmed"), "{shown}");
    for card in 0..4 {
        assert_eq!(shown.matches(&format!("cuda:{card} ")).count(), 4, "rank, weights, context, what is left: {shown}");
    }
    assert!(shown.contains("the CUDA driver shows 4 cards"), "{shown}");
    bench.assert_everything_returned();
}

#[test]
fn stages_of_a_pipeline_and_packed_weights() {
    let bench = Bench::new(four_cards());
    let report = report(
        &bench,
        0,
        &["load", "examples/models/tiny-qwen2-awq", "--tp", "2", "--pp", "2", "--verify", "full", "--dtype", "float16"],
    );
    assert_eq!(report["ranks"].as_array().unwrap().len(), 4);
    assert_eq!(sum(&report, "predicted_bytes"), sum(&report, "placed_bytes") + sum(&report, "zeroed_bytes"));
    assert_eq!(report["confirmed"], true);
}

#[test]
fn several_ranks_share_a_card() {
    let bench = Bench::new(four_cards());
    let report = report(&bench, 0, &["load", MODEL, "--tp", "4", "--devices", "2,2,0,0", "--verify", "full"]);
    let devices: Vec<_> = report["ranks"].as_array().unwrap().iter().map(|rank| rank["device"].clone()).collect();
    assert_eq!(devices, [json!("cuda:2"), json!("cuda:2"), json!("cuda:0"), json!("cuda:0")]);
    assert!(report["warnings"][0].as_str().unwrap().starts_with("4 ranks share 2 cards"), "{}", report["warnings"]);
    let touched: Vec<bool> = bench.used().units.iter().map(|unit| unit.high_water > 0).collect();
    assert_eq!(touched, [true, false, true, false], "no other card gets a context");
    for line in report["reconciliation"].as_array().unwrap() {
        assert_ne!(line["status"], "disagrees", "{line}");
    }
}

#[test]
fn visible_devices_renumber_the_cards() {
    let bench = Bench::new(four_cards());
    let mut command = bench.shardfit();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CUDA_VISIBLE_DEVICES", "3,1");
    let output = command.args(["load", MODEL, "--tp", "2", "--format", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["device_reason"], "the CUDA driver shows 2 cards");
    let uuid = |card: usize| report["cards"][card]["uuid"].as_str().unwrap().trim_start_matches("GPU-").to_owned();
    assert!(uuid(0).starts_with("00000003") && uuid(1).starts_with("00000001"), "{} {}", uuid(0), uuid(1));
    let touched: Vec<bool> = bench.used().units.iter().map(|unit| unit.high_water > 0).collect();
    assert_eq!(touched, [false, true, false, true]);
    bench.assert_everything_returned();
}

/// Somebody else leaves room on card 2 for a context and half a mebibyte.
#[test]
fn one_card_is_full() {
    let machine = four_cards().with_card(2, |card| {
        let left = card.context_bytes + MIB / 2;
        let total = card.cuda_total();
        card.process(4242, total - left)
    });
    let bench = Bench::new(machine);
    let report = report(&bench, 1, &["load", MODEL, "--tp", "4"]);
    let failure = &report["failure"];
    assert_eq!((&report["confirmed"], &failure["rank"]), (&json!(false), &json!(2)));
    assert!(
        failure["tensor"].as_str().is_some_and(|tensor| tensor.starts_with("model.") || tensor.starts_with("lm_head"))
    );
    let message = failure["message"].as_str().unwrap();
    assert!(message.starts_with("cuda:2 is out of memory"), "{message}");
    assert!(message.contains("rank 2") && message.contains("placed"), "{message}");
    assert_eq!(failure["placed_bytes"], 0, "arenas are made before the first byte is sent");
    // The plan saw it coming.
    assert_eq!(report["plan"]["verdict"]["cause"], "other_process_on_gpu");
    assert_eq!(report["plan"]["verdict"]["limiting_rank"], 2);

    let output = shardfit(&bench, &["load", MODEL, "--tp", "4"]);
    assert!(text(&output.stdout).starts_with("not confirmed: cuda:2 is out of memory"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("error: cuda:2 is out of memory"), "{}", text(&output.stderr));
}

#[test]
fn cuda_without_nvml() {
    let bench = Bench::without_nvml(four_cards());
    let report = report(&bench, 0, &["load", MODEL, "--tp", "2"]);
    assert_eq!((&report["device"], &report["confirmed"]), (&json!("cuda"), &json!(true)));
    for name in ["before", "loaded", "released"] {
        let phase = phase(&report, 0, name);
        assert!(phase["nvml_used_bytes"].is_null(), "{phase}");
        assert!(phase["nvml_used_reason"].as_str().unwrap().contains("libnvidia-ml.so.1"), "{phase}");
    }
    assert!(phase(&report, 0, "loaded")["driver_used_bytes"].is_u64());
    // The commands that need NVML say so.
    for command in [&["probe"][..], &["top", "--once"], &["plan", MODEL, "--gpus", "live"]] {
        let output = shardfit(&bench, command);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(3), ""), "{command:?}");
        assert!(text(&output.stderr).contains("no NVIDIA driver is installed here"), "{command:?}");
    }
}

#[test]
fn nvml_without_cuda() {
    let bench = Bench::without_cuda(four_cards());
    let report = report(&bench, 0, &["load", MODEL, "--tp", "2"]);
    assert_eq!((&report["device"], &report["confirmed"]), (&json!("host"), &json!(true)));
    let reason = report["device_reason"].as_str().unwrap();
    assert!(reason.starts_with("host memory stands in for cards: no NVIDIA driver"), "{reason}");
    assert!(
        report["message"].as_str().unwrap().contains("that a GPU holds them is not proven"),
        "{}",
        report["message"]
    );
    // NVML still answers those who ask it.
    let probe = self::report(&bench, 0, &["probe"]);
    assert_eq!(probe["cards"].as_array().unwrap().len(), 4);

    let output = shardfit(&bench, &["load", MODEL, "--tp", "2", "--device", "cuda"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(3), ""));
    assert!(text(&output.stderr).contains("hint: `--device host`"), "{}", text(&output.stderr));
}

#[test]
fn a_driver_that_cannot_start_is_told_from_none() {
    let bench = Bench::new(four_cards().fault(Fault::cuda_init(803)));
    let output = shardfit(&bench, &["load", MODEL, "--device", "cuda"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"), "{}", text(&output.stderr));
    let report = report(&bench, 0, &["load", MODEL]);
    assert!(report["device_reason"].as_str().unwrap().contains("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"));
    bench.assert_everything_returned();
}

#[test]
fn processes_that_may_not_be_seen_cost_nothing_else() {
    let machine = four_cards()
        .with_card(1, |card| card.process(4242, 900 * MIB))
        .faults(Fault::no_processes(NvmlFailure::NoPermission));
    let bench = Bench::new(machine);
    let probe = report(&bench, 0, &["probe"]);
    for card in probe["cards"].as_array().unwrap() {
        assert!(card["processes"].is_null());
        assert!(card["processes_reason"].as_str().unwrap().contains("denied"), "{}", card["processes_reason"]);
        assert_eq!(card["memory"]["total_bytes"], 23_028 * MIB);
        assert!(card["temperature_celsius"].is_number() && card["power_milliwatts"].is_number(), "{card}");
    }
    assert!(bytes(&probe["cards"][1]["memory"]["used_bytes"]) >= 900 * MIB);
    let load = report(&bench, 0, &["load", MODEL, "--tp", "2"]);
    assert_eq!(load["confirmed"], true);
}

#[test]
fn a_card_is_lost_on_the_way() {
    for after in [0, 3] {
        let fault = Fault::CardLost { card: 1, after_copies: Some(after), after_nvml_calls: None };
        let bench = Bench::new(four_cards().fault(fault));
        let report = report(&bench, 3, &["load", MODEL, "--tp", "4"]);
        let failure = &report["failure"];
        assert_eq!(failure["rank"], 1, "{failure}");
        assert!(failure["message"].as_str().unwrap().contains("cuda:1"), "{failure}");
        assert!(failure["tensor"].is_string(), "{failure}");
        assert_eq!(report["reconciliation"], json!([]), "a load that failed agrees with nothing");
        // The next look at the machine says so too.
        let probe = self::report(&bench, 3, &["probe"]);
        let lost: Vec<_> = probe["cards"].as_array().unwrap().iter().map(|card| card["lost"].clone()).collect();
        assert_eq!(lost, [json!(false), json!(true), json!(false), json!(false)]);
    }
}

#[test]
fn an_uncorrectable_memory_error_ends_the_load() {
    let bench = Bench::new(four_cards().fault(Fault::EccError { card: 3, after_copies: 1 }));
    let report = report(&bench, 3, &["load", MODEL, "--tp", "4"]);
    assert_eq!(report["failure"]["rank"], 3);
    assert!(report["failure"]["message"].as_str().unwrap().contains("memory error"), "{}", report["failure"]);
}

#[test]
fn a_flipped_bit_is_found() {
    // A first load counts the copies to card 1; behind the last of them nothing mends a bit any more.
    let counted = Bench::new(four_cards());
    report(&counted, 0, &["load", MODEL, "--tp", "2", "--verify", "none"]);
    let copies = counted.used().processes.iter().map(|process| process.units[1].copies).sum();
    let flip = Fault::FlipBit { card: 1, after_copies: copies, offset: 100_000, bit: 5 };

    let mut words = Vec::new();
    for verify in ["full", "checksum"] {
        let bench = Bench::new(four_cards().fault(flip.clone()));
        let found = report(&bench, 4, &["load", MODEL, "--tp", "2", "--verify", verify]);
        let failure = &found["failure"];
        assert_eq!((&found["confirmed"], &failure["rank"]), (&json!(false), &json!(1)), "{failure}");
        let message = failure["message"].as_str().unwrap();
        assert!(message.contains("rank 1") && message.contains("tensor") && message.contains("at byte"), "{message}");
        words.push(message.to_owned());
    }
    assert_eq!(words[0], words[1], "both name the same byte");
    // Who compares nothing finds nothing, and does not claim to.
    let unseen = report(&Bench::new(four_cards().fault(flip)), 0, &["load", MODEL, "--tp", "2", "--verify", "none"]);
    assert!(unseen["verification"]["verified"].is_null());
}

#[test]
fn a_truncated_checkpoint_touches_no_card() {
    let bench = Bench::new(four_cards());
    let folder = bench.folder().join("checkpoint");
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let shard = folder.join("model-00001-of-00002.safetensors");
    let whole = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &whole[..whole.len() - 1]).unwrap();
    let report = report(&bench, 2, &["load", folder.to_str().unwrap(), "--tp", "4"]);
    assert_eq!(report["schema"], "shardfit/error/1");
    assert!(report["error"].as_str().unwrap().contains("model-00001-of-00002.safetensors"), "{report}");
    assert!(bench.used().units.iter().all(|unit| unit.high_water == 0));
}

/// The load waits for a slow NVML behind its contexts; the signal comes there.
#[test]
fn a_signal_frees_everything() {
    for signal in ["INT", "TERM"] {
        let bench = Bench::new(four_cards().fault(Fault::SlowNvml { millis: 8 }));
        let mut command = bench.command();
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["load", MODEL, "--tp", "4", "--format", "json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        let opened = |used: simgpu::MachineUse| used.units.iter().all(|unit| unit.high_water > 0);
        while !bench.held_now().is_some_and(opened) {
            assert!(Instant::now() < patience, "no context was made");
            std::thread::sleep(Duration::from_millis(2));
        }
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{signal}: {}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["confirmed"], false);
        let message = report["failure"]["message"].as_str().unwrap();
        assert!(message.contains("cancelled") || message.contains("stopped"), "{message}");
        bench.assert_everything_returned();
    }
}

#[test]
fn a_plan_for_the_cards_that_are_there() {
    let machine =
        four_cards().with_card(1, |card| card.process(4242, 3000 * MIB)).with_card(3, |card| card.hidden(15_000 * MIB));
    let bench = Bench::new(machine.clone());
    let plan = |exit: i32, arguments: &[&str]| {
        report(&bench, exit, &[&["plan", "Qwen/Qwen2.5-7B-Instruct"], arguments].concat())
    };
    // The first card is free.
    let report = plan(0, &["--gpus", "live"]);
    assert_eq!((&report["fleet"]["source"], &report["fleet"]["count"]), (&json!("live"), &json!(4)));
    let rank = &report["ranks"][0];
    assert_eq!(rank["device_uuid"], machine.cards[0].uuid);
    assert_eq!(rank["capacity_bytes"], 22_508 * MIB);
    // Without `--gpus` the machine is asked too.
    assert_eq!(plan(0, &[])["ranks"], report["ranks"]);

    // The second is used by somebody else, and the last by somebody who is not listed.
    let report = plan(1, &["--tp", "4"]);
    assert_eq!(report["verdict"]["cause"], "other_process_on_gpu", "{}", report["verdict"]);
    let others: Vec<u64> =
        report["ranks"].as_array().unwrap().iter().map(|rank| bytes(&rank["other_processes_bytes"])).collect();
    assert!(others[1] >= 3000 * MIB && others[3] >= 15_000 * MIB && others[0] < 100 * MIB, "{others:?}");

    // The command's own mask chooses among them.
    let masked = [
        "plan",
        "--gpus",
        "live",
        "--",
        "CUDA_VISIBLE_DEVICES=2,0",
        "vllm",
        "serve",
        "Qwen/Qwen2.5-7B-Instruct",
        "-tp",
        "2",
    ];
    let output = shardfit(&bench, &masked);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("on 2×A10"), "{}", text(&output.stdout));
}

#[test]
fn what_is_there_is_shown() {
    const GONE: u32 = u32::MAX - 7;
    let bench = Bench::new(four_cards().with_card(1, |card| card.process(GONE, 1024 * MIB)));
    for (command, used) in
        [(&["probe"][..], "1.00 GiB"), (&["probe", "--format", "markdown"], "1.00 GiB"), (&["top", "--once"], "1.00")]
    {
        let output = shardfit(&bench, command);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", text(&output.stderr));
        let shown = text(&output.stdout);
        let holder = shown.lines().any(|line| line.contains(&GONE.to_string()) && line.contains(used));
        assert!(holder && shown.matches("NVIDIA A10").count() >= 4, "{command:?}: {shown}");
        bench.assert_everything_returned();
    }
    let probe = report(&bench, 0, &["probe"]);
    let top = report(&bench, 0, &["top", "--once"]);
    for card in 0..4 {
        let memory = |report: &Value| report["cards"][card]["memory"]["total_bytes"].clone();
        assert_eq!(memory(&probe), memory(&top));
    }
}

/// A recording says what the machine said.
#[test]
fn a_recording_is_the_machine() {
    let bench = Bench::new(four_cards().with_card(2, |card| card.hidden(5000 * MIB)));
    let file = bench.folder().join("machine-seen.json");
    let live = report(&bench, 0, &["probe", "--save", file.to_str().unwrap()]);
    let replayed = report(&bench, 0, &["probe", "--recording", file.to_str().unwrap()]);
    assert_eq!((&live["source"], &replayed["source"]), (&json!("live"), &json!("recording")));
    assert_eq!(live["cards"], replayed["cards"]);
    assert_eq!(live["peers"], replayed["peers"]);
}

#[test]
fn a_driver_without_cards() {
    let bench = Bench::new(Machine::new());
    let output = shardfit(&bench, &["probe"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let output = shardfit(&bench, &["load", MODEL, "--device", "cuda"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let report = report(&bench, 0, &["load", MODEL]);
    assert_eq!(report["device"], "host");
}
