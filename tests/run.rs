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

const MIB: u64 = simgpu::machine::MIB;

/// Runs a script that holds a model on both cards for some seconds and then fails with the words of an engine; what is to be seen happens
/// to the machine meanwhile. The neighbour is this test's own process, which is no child of the command.
fn fails_beside(machine: Machine, words: &str, change: impl Fn(Machine) -> Machine + Send) -> (Ran, Bench) {
    let mut bench = Bench::new(machine);
    let report = bench.folder().join("report.json");
    let program = env!("CARGO_BIN_EXE_shardfit");
    let script = format!(
        "echo 'INFO 09-21 14:02:20 [gpu_model_runner.py:2602] Starting to load model Qwen/Qwen2.5-7B-Instruct...'; \
         {program} load examples/models/tiny-qwen2 --tp 2 --device cuda --max-model-len 1024 --hold 2 >/dev/null 2>&1; \
         echo '{words}'; exit 1"
    );
    let mut command = bench.command();
    command.env("NO_COLOR", "1").env("XDG_STATE_HOME", bench.folder());
    command.args(["run", "--interval", "0.1s", "--report"]).arg(&report).args(["--", "sh", "-c", &script]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Once the command holds memory, the change comes into the middle of its time.
    let patience = Instant::now() + Duration::from_secs(60);
    while bench.held_now().is_none_or(|held| held.unreturned() == 0) {
        assert!(Instant::now() < patience, "the command holds nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(600));
    bench.change(change);
    let output = child.wait_with_output().unwrap();
    let report = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (Ran { exit: output.status.code(), stdout: output.stdout, stderr, report }, bench)
}

const NO_BLOCKS: &str = "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.";

/// The log says that nothing is left; the recording says who took it.
#[test]
fn a_neighbour_that_comes_during_the_start_is_the_cause() {
    let own = std::process::id();
    let machine = Machine::new().cards(2, Card::a10());
    let words = NO_BLOCKS.replace('`', "");
    let (ran, _bench) =
        fails_beside(machine, &words, |machine| machine.with_card(1, |card| card.process(own, 9000 * MIB)));
    assert_eq!(ran.exit, Some(1));
    let seen = &ran.report["observed"][0];
    assert_eq!((&seen["kind"], &seen["card"], &seen["pid"]), (&"neighbour_took".into(), &"1".into(), &own.into()));
    assert_eq!(seen["memory_bytes"], 9000 * MIB);
    let finding = &ran.report["diagnosis"]["findings"][0];
    assert_eq!(finding["cause"], "other_process_on_gpu", "{}", ran.stderr);
    assert_eq!(finding["rejected"][0]["cause"], "no_memory_left_for_kv");
    assert_eq!(finding["evidence"][0]["file"], "<recording>");
    assert!(ran.stderr.contains("seen on the cards") && ran.stderr.contains("came and took"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("end process {own}")), "{}", ran.stderr);
}

/// The same words without a neighbour keep their own cause.
#[test]
fn without_a_neighbour_the_words_keep_their_cause() {
    let words = NO_BLOCKS.replace('`', "");
    let (ran, _bench) = fails_beside(Machine::new().cards(2, Card::a10()), &words, |machine| machine);
    assert_eq!(ran.report["observed"], Value::Array(Vec::new()), "{}", ran.stderr);
    assert_eq!(ran.report["diagnosis"]["findings"][0]["cause"], "no_memory_left_for_kv", "{}", ran.stderr);
}

#[test]
fn a_neighbour_that_releases_during_the_profile_is_seen() {
    let own = std::process::id();
    let machine = Machine::new().cards(2, Card::a10().process(own, 7000 * MIB));
    let words = "AssertionError: Error in memory profiling. Initial free memory 14.94 GiB, current free memory 21.10 GiB. This happens when other processes sharing the same container release GPU memory while vLLM is profiling during initialization.";
    let (ran, _bench) =
        fails_beside(machine, words, |machine| machine.with_card(0, |card| card.with(|card| card.processes.clear())));
    let seen = &ran.report["observed"][0];
    assert_eq!((&seen["kind"], &seen["card"]), (&"neighbour_released".into(), &"0".into()), "{}", ran.stderr);
    let finding = &ran.report["diagnosis"]["findings"][0];
    assert_eq!((&finding["cause"], &finding["confidence"]), (&"other_process_on_gpu".into(), &"high".into()));
    let files: Vec<_> = finding["evidence"].as_array().unwrap().iter().map(|e| e["file"].as_str().unwrap()).collect();
    assert!(files.contains(&"<output>") && files.contains(&"<recording>"), "{files:?}");
}

/// A worker of an engine that was killed holds the card from the begin.
#[test]
fn an_orphaned_engine_is_seen() {
    let first = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    if ["python", "vllm", "ray", "mpirun"].iter().any(|engine| first.starts_with(engine)) {
        // Who is taken in by an engine is no orphan.
        return;
    }
    // The shell ends at once, so that what it started goes to whoever takes in orphans.
    let left = std::process::Command::new("bash")
        .args(["-c", "exec -a VLLM::Worker_TP0 sleep 60 >/dev/null 2>&1 & echo $!"])
        .output()
        .unwrap();
    let pid: u32 = String::from_utf8(left.stdout).unwrap().trim().parse().unwrap();
    let bench = Bench::new(Machine::new().cards(1, Card::a10().process(pid, 9000 * MIB)));
    let words = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 448.00 MiB. GPU 0 has a total capacity of 21.98 GiB of which 310.00 MiB is free.";
    let ran = run(&bench, &["--interval", "0.1s"], &format!("sleep 0.5; echo '{words}'; exit 1"));
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let seen = &ran.report["observed"][0];
    assert_eq!((&seen["kind"], &seen["pid"]), (&"orphan".into(), &pid.into()), "{}", ran.stderr);
    assert_eq!(ran.report["diagnosis"]["findings"][0]["cause"], "other_process_on_gpu", "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("kill {pid}")), "{}", ran.stderr);
}

/// A card that draws on the host's memory: the driver tells no free memory, and its processes fill the pool.
#[test]
fn an_exhausted_shared_pool_is_seen() {
    use simgpu::Fault;
    use simgpu::NvmlFailure;
    let card = Card::sized(124_610, 250).with(|card| card.name = "NVIDIA GB10".to_owned());
    let card = card.process(std::process::id(), 123_900 * MIB);
    let silent = ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"]
        .map(|call| Fault::nvml(call, NvmlFailure::NotSupported));
    let bench = Bench::new(Machine::new().cards(1, card).faults(silent));
    let ran = run(&bench, &["--interval", "0.1s"], "sleep 0.5; kill -9 $$");
    assert_eq!(ran.exit, Some(137));
    let seen = &ran.report["observed"][0];
    assert_eq!(seen["kind"], "shared_pool_exhausted", "{}", ran.stderr);
    assert_eq!(seen["memory_bytes"], (124_610 - 123_900) * MIB);
    let finding = &ran.report["diagnosis"]["findings"][0];
    assert_eq!(finding["cause"], "host_ram_exhausted", "{}", ran.stderr);
    assert!(finding["evidence"].to_string().contains("the pool of 121.69 GiB"), "{finding}");
}

/// A bare SIGKILL is the kernel's doing where its count says so, and a person's where it does not.
#[test]
fn a_kill_is_not_blamed_on_the_kernel_that_did_not_kill() {
    let ran = run(&Bench::without_driver(), &[], "echo working; kill -9 $$");
    assert_eq!(ran.exit, Some(137));
    let cause = &ran.report["diagnosis"]["findings"][0]["cause"];
    match ran.report["ended"]["host_memory_kills"].as_u64() {
        Some(0) => assert_eq!(cause, "unknown", "{}", ran.stderr),
        _ => assert_eq!(cause, "host_ram_exhausted", "{}", ran.stderr),
    }
}

#[test]
fn a_command_that_hangs_is_told() {
    let ran = run(&Bench::without_driver(), &["--quiet-after", "1"], "sleep 2.2");
    assert_eq!(ran.exit, Some(0));
    assert!(ran.stderr.contains("may hang"), "{}", ran.stderr);
}

/// A worker that leaves group and parent and outlives the command still counts as its own, and is named.
#[test]
fn a_worker_that_is_left_behind_is_named() {
    let bench = Bench::new(Machine::new().cards(2, Card::a10()));
    let program = env!("CARGO_BIN_EXE_shardfit");
    let load = format!("setsid {program} load examples/models/tiny-qwen2 --tp 2 --device cuda --max-model-len 1024");
    let script = format!("{load} --hold 4 >/dev/null 2>&1 & sleep 2.5; exit 6");
    let ran = run(&bench, &["--interval", "0.1s"], &script);
    assert_eq!(ran.exit, Some(6));
    let left = &ran.report["survivors"][0];
    assert!(left["command"].as_str().unwrap().contains("tiny-qwen2"), "{}", ran.report);
    assert!(left["used_bytes"].as_u64().unwrap() > 400 * MIB, "{left}");
    assert!(ran.report["cards"][0]["peak_ours_bytes"].as_u64().unwrap() > 200 * MIB, "{}", ran.report);
    assert!(ran.stderr.contains("left behind"), "{}", ran.stderr);
}

/// The gate reads what is nested in shells and launchers, and ends with the code of the plan.
#[test]
fn the_gate_reads_nested_commands() {
    let bench = Bench::without_driver();
    let script = bench.folder().join("serve.py");
    fs::write(&script, "from vllm import LLM\nllm = LLM(model=\"Qwen/Qwen1.5-72B-Chat\", tensor_parallel_size=2)\n")
        .unwrap();
    let script = script.display().to_string();
    let serve = "vllm serve Qwen/Qwen1.5-72B-Chat";
    let started = bench.folder().join("started");
    let then = format!("touch {}", started.display());
    for (exit, command) in [
        (1, vec!["sh".to_owned(), "-c".to_owned(), format!("{then}; {serve}")]),
        (1, vec!["bash".to_owned(), "-lc".to_owned(), format!("cd /tmp && {then} && exec {serve} > log 2>&1")]),
        (
            1,
            ["env", "X=1", "numactl", "-N", "0", "nohup", "vllm", "serve", "Qwen/Qwen1.5-72B-Chat"]
                .map(String::from)
                .to_vec(),
        ),
        (
            1,
            vec![
                "docker".to_owned(),
                "run".to_owned(),
                "--gpus".to_owned(),
                "all".to_owned(),
                "vllm/vllm-openai:v0.11.2".to_owned(),
                "--model".to_owned(),
                "Qwen/Qwen1.5-72B-Chat".to_owned(),
            ],
        ),
        (1, vec!["torchrun".to_owned(), "--nproc-per-node".to_owned(), "2".to_owned(), script.clone()]),
        (1, vec!["python".to_owned(), "-u".to_owned(), script.clone()]),
        (2, vec!["sh".to_owned(), "-c".to_owned(), then.clone()]),
    ] {
        let mut run = bench.shardfit();
        run.env("HF_HUB_OFFLINE", "1").args(["run", "--gate", "--gpus", "2xA100-40GB", "--"]).args(&command);
        let output = run.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{command:?}: {errors}");
        assert!(errors.contains("not started"), "{command:?}: {errors}");
        assert!(!started.exists(), "{command:?}");
    }
    // The same script where it fits is started, and its code passed on.
    let mut run = bench.shardfit();
    run.args(["run", "--gate", "--gpus", "2xH200", "--", "sh", "-c"]).arg(format!("{then}; exit 3; python {script}"));
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(started.exists());
}
