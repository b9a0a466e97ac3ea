//! Diagnoses against published failures, clean starts, and the five cases of the documentation through the program.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test data is read from files, and a report that is no JSON ends the test"
)]

mod corpus;
#[path = "corpus/oom.rs"]
mod oom;

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

#[test]
fn published_failures_are_told_apart() {
    let records = oom::compare_set("records");
    assert!(records.len() > 150);
    let score = oom::Score::of(&records);
    assert!(score.causes.part() >= 0.85, "causes: {}", score.causes);
    assert!(score.confirmed.part() >= 0.92, "confirmed causes: {}", score.confirmed);
    assert!(score.fixes.part() >= 0.80, "fix among the first two repairs: {}", score.fixes);
    assert!(score.fields.part() >= 0.94, "fields: {}", score.fields);
    assert!(score.device.part() >= 1.0, "cards: {}", score.device);
    assert!(score.named.part() >= 0.95, "a named cause is seldom another one: {}", score.named);
}

/// Sets that were labelled before the program saw them; their first scores stand in `docs/diagnosis.md`.
#[test]
fn failures_of_other_engines_are_told_apart() {
    hold(&[
        ("fresh-others", 0.95, 1.0, 1.0, 0.85),
        ("fresh-others-2", 0.88, 1.0, 1.0, 0.85),
        ("fresh-others-3", 0.88, 0.0, 1.0, 0.85),
        ("fresh-others-4", 0.75, 0.75, 1.0, 0.7),
    ]);
}

/// All programs, spread over engines and causes as the first records are.
#[test]
fn ordinary_failures_are_told_apart() {
    hold(&[("fresh-ordinary", 0.92, 0.9, 1.0, 1.0), ("fresh-ordinary-2", 0.87, 1.0, 1.0, 1.0)]);
}

/// The same of vLLM, SGLang, TGI, PyTorch, NCCL and Ray.
#[test]
fn failures_of_serving_engines_are_told_apart() {
    hold(&[
        ("fresh-engines", 0.9, 0.92, 0.98, 0.85),
        ("fresh-engines-2", 0.94, 0.85, 1.0, 0.75),
        ("fresh-engines-3", 0.92, 1.0, 1.0, 0.8),
        ("fresh-engines-4", 0.92, 1.0, 1.0, 1.0),
        ("fresh-engines-5", 1.0, 1.0, 1.0, 0.75),
    ]);
}

