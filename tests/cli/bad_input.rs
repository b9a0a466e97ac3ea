//! Wrong input: one error each that names the thing, a repair, exit code 2, nothing on stdout but the error object that JSON asks for.

use std::fs;
use std::path::PathBuf;

use super::{Ran, data, golden, root, run, run_line, run_with};

/// What every refusal of bad input has in common.
#[track_caller]
fn assert_refused(name: &str, arguments: &[&str]) -> Ran {
    let ran = run(arguments);
    assert_eq!(ran.exit, 2, "{name}: {}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "", "{name}");
    let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{name}: {}", ran.stderr);

    let json = run(&[arguments, &["--format", "json"]].concat());
    let object = json.json();
    assert_eq!(
        (json.exit, &object["schema"], &object["exit_code"]),
        (2, &"shardfit/error/1".into(), &2.into()),
        "{name}"
    );
    let message = object["error"].as_str().unwrap();
    let one_line = json.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let said: Vec<&str> = message.split_whitespace().collect();
    assert!(!said.is_empty() && one_line.contains(&said.join(" ")), "{name}: {message}");
    ran
}

fn sorted(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(data(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The folders of `tests/data/bad`, through `plan` and `load`: the error and the repair that stand beside them.
#[test]
fn damaged_checkpoints_are_refused() {
    let folders = sorted("bad");
    assert!(folders.len() >= 36);
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let path = folder.to_str().unwrap();
        let expected = fs::read_to_string(folder.join("expected.txt")).unwrap().replace("FOLDER", path);
        for arguments in [["plan", path, "--gpus", "1xA10"], ["load", path, "--device", "host"]] {
            let ran = assert_refused(name, &arguments);
            assert_eq!(ran.stderr, expected, "{name}: {arguments:?}");
            assert!(ran.stderr.contains("\nhint: "), "{name}: no repair");
        }
    }
}

/// Configurations that lack something, or say what cannot be.
#[test]
fn bad_configs_are_refused() {
    let files = sorted("bad_configs");
    assert!(files.len() >= 25);
    let mut said = String::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let ran = assert_refused(name, &["plan", file.to_str().unwrap(), "--gpus", "1xA10"]);
        assert!(ran.stderr.contains("\nhint: "), "{name}: no repair: {}", ran.stderr);
        if let Some(field) = name.strip_prefix("lacks-") {
            let field = format!("`{}`", field.replace('-', "_"));
            assert!(ran.stderr.contains(&field), "{name}: {}", ran.stderr);
        }
        said.push_str(&format!("{name}\n{}\n", ran.stderr.replace(root().to_str().unwrap(), "ROOT")));
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden/cli");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("bad_configs", said));
}

/// What cannot be typed.
const TYPED: &[(&str, &str)] = &[
    ("tp_zero", "plan Qwen/Qwen1.5-72B-Chat --gpus 4xA10 --tp 0"),
    ("tp_three", "plan Qwen/Qwen1.5-72B-Chat --gpus 3xA100-80GB --tp 3"),
    ("tp_beyond_cards", "plan Qwen/Qwen1.5-72B-Chat --gpus 2xA100-80GB --tp 4"),
    ("tp_no_number", "plan Qwen/Qwen1.5-72B-Chat --gpus 2xA100-80GB --tp two"),
    ("tp_beyond_any_machine", "plan Qwen/Qwen1.5-72B-Chat --gpus 2xA10 --tp 4294967295 --pp 4294967295"),
    ("pp_beyond_layers", "plan Qwen/Qwen1.5-72B-Chat --gpus 100xA10 --pp 100"),
    ("pp_zero", "plan Qwen/Qwen1.5-72B-Chat --gpus 1xA10 --pp 0"),
    ("fleet_empty", "plan Qwen/Qwen1.5-72B-Chat --gpus ''"),
    ("fleet_trailing_comma", "plan Qwen/Qwen1.5-72B-Chat --gpus 2xA10,"),
    ("fleet_without_card", "plan Qwen/Qwen1.5-72B-Chat --gpus 4x"),
    ("fleet_without_unit", "plan Qwen/Qwen1.5-72B-Chat --gpus 4x24"),
    ("fleet_of_none", "plan Qwen/Qwen1.5-72B-Chat --gpus 0xA10"),
    ("fleet_beyond_count", "plan Qwen/Qwen1.5-72B-Chat --gpus 99999999999999999999xA10"),
    ("fleet_beyond_size", "plan Qwen/Qwen1.5-72B-Chat --gpus 4x99999999999999999999GiB"),
    ("fleet_unknown_card", "plan Qwen/Qwen1.5-72B-Chat --gpus 4xA1O"),
    ("model_none", "plan --gpus 1xA10"),
    ("model_empty", "plan '' --gpus 1xA10"),
    ("model_blank", "plan '  ' --gpus 1xA10"),
    ("model_unknown", "plan nonsense --gpus 1xA10"),
    ("model_gone", "plan ./gone --gpus 1xA10"),
    ("model_that_is_no_model", "plan Cargo.toml --gpus 1xA10"),
    ("length_no_number", "plan Qwen/Qwen3-8B --gpus 1xL40S --max-model-len long"),
    ("length_zero", "plan Qwen/Qwen3-8B --gpus 1xL40S --max-model-len 0"),
    ("length_beyond_model", "plan Qwen/Qwen3-8B --gpus 1xL40S --max-model-len 1000000"),
    ("fraction_above_one", "plan Qwen/Qwen3-8B --gpus 1xL40S --gpu-memory-utilization 1.5"),
    ("fraction_no_number", "plan Qwen/Qwen3-8B --gpus 1xL40S --gpu-memory-utilization most"),
    ("fraction_nan", "plan Qwen/Qwen3-8B --gpus 1xL40S --gpu-memory-utilization nan"),
    ("sequences_zero", "plan Qwen/Qwen3-8B --gpus 1xL40S --max-num-seqs 0"),
    ("batched_tokens_zero", "plan Qwen/Qwen3-8B --gpus 1xL40S --max-num-batched-tokens 0"),
    ("dtype_unknown", "plan Qwen/Qwen3-8B --gpus 1xL40S --dtype float12"),
    ("cache_type_unknown", "plan Qwen/Qwen3-8B --gpus 1xL40S --kv-cache-dtype float12"),
    ("cache_size_no_size", "plan Qwen/Qwen3-8B --gpus 1xL40S --kv-cache-memory-bytes much"),
    ("max_memory_without_size", "plan Qwen/Qwen3-8B --gpus 1xL40S --engine transformers --max-memory 0"),
    ("engine_unknown", "plan Qwen/Qwen3-8B --gpus 1xL40S --engine llamafile"),
    ("engine_version", "plan Qwen/Qwen3-8B --gpus 1xL40S --engine vllm@newest"),
    ("flag_unknown", "plan Qwen/Qwen3-8B --gpus 1xL40S --frobnicate"),
    ("flag_misspelt", "plan Qwen/Qwen3-8B --gpus 1xL40S --max-modle-len 4096"),
    ("command_unknown", "plam Qwen/Qwen3-8B"),
    ("colour_unknown", "plan Qwen/Qwen3-8B --gpus 1xL40S --color loud"),
    ("command_of_the_pasted_value", "plan --gpus 1xL40S -- vllm serve Qwen/Qwen3-8B --tensor-parallel-size two"),
    ("load_without_weights", "load Qwen/Qwen3-8B --device host"),
    ("load_three_ranks", "load examples/models/tiny-qwen2 --tp 3 --device host"),
    ("load_too_few_cards", "load examples/models/tiny-qwen2 --tp 2 --device host --gpus 1xA10"),
    ("load_card_that_is_not_there", "load examples/models/tiny-qwen2 --tp 2 --device host --gpus 2xA10 --devices 0,7"),
    ("load_devices_for_other_ranks", "load examples/models/tiny-qwen2 --tp 2 --device host --gpus 2xA10 --devices 0"),
    ("load_devices_no_number", "load examples/models/tiny-qwen2 --tp 2 --device host --devices a,b"),
    ("load_tolerance", "load examples/models/tiny-qwen2 --device host --tolerance much"),
    ("load_staging_of_nothing", "load examples/models/tiny-qwen2 --device host --staging 0"),
    ("probe_recording_gone", "probe --recording gone.json"),
    ("probe_recording_of_something_else", "probe --recording Cargo.toml"),
    ("schema_unknown", "schema everything"),
];

#[test]
fn what_cannot_be_typed_is_refused() {
    for (name, line) in TYPED {
        let ran = golden(&format!("refused_{name}"), line);
        assert_eq!(ran.exit, 2, "{name}: {}{}", ran.stdout, ran.stderr);
        let words = super::words(line);
        // `--format json` stands in front where what follows may take it for its own.
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if !words.contains(&"--") {
            assert_refused(name, &words);
        }
        let names_a_repair = ran.stderr.contains("hint: ")
            || ran.stderr.contains("tip: ")
            || ran.stderr.contains("--help")
            || [": must ", ": write ", ": it takes ", "at least", "between ", "such as ", "can be "]
                .iter()
                .any(|w| ran.stderr.contains(w));
        assert!(names_a_repair, "{name}: no repair: {}", ran.stderr);
    }
}

#[test]
fn folders_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let empty = assert_refused("empty", &["plan", path, "--gpus", "1xA10"]);
    assert!(empty.stderr.starts_with(&format!("error: the folder `{path}` is empty\nhint: ")), "{}", empty.stderr);

    // A file where a folder should be cannot be read by anybody, the superuser included.
    fs::write(folder.path().join("file"), "").unwrap();
    let inside = folder.path().join("file/config.json");
    let unreadable = assert_refused("unreadable", &["plan", inside.to_str().unwrap(), "--gpus", "1xA10"]);
    assert!(unreadable.stderr.contains(inside.to_str().unwrap()), "{}", unreadable.stderr);

    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let refused = assert_refused("closed", &["plan", closed.to_str().unwrap(), "--gpus", "1xA10"]);
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert!(refused.stderr.contains(closed.to_str().unwrap()), "{}", refused.stderr);
}

/// A checkpoint that lost its end after the index was written.
#[test]
fn a_truncated_shard_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root().join("examples/models/tiny-qwen2")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let shard = folder.path().join("model-00002-of-00002.safetensors");
    let bytes = fs::read(&shard).unwrap();
    for left in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&shard, &bytes[..left]).unwrap();
        for arguments in [["plan", "--gpus"], ["load", "--device"]] {
            let value = if arguments[0] == "plan" { "1xA10" } else { "host" };
            let line = [arguments[0], folder.path().to_str().unwrap(), arguments[1], value];
            let ran = assert_refused(&format!("{left} bytes"), &line);
            assert!(ran.stderr.contains("model-00002-of-00002.safetensors"), "{left}: {}", ran.stderr);
        }
    }
}

