//! `run`: what goes in comes out, byte for byte and code for code, and what the cards did meanwhile is told.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests run programs and stop at the first surprise")]

mod support;

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use simgpu::{Card, Machine};
use support::Bench;

struct Ran {
    exit: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
    report: Value,
}

/// Runs `run FLAGS -- sh -c SCRIPT`.
fn run(bench: &Bench, flags: &[&str], script: &str) -> Ran {
    let report = bench.folder().join("report.json");
    let mut command = bench.shardfit();
    command.arg("run").args(flags).arg("--report").arg(&report).args(["--", "sh", "-c", script]);
    let output = command.output().unwrap();
    let report = fs::read(&report).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    Ran {
        exit: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        report,
    }
}

#[test]
fn output_and_exit_code_pass_through() {
    let bench = Bench::without_driver();
    // Every byte there is, on both streams.
    let every: String = (0..=255u8).map(|byte| format!("\\{byte:03o}")).collect();
    let ran = run(&bench, &[], &format!("printf '{every}'; printf 'a\\377b' >&2; exit 42"));
    assert_eq!(ran.exit, Some(42));
    assert_eq!(ran.stdout, (0..=255).collect::<Vec<u8>>());
    assert_eq!((&ran.report["ended"]["exit_code"], &ran.report["ended"]["log_bytes"]), (&42.into(), &259.into()));
    assert!(ran.report["cards_reason"].as_str().unwrap().contains("no NVIDIA driver"), "{}", ran.report);

    let ran = run(&bench, &[], "exit 0");
    assert_eq!((ran.exit, ran.report["ended"]["exit_code"].as_u64()), (Some(0), Some(0)));
    assert!(!ran.stderr.contains("ended with"), "{}", ran.stderr);
}

#[test]
fn a_signal_is_told_as_shells_tell_it() {
    let ran = run(&Bench::without_driver(), &[], "kill -9 $$");
    assert_eq!(ran.exit, Some(137));
    assert_eq!(ran.report["ended"]["signal"], 9);
    assert!(ran.stderr.contains("was ended by signal 9"), "{}", ran.stderr);
}

#[test]
fn signals_are_passed_on_to_all_workers() {
    let bench = Bench::without_driver();
    let script = "trap 'echo first; exit 5' TERM; (trap 'echo worker; exit 0' TERM; echo ready; while :; do sleep 0.05; done) & while :; do sleep 0.05; done";
    let mut child = bench.command();
    child.args(["run", "--", "sh", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"ready\n") {
        output.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("first") && rest.contains("worker"), "{rest}");
}

#[test]
fn a_worker_that_keeps_the_pipes_does_not_keep_us() {
    let start = Instant::now();
    let ran = run(&Bench::without_driver(), &[], "setsid sleep 30 & exit 3");
    assert_eq!(ran.exit, Some(3));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_gate_keeps_what_does_not_fit_from_starting() {
    let bench = Bench::without_driver();
    let report = bench.folder().join("report.json");
    let mut command = bench.shardfit();
    command.args(["run", "--gate", "--gpus", "5xA100-80GB", "--report"]).arg(&report);
    let output = command.args(["--", "vllm", "serve", "Qwen/Qwen1.5-72B-Chat"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("repair: vllm serve Qwen/Qwen1.5-72B-Chat --tensor-parallel-size 4"), "{errors}");
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["plan"]["verdict"]["cause"], "single_gpu_placement_while_others_idle");
    assert_eq!(report["ended"], Value::Null);
}

#[test]
fn what_cannot_be_started_is_named() {
    let bench = Bench::without_driver();
    let output = bench.shardfit().args(["run", "--", "/no/such/engine", "serve"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("`/no/such/engine` cannot be started"));
    let output = bench.shardfit().args(["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// The command is this program, which loads a model onto simulated cards and holds it: its memory is told from a stranger's.
#[test]
fn memory_is_told_apart() {
    let bench = Bench::new(Machine::new().cards(2, Card::a10()));
    let load = format!(
        "{} load examples/models/tiny-qwen2 --tp 2 --device cuda --max-model-len 1024 --hold 1 >/dev/null; exit 9",
        env!("CARGO_BIN_EXE_shardfit")
    );
    let ran = run(&bench, &["--interval", "0.1s"], &load);
    assert_eq!(ran.exit, Some(9), "{}", ran.stderr);
    let cards = ran.report["cards"].as_array().unwrap();
    assert_eq!(cards.len(), 2, "{}", ran.report);
    for card in cards {
        let bytes = |field: &str| card[field].as_u64().unwrap();
        assert!(bytes("peak_ours_bytes") > 0, "{card}");
        assert!(bytes("peak_ours_bytes") <= bytes("peak_used_bytes") - bytes("first_used_bytes") + (1 << 20), "{card}");
        assert!(card["last"].as_array().unwrap().len() > 1);
    }
    assert!(ran.stderr.contains("last samples, in use"), "{}", ran.stderr);
    bench.assert_everything_returned();
}

#[test]
fn the_recording_of_a_failure_is_kept() {
    let bench = Bench::new(Machine::new().cards(2, Card::a10()));
    let state = bench.folder().join("own");
    let run = |script: &str| {
        let mut command = bench.shardfit();
        command.env("XDG_STATE_HOME", &state).args(["run", "--interval", "0.1s", "--", "sh", "-c", script]);
        command.output().unwrap()
    };
    let kept = || {
        fs::read_dir(state.join("shardfit")).map_or(Vec::new(), |entries| entries.map(|e| e.unwrap().path()).collect())
    };
    assert!(run("sleep 0.3").status.success());
    assert_eq!(kept(), Vec::<std::path::PathBuf>::new());

    let failed = run("sleep 0.5; exit 1");
    let recordings = kept();
    let errors = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(recordings.len(), 1, "{errors}");
    assert!(errors.contains(&format!("top --replay {}", recordings[0].display())), "{errors}");
    let mut export = bench.shardfit();
    let rows = export.args(["top", "--replay"]).arg(&recordings[0]).args(["--export", "-.csv"]).output().unwrap();
    let rows = String::from_utf8(rows.stdout).unwrap();
    // A header, and at least two samples of two cards.
    assert!(rows.lines().count() > 4, "{rows}{} bytes", fs::metadata(&recordings[0]).unwrap().len());
}

#[test]
fn the_stages_of_a_start_are_timed() {
    let log = "examples/oom/case1-72b-on-one-card.log";
    let ran = run(&Bench::without_driver(), &[], &format!("head -3 {log}; sleep 0.6; tail -n +4 {log}; exit 1"));
    let phases = ran.report["phases"].as_array().unwrap();
    let names: Vec<_> = phases.iter().map(|phase| phase["phase"].as_str().unwrap()).collect();
    assert!(names.contains(&"loading weights"), "{names:?}");
    let seconds: Vec<f64> = phases.iter().map(|phase| phase["seconds"].as_f64().unwrap()).collect();
    assert!(seconds.is_sorted() && seconds.last().unwrap() - seconds[0] >= 0.4, "{names:?} {seconds:?}");
    assert!(ran.stderr.contains("it told of: "), "{}", ran.stderr);
}