/// Checks sets against the least parts of causes, confirmed causes, fields and fixes; cards are right in all of them.
fn hold(sets: &[(&str, f64, f64, f64, f64)]) {
    for (set, causes, confirmed, fields, fixes) in sets {
        let score = oom::Score::of(&oom::compare_set(set));
        assert!(score.causes.part() >= *causes, "{set}, causes: {}", score.causes);
        assert!(score.confirmed.part() >= *confirmed, "{set}, confirmed causes: {}", score.confirmed);
        assert!(score.fields.part() >= *fields, "{set}, fields: {}", score.fields);
        assert!(score.device.part() >= 1.0, "{set}, cards: {}", score.device);
        assert!(score.fixes.part() >= *fixes, "{set}, fix among the first two repairs: {}", score.fixes);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn diagnose(arguments: &[&str]) -> (i32, Value) {
    let output = Command::cargo_bin("shardfit")
        .unwrap()
        .current_dir(root())
        .args(["--format", "json", "diagnose"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

/// After the fact cards are described in words; only what cannot mean any card is an error.
#[test]
fn cards_may_be_described() {
    let log = "examples/oom/case1-72b-on-one-card.log";
    for (gpus, note) in [
        ("5xA100 80GB", None),
        ("5xA100 80GB (rented)", Some("taken as 5×A100-80GB")),
        ("5x5 cards", Some("5 of unknown size")),
    ] {
        let (exit, report) = diagnose(&[log, "--gpus", gpus]);
        assert_eq!(
            (exit, &report["findings"][0]["cause"]),
            (1, &"single_gpu_placement_while_others_idle".into()),
            "{gpus}"
        );
        let notes = report["notes"].to_string();
        assert_eq!(notes.contains("is taken as"), note.is_some(), "{notes}");
        assert!(note.is_none_or(|note| notes.contains(note)), "{notes}");
    }
    for gpus in ["0xA10", "5x", ""] {
        let mut command = Command::cargo_bin("shardfit").unwrap();
        command.current_dir(root()).args(["diagnose", log, "--gpus", gpus]).assert().code(2);
    }
}

#[test]
fn starts_that_went_well_give_no_finding() {
    let mut seen = 0;
    for file in std::fs::read_dir(root().join("tests/data/oom/clean")).unwrap() {
        let path = file.unwrap().path();
        let (exit, report) = diagnose(&[path.to_str().unwrap()]);
        assert_eq!((exit, report["findings"].as_array().unwrap().len()), (0, 0), "{}: {report}", path.display());
        seen += 1;
    }
    assert!(seen >= 10);
}

#[test]
fn the_newest_line_may_come_first() {
    let lines = [
        "INFO 02-03 03:43:49 model_runner.py:625] Capturing the model for CUDA graphs. This may lead to unexpected consequences if the model is not static.",
        "engine.py :190 2024-02-03 03:44:03,976 Error initializing vLLM engine: CUDA out of memory. Tried to allocate 112.00 MiB. GPU 0 has a total \
         capacity of 44.35 GiB of which 53.38 MiB is free. Process 3663367 has 44.28 GiB memory in use. Of the allocated memory 37.38 GiB is \
         allocated by PyTorch, and 275.68 MiB is reserved by PyTorch but unallocated.",
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("oldest", lines.join("\n")), ("newest", [lines[1], lines[0]].join("\n"))] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let (_, report) = diagnose(&[path.to_str().unwrap()]);
        assert_eq!(report["findings"][0]["cause"], "cuda_graph_capture", "{name}: {report:#}");
    }
}

/// A case: its log, what is supplied, and what must come out.
struct Case {
    log: &'static str,
    supplied: &'static [&'static str],
    cause: &'static str,
    device: u64,
    repair: &'static str,
    confirmed: bool,
}

const CASES: &[Case] = &[
    Case {
        log: "case1-72b-on-one-card",
        supplied: &["--gpus", "5xA100-80GB"],
        cause: "single_gpu_placement_while_others_idle",
        device: 0,
        repair: "--tensor-parallel-size 4",
        confirmed: true,
    },
    Case {
        log: "case2-gptq-on-one-named-card",
        supplied: &["--gpus", "4xRTX-3090", "--model", "Qwen/Qwen1.5-72B-Chat-GPTQ-Int4"],
        cause: "single_gpu_placement_while_others_idle",
        device: 0,
        repair: "device_map=\"auto\"",
        confirmed: true,
    },
    Case {
        log: "case3-moved-to-one-card",
        supplied: &["--gpus", "4xA10", "--model", "Qwen/Qwen1.5-14B-Chat"],
        cause: "single_gpu_placement_while_others_idle",
        device: 0,
        repair: "device_map=\"auto\"",
        confirmed: true,
    },
    Case {
        log: "case3b-float32-by-accident",
        supplied: &["--gpus", "1xA10", "--model", "Qwen/Qwen2.5-7B-Instruct"],
        cause: "wrong_dtype_fp32",
        device: 0,
        repair: "torch_dtype=\"auto\"",
        confirmed: false,
    },
    Case {
        log: "case4-turbomind-uneven",
        supplied: &["--gpus", "4xRTX-4090", "--model", "Qwen/Qwen2.5-72B-Instruct-AWQ"],
        cause: "uneven_split_or_rank_extra",
        device: 3,
        repair: "lmdeploy convert MODEL_NAME MODEL_PATH --tp 4",
        confirmed: false,
    },
    Case {
        log: "case5-openllm-tp1",
        supplied: &["--gpus", "4x78.7GiB"],
        cause: "single_gpu_placement_while_others_idle",
        device: 0,
        repair: "--tensor-parallel-size 4",
        confirmed: true,
    },
];

#[test]
fn the_five_cases_are_diagnosed() {
    for case in CASES {
        let log = format!("examples/oom/{}.log", case.log);
        let (exit, report) = diagnose(&[&[log.as_str()], case.supplied].concat());
        let finding = &report["findings"][0];
        assert_eq!((exit, finding["cause"].as_str()), (1, Some(case.cause)), "{}: {finding:#}", case.log);
        assert_eq!(finding["device"], case.device, "{}", case.log);
        let repair = &finding["repairs"][0];
        assert_eq!(repair["flags"][0], case.repair, "{}: {repair:#}", case.log);
        if case.confirmed {
            assert_eq!(repair["confirmed"], true, "{}: {repair:#}", case.log);
            let predicted = &repair["predicted"];
            let is_tight = predicted["state"] == "tight";
            assert!(is_tight || predicted["headroom_bytes"].as_u64().unwrap() > 0, "{}: {predicted}", case.log);
        }
        if repair["confirmed"] == false {
            assert!(repair["reason"].is_string(), "{}: {repair:#}", case.log);
        }
        assert!(finding["evidence"][0]["line"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn a_half_precision_matrix_rules_out_float32() {
    let log = "examples/oom/case3-moved-to-one-card.log";
    let (_, report) = diagnose(&[log, "--gpus", "4xA10", "--model", "Qwen/Qwen1.5-14B-Chat"]);
    let finding = &report["findings"][0];
    let matched = finding["fingerprint"][0]["text"].as_str().unwrap();
    assert!(matched.contains("13696 × 5120 × 2"), "{matched}");
    assert!(finding["rejected"].as_array().unwrap().iter().any(|r| r["cause"] == "wrong_dtype_fp32"));
}

/// 448 MiB is one whole matrix: evidence that nothing divides the model, as OpenLLM starts it.
#[test]
fn an_unsharded_matrix_is_recognised_by_its_size() {
    let (_, report) = diagnose(&["examples/oom/case5-openllm-tp1.log", "--gpus", "4x78.7GiB"]);
    let matched = report["findings"][0]["fingerprint"][0]["text"].as_str().unwrap();
    assert!(matched.contains("448 MiB = one unsharded 28672 × 8192 bfloat16 matrix"), "{matched}");
}

#[test]
fn the_corrected_command_is_written_out() {
    let command = "CUDA_VISIBLE_DEVICES=0,1,2,3,4 vllm serve Qwen/Qwen1.5-72B-Chat --port 8000";
    let log = "examples/oom/case1-72b-on-one-card.log";
    let (_, report) = diagnose(&[log, "--gpus", "5xA100-80GB", "--command", command]);
    assert_eq!(
        report["findings"][0]["repairs"][0]["command"],
        "CUDA_VISIBLE_DEVICES=0,1,2,3,4 vllm serve Qwen/Qwen1.5-72B-Chat --port 8000 --tensor-parallel-size 4"
    );
}

/// SGLang's failures at start and at run time want opposite moves.
#[test]
fn the_static_share_goes_up_at_start_and_down_at_run_time() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let start = write(
        "start.log",
        "[2025-06-18 17:59:40] server_args=ServerArgs(model_path='Qwen/Qwen2.5-7B-Instruct', mem_fraction_static=0.4, tp_size=1)\n\
         RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. Current value: self.server_args.mem_fraction_static=0.4\n",
    );
    let (_, report) = diagnose(&[&start]);
    assert_eq!(report["findings"][0]["repairs"][0]["kind"], "raise_share");
    assert_eq!(report["findings"][0]["repairs"][0]["flags"][0], "--mem-fraction-static 0.90");
    let run = write(
        "run.log",
        "[2025-06-18 17:59:40] server_args=ServerArgs(model_path='Qwen/Qwen2.5-7B-Instruct', mem_fraction_static=0.88, tp_size=1)\n\
         [2025-06-18 18:10:03 TP0] TpModelWorkerClient hit an exception: Traceback (most recent call last):\n\
         \x20 File \"/sgl-workspace/sglang/python/sglang/srt/managers/tp_worker_overlap_thread.py\", line 127, in forward_thread_func\n\
         torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.16 GiB. GPU 0 has a total capacity of 79.11 GiB of which 614.00 MiB is free. Process 7 has 78.50 GiB memory in use. Of the allocated memory 76.90 GiB is allocated by PyTorch, and 301.00 MiB is reserved by PyTorch but unallocated.\n",
    );
    let (_, report) = diagnose(&[&run]);
    let finding = &report["findings"][0];
    assert_eq!(finding["cause"], "activation_or_logits_peak");
    assert_eq!(finding["repairs"][0]["kind"], "lower_share");
    assert_eq!(finding["repairs"][0]["flags"][0], "--mem-fraction-static 0.83");
}

#[test]
fn exit_codes_tell_found_clean_bad_and_unknown_apart() {
    let run = |input: &str, arguments: &[&str]| {
        let mut command = Command::cargo_bin("shardfit").unwrap();
        command.arg("diagnose").args(arguments).write_stdin(input).output().unwrap().status.code().unwrap()
    };
    assert_eq!(run("ValueError: No available memory for the cache blocks.\n", &["-"]), 1);
    assert_eq!(run("all is well\n", &["-"]), 0);
    assert_eq!(run("", &["-"]), 0);
    assert_eq!(run("RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED\n", &["-"]), 3);
    assert_eq!(run("", &["/no/such/log"]), 2);
    assert_eq!(run("", &["-", "--gpus", "nonsense"]), 2);
}

#[test]
fn the_first_failure_counts_and_not_its_echoes() {
    let log = "(Worker_TP1 pid=12) ERROR 05-21 09:27:46 [a.py:1] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 64.00 GiB. GPU 1 has a total capacity of 79.11 GiB of which 2.50 GiB is free.\n\
        (Worker_TP0 pid=11) ERROR 05-21 09:27:46 [a.py:1] torch.distributed.DistBackendError: NCCL error in: NCCLUtils.cpp:133, unhandled cuda error\n\
        (Worker_TP0 pid=11) ERROR 05-21 09:27:46 [a.py:1] ncclUnhandledCudaError: Call to CUDA function failed.\n\
        ERROR 05-21 09:27:47 [b.py:2] Worker proc VllmWorker-1 died unexpectedly\n\
        Killed\n";
    let output = Command::cargo_bin("shardfit")
        .unwrap()
        .args(["--format", "json", "diagnose", "-"])
        .write_stdin(log)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(report["findings"][0]["device"], 1);
    assert_eq!(report["findings"][0]["rank"], 1);
    assert_eq!(report["findings"][0]["cause"], "activation_or_logits_peak");
    assert_eq!(report["consequences"], 3);
}

#[test]
fn two_logs_are_compared_by_what_moved() {
    let folder = tempfile::tempdir().unwrap();
    let budget = |activation: &str, left: &str| {
        format!(
            "INFO 12-20 20:25:46 worker.py:241] model weights take 7.51GiB; non_torch_memory takes 0.39GiB; PyTorch activation peak memory takes {activation}GiB; the rest of the memory reserved for KV Cache is {left}GiB.\n"
        )
    };
    let (good, bad) = (folder.path().join("good.log"), folder.path().join("bad.log"));
    std::fs::write(&good, budget("2.53", "3.76")).unwrap();
    std::fs::write(&bad, budget("6.53", "0.00") + "ValueError: No available memory for the cache blocks.\n").unwrap();
    let (exit, report) = diagnose(&[bad.to_str().unwrap(), "--against", good.to_str().unwrap()]);
    assert_eq!(exit, 1);
    let moved = &report["against"]["differences"][0];
    assert_eq!(moved["name"], "activation_peak_gib");
    assert_eq!(moved["moved_bytes"], 4u64 << 30);
}

#[test]
fn a_watched_command_that_fails_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let script = format!("cat {}/examples/oom/case1-72b-on-one-card.log; exit 7", root().display());
    let output = Command::cargo_bin("shardfit")
        .unwrap()
        .args(["run", "--gpus", "5xA100-80GB", "--report", report.to_str().unwrap(), "--", "sh", "-c", &script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(talk.contains("single_gpu_placement_while_others_idle"), "{talk}");
    assert!(talk.contains("--tensor-parallel-size 4"), "{talk}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["diagnosis"]["findings"][0]["cause"], "single_gpu_placement_while_others_idle");
}