/// The machine cannot answer: exit 3, and the same object.
#[test]
fn what_the_machine_cannot_tell_is_no_bad_input() {
    for line in [
        "plan Qwen/Qwen3-8B",
        "plan Qwen/Qwen3-8B --gpus live",
        "probe",
        "top --once",
        "load examples/models/tiny-qwen2 --device cuda",
        "plan somebody/unheard-of --gpus 1xA10",
        "plan Qwen/Qwen3-8B --gpus 2xT4 --engine transformers --device-map auto",
    ] {
        let ran = run_line(line);
        // Where a rule for the last is known, it is an answer.
        if line.ends_with("auto") && ran.exit < 2 {
            continue;
        }
        assert_eq!((ran.exit, ran.stdout.as_str()), (3, ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{line}: {}", ran.stderr);
        let json = run_line(&format!("{line} --format json"));
        assert_eq!((json.exit, &json.json()["exit_code"]), (3, &3.into()), "{line}");
    }
    golden("cannot_tell_live", "plan Qwen/Qwen3-8B --gpus live");
    golden("cannot_tell_no_cards_named", "plan Qwen/Qwen3-8B");
    golden("cannot_tell_hub", "plan somebody/unheard-of --gpus 1xA10");
}

#[test]
fn colour_is_only_for_those_who_ask() {
    let bench = super::Bench::without_driver();
    let output = |choice: &str| {
        let mut command = bench.shardfit();
        let output = command.args(["plan", "Qwen/Qwen3-8B", "--gpus", "1xL40S", "--color", choice]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(output("always").contains("\u{1b}[") && !output("never").contains('\u{1b}'));
    let plain = run_with(&["plan", "Qwen/Qwen3-8B", "--gpus", "1xL40S"], &[("NO_COLOR", "")]);
    assert_eq!(plain.stdout, output("never"));
}
