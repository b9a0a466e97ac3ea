//! Pasted commands: what the engine's own flags mean to the plan, and what is said about those that mean nothing.

use super::{assert_first_screen, golden, run_line};

const COMMANDS: &[(&str, i32, &str)] = &[
    (
        "docker_with_a_version_tag",
        0,
        "plan --gpus 4xA100-80GB -- docker run --gpus all --ipc=host -p 8000:8000 -e HF_TOKEN=hf_secret \
         vllm/vllm-openai:v0.11.2 --model Qwen/Qwen2.5-72B-Instruct --tensor-parallel-size 4",
    ),
    (
        "docker_that_does_not_fit",
        1,
        "plan --gpus 2xA100-40GB -- docker run --gpus all -e HF_TOKEN=hf_secret vllm/vllm-openai:v0.11.2 \
         --model Qwen/Qwen2.5-32B-Instruct",
    ),
    (
        "api_server_module",
        0,
        "plan --gpus 1xA10 --engine vllm@0.11.2 -- python -m vllm.entrypoints.openai.api_server \
         --model=Qwen/Qwen2.5-7B-Instruct --max-model-len=8192 --port 8000",
    ),
    (
        "unknown_flag",
        0,
        "plan --gpus 1xL4 --engine vllm@0.11.2 -- vllm serve Qwen/Qwen2.5-7B-Instruct --frobnicate 3 --gpu_memory_utilization=0.85",
    ),
    (
        "short_forms_and_json",
        0,
        "plan --gpus 4xL40S --engine vllm@0.11.2 -- vllm serve Qwen/Qwen2.5-32B-Instruct -tp 2 -pp=2 \
         --compilation-config '{\"cudagraph_capture_sizes\": [1, 2, 4]}'",
    ),
    (
        "visible_cards_in_front",
        1,
        "plan --gpus 4xA10 --engine vllm@0.11.2 -- CUDA_VISIBLE_DEVICES=0,1 vllm serve Qwen/Qwen2.5-32B-Instruct -tp 2",
    ),
    (
        "more_ranks_than_visible_cards",
        2,
        "plan --gpus 4xA10 -- CUDA_VISIBLE_DEVICES=0,1 vllm serve Qwen/Qwen2.5-32B-Instruct -tp 4",
    ),
    (
        "own_flags_over_the_command",
        0,
        "plan --gpus 1xA10 --engine vllm@0.11.2 --max-model-len 4096 -- vllm serve Qwen/Qwen3-8B --max-model-len 32768",
    ),
    (
        "length_chosen_by_the_engine",
        0,
        "plan --gpus 1xL4 --engine vllm@0.11.2 -- vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len auto",
    ),
    ("another_program", 2, "plan --gpus 1xA10 -- ls -la"),
    ("an_engine_without_rules", 2, "plan --gpus 1xA10 -- python -m sglang.launch_server --model-path Qwen/Qwen3-8B"),
    ("no_model", 2, "plan --gpus 1xA10 -- vllm serve --tensor-parallel-size 2"),
];

#[test]
fn pasted_commands_are_as_they_were() {
    for (name, exit, line) in COMMANDS {
        let ran = golden(&format!("command_{name}"), line);
        assert_eq!(ran.exit, *exit, "{name}: {}{}", ran.stdout, ran.stderr);
        assert!(!ran.stdout.contains("hf_secret") && !ran.stderr.contains("hf_secret"), "{name}: a secret is shown");
        if *exit < 2 {
            assert_first_screen(name, &ran);
        } else {
            assert_eq!(ran.stdout, "", "{name}");
        }
    }
}

/// A flag of the engine and the same flag of this program give the same plan.
#[test]
fn a_pasted_flag_means_what_the_typed_one_means() {
    for flags in [
        "--tensor-parallel-size 2",
        "--pipeline-parallel-size 2",
        "--max-model-len 4096",
        "--max-num-seqs 64",
        "--max-num-batched-tokens 4096",
        "--gpu-memory-utilization 0.7",
        "--kv-cache-dtype fp8",
        "--dtype float16",
        "--enforce-eager",
    ] {
        let typed = run_line(&format!("plan Qwen/Qwen2.5-7B-Instruct --gpus 2xL40S --format json {flags}")).json();
        let pasted =
            run_line(&format!("plan --gpus 2xL40S --format json -- vllm serve Qwen/Qwen2.5-7B-Instruct {flags}"))
                .json();
        for part in ["layout", "workload", "ranks", "capacity", "verdict"] {
            assert_eq!(typed[part], pasted[part], "{flags}: {part}");
        }
        let plain = run_line("plan Qwen/Qwen2.5-7B-Instruct --gpus 2xL40S --format json").json();
        let changed = |part: &str| typed[part] != plain[part];
        assert!(changed("workload") || changed("layout"), "{flags} changes nothing");
    }
}
