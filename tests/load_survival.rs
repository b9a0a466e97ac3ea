//! Faults and what comes of them: whatever goes wrong, the program ends with the right code, says what it was, and leaves nothing on a card.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "runs the program, reads files, and stops at the first surprise"
)]

mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use simgpu::machine::{MIB, NvmlFailure};
use simgpu::{Card, Fault, Machine};
use support::Bench;

const MODEL: &str = "examples/models/tiny-qwen2";

/// Small cards: a pool of a few mebibytes a layer.
fn cards() -> Machine {
    Machine::new().cards(2, Card::sized(4096, 100))
}

/// Everything the program can put on two cards, compared by checksum.
const ALL: [&str; 7] = ["load", MODEL, "--tp", "2", "--with", "all", "--verify=checksum"];

fn start(bench: &Bench, arguments: &[&str]) -> Child {
    let mut command = bench.command();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).args(["--format", "json"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The end of a run that must have left nothing.
#[track_caller]
fn end(bench: &Bench, child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    bench.assert_everything_returned();
    output
}

#[track_caller]
fn report(output: &Output, exit: i32) -> Value {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

#[track_caller]
fn run(machine: Machine, exit: i32) -> Value {
    let bench = Bench::new(machine);
    report(&end(&bench, start(&bench, &ALL)), exit)
}

fn cuda(call: &str, code: u32, nth: u64) -> Fault {
    Fault::CudaError { call: call.to_owned(), code, nth: Some(nth) }
}

#[test]
fn every_fault_has_its_outcome() {
    let lost = |after| Fault::CardLost { card: 1, after_copies: Some(after), after_nvml_calls: None };
    // (fault, exit code, words of the message)
    let table: Vec<(Fault, i32, &str)> = vec![
        (lost(0), 3, "cuda:1 is lost"),
        (lost(5), 3, "cuda:1 is lost"),
        (Fault::EccError { card: 0, after_copies: 2 }, 3, "uncorrectable memory error"),
        (Fault::ContextFails { card: 1, code: 2 }, 1, "cuda:1 is out of memory"),
        (Fault::ContextFails { card: 1, code: 46 }, 3, "cuda:1 is lost"),
        (cuda("cuMemHostAlloc", 2, 1), 3, "page-lock"),
        (cuda("cuMemHostAlloc", 2, 2), 3, "page-lock"),
        (cuda("cuStreamCreate", 999, 2), 3, "is lost"),
        (cuda("cuEventCreate", 2, 3), 1, "out of memory"),
        (cuda("cuEventRecord", 400, 1), 3, "CUDA_ERROR_INVALID_HANDLE"),
        (cuda("cuMemcpyHtoDAsync", 719, 2), 3, "is lost"),
        (cuda("cuMemcpyDtoHAsync", 214, 1), 3, "memory error"),
        (cuda("cuMemsetD8Async", 1, 1), 3, "cuMemsetD8Async"),
        (cuda("cuEventSynchronize", 700, 2), 3, "cuEventSynchronize"),
        (cuda("cuStreamSynchronize", 719, 1), 3, "is lost"),
    ];
    for (fault, exit, words) in table {
        let report = run(cards().fault(fault.clone()), exit);
        let message = report["failure"]["message"].as_str().unwrap_or_else(|| panic!("{fault:?}: {report:#}"));
        assert!(message.contains(words), "{fault:?}: {message}");
        assert_eq!((&report["confirmed"], &report["schema"]), (&false.into(), &"shardfit/load/1".into()));
    }
}

#[test]
fn whichever_allocation_fails_it_is_named_and_the_rest_is_freed() {
    for card in 0..2 {
        let mut nth = 1;
        loop {
            let bench = Bench::new(cards().fault(Fault::AllocationFails { card, nth }));
            let output = end(&bench, start(&bench, &ALL));
            if output.status.code() == Some(0) {
                break;
            }
            let failure = &report(&output, 1)["failure"];
            assert_eq!(failure["rank"], card, "{failure}");
            // The arena is one allocation for all tensors; none of them is to blame when there was room.
            let what = failure["tensor"].as_str().unwrap_or_default();
            match nth {
                1 => assert_eq!(what, ""),
                2 | 3 => assert!(what.starts_with("KV cache, allocation"), "{failure}"),
                _ => assert_eq!(what, "workspace of the activation peak"),
            }
            nth += 1;
        }
        // The arena, the pool's two layers, the workspace.
        assert_eq!(nth, 5);
    }
}

/// NVML fails in many ways, CUDA works: the load is confirmed, and what is not known is `null` with a reason.
#[test]
fn cuda_goes_on_without_nvml() {
    for error in [NvmlFailure::NotSupported, NvmlFailure::NoPermission, NvmlFailure::Unknown, NvmlFailure::GpuIsLost] {
        let machine = cards()
            .fault(Fault::nvml("nvmlDeviceGetMemoryInfo_v2", error))
            .fault(Fault::nvml("nvmlDeviceGetMemoryInfo", error))
            .faults(Fault::no_processes(error));
        let report = run(machine, 0);
        let phase = &report["cards"][0]["phases"][3];
        assert!(phase["nvml_used_bytes"].is_null() && phase["nvml_used_reason"].is_string(), "{error:?}: {phase}");
        assert!(phase["own_bytes"].is_null() && phase["own_reason"].is_string(), "{error:?}: {phase}");
        assert!(phase["driver_used_bytes"].is_u64());
        let rest = report["reconciliation"].as_array().unwrap().iter().find(|line| line["line"] == "unexplained");
        assert!(rest.is_none(), "without NVML nobody knows the rest");
    }
    // A driver that counts its own part as used does not make that somebody's.
    let report = run(cards().fault(Fault::no_memory_v2()), 0);
    assert_eq!(report["findings"], serde_json::json!([]), "{}", report["cards"][0]["baseline"]);
    // It is there and then it is gone.
    let machine = cards().fault(Fault::CardLost { card: 1, after_copies: None, after_nvml_calls: Some(40) });
    let bench = Bench::new(machine);
    let output = end(&bench, start(&bench, &ALL));
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
}

fn copy_of_the_model(bench: &Bench) -> PathBuf {
    let folder = bench.folder().join("checkpoint");
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    folder
}

/// Waits until the load has opened its cards; a slow NVML then holds it long enough for whatever is to happen.
fn until_opened(bench: &Bench) {
    let patience = Instant::now() + Duration::from_secs(60);
    let opened = |used: simgpu::MachineUse| used.units.iter().all(|unit| unit.high_water > 0);
    while !bench.held_now().is_some_and(opened) {
        assert!(Instant::now() < patience, "no context was made");
        std::thread::sleep(Duration::from_millis(2));
    }
}

type Meddling = fn(&Path);

#[test]
fn files_that_change_under_a_load_are_named() {
    let table: [(&str, Meddling, &str); 4] = [
        (
            "cut short",
            |path| std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(9000).unwrap(),
            "has 9000 bytes",
        ),
        ("gone", |path| std::fs::remove_file(path).unwrap(), "vanished"),
        (
            "replaced",
            |path| {
                let other = path.with_extension("new");
                std::fs::copy(path, &other).unwrap();
                std::fs::rename(other, path).unwrap();
            },
            "was replaced by another file",
        ),
        (
            "written to",
            |path| {
                let file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            },
            "was written to",
        ),
    ];
    for (name, meddle, words) in table {
        let bench = Bench::new(cards().fault(Fault::SlowNvml { millis: 8 }));
        let folder = copy_of_the_model(&bench);
        let child = start(&bench, &["load", folder.to_str().unwrap(), "--tp", "2"]);
        until_opened(&bench);
        meddle(&folder.join("model-00001-of-00002.safetensors"));
        let report = report(&end(&bench, child), 2);
        let failure = &report["failure"];
        assert!(failure["message"].as_str().unwrap().contains(words), "{name}: {failure}");
        assert!(failure["file"].as_str().unwrap().ends_with("model-00001-of-00002.safetensors"), "{name}: {failure}");
    }
}

/// From before the first call of the driver to after the last one.
#[test]
fn a_signal_at_any_moment_leaves_nothing() {
    let mut codes = std::collections::BTreeSet::new();
    for (step, signal) in (0..14).zip(["INT", "TERM"].into_iter().cycle()) {
        let bench = Bench::new(cards().fault(Fault::SlowNvml { millis: 1 }));
        let child = start(&bench, &ALL);
        std::thread::sleep(Duration::from_millis(step * step * 2));
        // It may be over already.
        let _ = std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).output();
        let output = end(&bench, child);
        match (output.status.code(), output.status.signal()) {
            // Before the handler was there nothing was held.
            (None, Some(2 | 15)) => {}
            (Some(0), None) => assert_eq!(report(&output, 0)["confirmed"], true),
            (Some(3), None) => {
                let message = report(&output, 3)["failure"]["message"].as_str().unwrap().to_owned();
                assert!(message.contains("cancelled"), "{message}");
            }
            other => panic!("{other:?}: {output:?}"),
        }
        codes.insert(output.status.code());
    }
    assert!(!codes.is_empty());
}

/// The disk is full: a report that nobody can read is a failure, and not half a success.
#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let bench = Bench::new(cards());
    let mut command = bench.command();
    let child = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(ALL).args(["--format", "json"]);
    let output = end(&bench, child.stdout(full()).stderr(Stdio::piped()).spawn().unwrap());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("could not be written") && stderr.contains("No space left"), "{stderr}");

    // Nobody to talk to is no failure.
    let mut command = bench.command();
    let child = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(ALL).stdout(Stdio::piped()).stderr(full());
    assert_eq!(end(&bench, child.spawn().unwrap()).status.code(), Some(0));
}

/// Whoever was there keeps what is theirs, and no card without a shard is touched.
#[test]
fn others_are_left_alone() {
    let machine = Machine::new().cards(4, Card::sized(4096, 100)).with_card(3, |card| card.process(4242, 500 * MIB));
    let bench = Bench::new(machine);
    let output = end(&bench, start(&bench, &ALL));
    report(&output, 0);
    let used = bench.used();
    assert!(used.units[..2].iter().all(|unit| unit.high_water > 0));
    assert!(used.units[2..].iter().all(|unit| unit.high_water == 0), "no context where there is no shard");
}
