//! `plan` on built-in models: what fits, what is tight, what does not fit, and the repair that is shown.

use super::{assert_first_screen, golden, run_line};

/// Name, exit code, what is typed. The version is stated, so that a newer one that becomes known changes nothing here.
const PLANS: &[(&str, i32, &str)] = &[
    ("fits_one_card", 0, "plan Qwen/Qwen2.5-7B-Instruct --gpus 1xA10"),
    ("fits_awq_over_two", 0, "plan Qwen/Qwen2.5-72B-Instruct-AWQ --gpus 2xL40S --tp 2"),
    ("fits_more_ranks_than_kv_heads", 0, "plan meta-llama/Llama-3.1-70B-Instruct --gpus 16xH100 --tp 16"),
    ("fits_uneven_stages", 0, "plan meta-llama/Llama-3.1-70B-Instruct --gpus 3xA100-80GB --pp 3"),
    ("fits_two_by_two", 0, "plan Qwen/Qwen2.5-32B-Instruct --gpus 4xL40S --tp 2 --pp 2"),
    ("fits_shared_memory", 0, "plan Qwen/Qwen2.5-7B-Instruct --gpus 1xGB10"),
    ("fits_by_size", 0, "plan Qwen/Qwen3-8B --gpus 1x24GiB --max-model-len 8192"),
    ("fits_pool_by_size", 0, "plan Qwen/Qwen3-8B --gpus 1xL40S --kv-cache-memory-bytes 10GiB --enforce-eager"),
    ("tight", 0, "plan Qwen/Qwen2.5-32B-Instruct --gpus 4xL4 --tp 4"),
    ("tight_and_strict", 1, "plan Qwen/Qwen2.5-32B-Instruct --gpus 4xL4 --tp 4 --strict"),
    ("other_cards_idle", 1, "plan Qwen/Qwen2.5-72B-Instruct --gpus 4xA100-80GB"),
    ("context_too_long", 1, "plan meta-llama/Llama-3.1-8B-Instruct --gpus 1xL4"),
    ("only_a_tight_repair", 1, "plan Qwen/Qwen2.5-32B-Instruct-GPTQ-Int4 --gpus 1xRTX-4090"),
    ("no_repair", 1, "plan meta-llama/Llama-3.1-405B-Instruct --gpus 2xT4"),
    ("fraction_too_high", 1, "plan Qwen/Qwen2.5-0.5B-Instruct --gpus 1xT4 --gpu-memory-utilization 0.98"),
    ("mixed_fleet_smallest_decides", 0, "plan Qwen/Qwen2.5-7B-Instruct --gpus 1xA100-80GB,1xL4 --tp 2"),
    ("mixed_fleet_too_small", 1, "plan Qwen/Qwen2.5-32B-Instruct --gpus 1xA100-80GB,1xT4 --tp 2"),
    ("mixed_fleet_stages", 0, "plan Qwen/Qwen2.5-32B-Instruct --gpus 2xA100-80GB,2xA10 --pp 4"),
    ("length_chosen_by_the_engine", 0, "plan meta-llama/Llama-3.1-8B-Instruct --gpus 1xL4 --max-model-len auto"),
    ("checkpoint_on_disk", 0, "plan examples/models/tiny-qwen2 --gpus 1xT4"),
    ("config_alone", 0, "plan examples/models/tiny-qwen2-awq/config.json --gpus 2xT4 --tp 2 --dtype float16"),
];

#[test]
fn plans_are_as_they_were() {
    for (name, exit, line) in PLANS {
        let ran = golden(&format!("plan_{name}"), &format!("{line} --engine vllm@0.11.2"));
        assert_eq!(ran.exit, *exit, "{name}: {}{}", ran.stdout, ran.stderr);
        assert_first_screen(name, &ran);
    }
}

#[test]
fn minus_one_and_auto_are_one() {
    let plan = |length: &str| {
        let ran = run_line(&format!("plan meta-llama/Llama-3.1-8B-Instruct --gpus 1xL4 --max-model-len {length}"));
        (ran.exit, ran.stdout)
    };
    assert_eq!(plan("auto"), plan("-1"));
}

/// The length that the engine chooses is the longest that fits: with one block more it does not.
#[test]
fn the_chosen_length_is_the_longest() {
    let plan = |length: &str| {
        let command = format!("plan meta-llama/Llama-3.1-8B-Instruct --gpus 1xL4 --max-model-len {length}");
        run_line(&format!("{command} --format json")).json()
    };
    let chosen = plan("auto")["workload"]["max_model_len"].as_u64().unwrap();
    assert!(chosen > 16 && chosen < 131_072, "{chosen}");
    let state = |length: u64| plan(&length.to_string())["verdict"]["state"].clone();
    assert_ne!(state(chosen), "does_not_fit");
    assert_eq!(state(chosen + 16), "does_not_fit");
}

/// Each repair of a plan, set as its flags say, fits.
#[test]
fn repairs_fit_when_they_are_followed() {
    let mut followed = 0;
    for (name, _, line) in PLANS {
        let line = format!("{line} --engine vllm@0.11.2 --format json").replace(" --strict", "");
        let report = run_line(&line).json();
        for advice in report["advice"].as_array().unwrap() {
            let flags: Vec<&str> = advice["flags"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
            // A repair replaces what was set.
            let set: Vec<&str> = flags.iter().map(|flag| flag.split(' ').next().unwrap()).collect();
            let mut kept = Vec::new();
            let mut words = line.split(' ').peekable();
            while let Some(word) = words.next() {
                if set.contains(&word) || (word == "--tp" && set.contains(&"--tensor-parallel-size")) {
                    words.next();
                } else {
                    kept.push(word);
                }
            }
            let repaired = run_line(&format!("{} {}", kept.join(" "), flags.join(" ")));
            let then = repaired.json();
            assert_eq!(repaired.exit, 0, "{name}: {flags:?}: {}", then["verdict"]["message"]);
            assert_eq!(then["verdict"]["state"], advice["predicted"]["state"], "{name}: {flags:?}");
            assert_eq!(then["workload"]["max_model_len"], advice["predicted"]["max_model_len"], "{name}: {flags:?}");
            followed += 1;
        }
    }
    assert!(followed >= 12, "only {followed} repairs were shown");
}

#[test]
fn strict_changes_only_what_is_tight() {
    for (line, exit) in [
        ("plan Qwen/Qwen2.5-7B-Instruct --gpus 1xA10 --strict", 0),
        ("plan Qwen/Qwen2.5-32B-Instruct --gpus 4xL4 --tp 4 --engine vllm@0.11.2 --strict", 1),
        ("plan meta-llama/Llama-3.1-405B-Instruct --gpus 2xT4 --strict", 1),
    ] {
        assert_eq!(run_line(line).exit, exit, "{line}");
    }
}
