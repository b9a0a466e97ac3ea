//! What `plan` does with models that no family claims, with drafts, replicas, several versions and profiles of one's own.

use std::fs;
use std::path::Path;

use super::{golden, root, run};

/// The small checkpoint under a name that no family claims.
fn mystery(folder: &Path, with_weights: bool) {
    let source = root().join("examples/models/tiny-qwen2");
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "config.json" {
            let config = fs::read_to_string(&path).unwrap().replace("Qwen2ForCausalLM", "MysteryForCausalLM");
            fs::write(folder.join(name), config.replace("\"qwen2\"", "\"mystery\"")).unwrap();
        } else if with_weights {
            fs::copy(&path, folder.join(name)).unwrap();
        }
    }
}

#[test]
fn an_unknown_architecture_is_planned_by_its_headers() {
    let folder = tempfile::tempdir().unwrap();
    mystery(folder.path(), true);
    let flags = ["--gpus", "2xA10", "--tp", "2", "--engine", "vllm@0.11.2", "--format", "json"];
    let plan = |path: &str| run(&[&["plan", path], flags.as_slice()].concat()).json();
    let assumed = plan(folder.path().to_str().unwrap());
    let known = plan("examples/models/tiny-qwen2");
    assert_eq!(assumed["model"]["architecture"], "MysteryForCausalLM");
    assert!(assumed["warnings"][0].as_str().unwrap().contains("read from tensor names"), "{}", assumed["warnings"]);
    assert_eq!(assumed["ranks"][1]["weights_bytes"], known["ranks"][1]["weights_bytes"]);
    assert_eq!(assumed["ranks"][0]["kv_bytes_per_token"], known["ranks"][0]["kv_bytes_per_token"]);
}

#[test]
fn an_unknown_architecture_without_headers_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    mystery(folder.path(), false);
    let ran = run(&["plan", folder.path().to_str().unwrap(), "--gpus", "2xA10"]);
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`MysteryForCausalLM` is not known") && ran.stderr.contains("headers"),
        "{}",
        ran.stderr
    );
}

const SERVE: &[&str] = &["plan", "--gpus", "4xH100", "--engine", "vllm@0.25.1"];

fn serve(speculation: &str) -> super::Ran {
    let command = ["--", "vllm", "serve", "Qwen/Qwen2.5-72B-Instruct", "-tp", "4", "--speculative-config", speculation];
    run(&[SERVE, &["--format", "json"], &command].concat())
}

#[test]
fn a_draft_on_disk_is_counted() {
    let config = root().join("profiles/models/Qwen--Qwen2.5-0.5B-Instruct.json");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(config, folder.path().join("config.json")).unwrap();
    let path = folder.path().display();
    // Its 14 heads do not divide by 4, which the engine finds out too.
    let refused = serve(&format!(r#"{{"model": "{path}", "num_speculative_tokens": 4}}"#));
    assert_eq!(refused.exit, 2);
    assert!(refused.stderr.contains("draft model: Total number of attention heads (14)"), "{}", refused.stderr);
    let whole = format!(r#"{{"model": "{path}", "num_speculative_tokens": 4, "draft_tensor_parallel_size": 1}}"#);
    let report = serve(&whole).json();
    let lines = report["ranks"][0]["lines"].as_array().unwrap();
    let draft = lines.iter().find(|line| line["what"] == "draft model").unwrap();
    // 494,032,768 parameters in two bytes each; its table of rotations, and seven scales of four bytes in each of 24 layers.
    let buffers = draft["expected"].as_u64().unwrap() - 2 * 494_032_768;
    assert_eq!(buffers, 32_768 * 64 * 2 + 24 * 7 * 4);
}

#[test]
fn a_draft_out_of_reach_is_named() {
    let report = serve(r#"{"model": "nobody/nothing", "num_speculative_tokens": 4}"#).json();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("the draft model `nobody/nothing` is not at hand"), "{warnings}");
}

#[test]
fn replicas_are_judged_by_their_own_cards() {
    golden(
        "plan_replicas_on_unequal_cards",
        "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xH100,2xA10 --tp 2 --dp 2 --engine vllm@0.11.2",
    );
}

#[test]
fn several_versions_are_compared() {
    golden(
        "plan_two_versions",
        "plan Qwen/Qwen2.5-72B-Instruct-AWQ --gpus 4xA10 --tp 4 --engine vllm@0.11.2,vllm@0.25.1",
    );
}

#[test]
fn the_engine_speaks() {
    golden("plan_as_log", "plan Qwen/Qwen2.5-7B-Instruct --gpus 1xL40S --as-log --engine vllm@0.11.2");
    golden("plan_as_log_refused", "plan meta-llama/Llama-3.1-8B-Instruct --gpus 1xL4 --as-log --engine vllm@0.11.2");
}

#[test]
fn a_folder_adds_cards() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("gpus")).unwrap();
    let a10 = fs::read_to_string(root().join("profiles/gpus/a10.toml")).unwrap();
    let own = a10.replace("\"A10\"", "\"Bench-1\"").replace("NVIDIA A10", "NVIDIA Bench-1").replace("A10-24GB", "B1");
    fs::write(folder.path().join("gpus/bench.toml"), &own).unwrap();
    let path = folder.path().to_str().unwrap();
    let plan = |name: &str| run(&["plan", "Qwen/Qwen2.5-7B-Instruct", "--gpus", name, "--profile-dir", path]);
    assert!(plan("Bench-1").stdout.contains("(Bench-1)"));
    assert_eq!(plan("A10").exit, 0);

    fs::write(folder.path().join("gpus/bench.toml"), "schema = ").unwrap();
    let ran = plan("Bench-1");
    assert!(ran.exit == 2 && ran.stderr.contains("card profile `bench` does not parse"), "{}", ran.stderr);
    let ran = run(&["plan", "Qwen/Qwen2.5-7B-Instruct", "--gpus", "A10", "--profile-dir", "no/such/folder"]);
    assert!(ran.exit == 2 && ran.stderr.contains("no/such/folder"), "{}", ran.stderr);
}
