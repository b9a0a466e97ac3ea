//! The other forms of a plan: JSON by its schema, Markdown, the arithmetic.

use serde_json::Value;

use super::schema::faults;
use super::{golden, run_line};

const LINES: &[&str] = &[
    "plan Qwen/Qwen2.5-7B-Instruct --gpus 1xA10",
    "plan Qwen/Qwen2.5-72B-Instruct --gpus 4xA100-80GB",
    "plan Qwen/Qwen2.5-72B-Instruct-AWQ --gpus 2xL40S,1xA10 --tp 2",
    "plan meta-llama/Llama-3.1-405B-Instruct --gpus 2xT4",
    "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xT4 --engine transformers --device-map '{\"\":1}'",
    "plan google/gemma-3-27b-it --gpus 1xH100",
    "plan Qwen/Qwen3-30B-A3B --gpus 1xH100",
    "plan examples/models/tiny-qwen2 --gpus 1xGB10",
];

#[test]
fn every_plan_obeys_the_published_schema() {
    let schema = run_line("schema plan").json();
    for line in LINES {
        let ran = run_line(&format!("{line} --format json"));
        let report = ran.json();
        // A model whose family is not read yet is a refusal, which has its own form.
        if report["schema"] == "shardfit/error/1" {
            assert!(ran.exit > 1, "{line}");
            continue;
        }
        assert_eq!(report["schema"], "shardfit/plan/1", "{line}");
        assert_eq!(faults(&schema, &report), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn every_load_obeys_the_published_schema() {
    let schema = run_line("schema load").json();
    for line in [
        "load examples/models/tiny-qwen2 --tp 2 --device host",
        "load examples/models/tiny-qwen2 --tp 2 --device host --gpus 2x1MiB",
    ] {
        let report = run_line(&format!("{line} --format json")).json();
        assert_eq!(faults(&schema, &report), Vec::<String>::new(), "{line}");
    }
}

/// A `null` says why, where the schema has a place for it; a figure and a reason for its absence exclude each other.
#[test]
fn figures_and_reasons_exclude_each_other() {
    fn walk(value: &Value, place: &str) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if let Some(reason) = fields.get(&format!("{name}_reason")) {
                        assert_eq!(field.is_null(), reason.is_string(), "{place}.{name}");
                    }
                    walk(field, &format!("{place}.{name}"));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, place)),
            _ => {}
        }
    }
    for line in LINES {
        walk(&run_line(&format!("{line} --format json")).json(), line);
    }
}

#[test]
fn text_is_what_the_report_says() {
    for line in LINES {
        let report = run_line(&format!("{line} --format json")).json();
        let Some(message) = report["verdict"]["message"].as_str() else { continue };
        for format in ["text", "markdown"] {
            let ran = run_line(&format!("{line} --format {format}"));
            let first = ran.stdout.lines().next().unwrap().trim_matches('*');
            assert_eq!(first, message, "{line}");
        }
    }
}

#[test]
fn the_same_question_has_the_same_answer() {
    for line in LINES {
        let line = format!("{line} --format json");
        assert_eq!(run_line(&line).stdout, run_line(&line).stdout, "{line}");
    }
}

#[test]
fn other_forms_are_as_they_were() {
    let plan = "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xA10 --tp 2 --engine vllm@0.11.2";
    golden("plan.json", &format!("{plan} --format json"));
    golden("plan.explain", &format!("{plan} --explain"));
    golden("plan.markdown", &format!("{plan} --format markdown"));
    golden(
        "plan_with_repairs.markdown",
        "plan --gpus 5xA100-80GB --engine vllm@0.11.2 --format markdown -- vllm serve Qwen/Qwen1.5-72B-Chat",
    );
    golden(
        "load_host",
        "load examples/models/tiny-qwen2 --tp 2 --gpus 2xA10 --device host --readers 2 --io buffered --engine vllm@0.11.2 --verify none",
    );
    golden(
        "load_host_full",
        "load examples/models/tiny-qwen2-awq --gpus 1xA10 --device host --readers 2 --io buffered --engine vllm@0.11.2 --verify full",
    );
    golden("help", "--help");
}

/// Each line's formula, worked out with its own numbers, stands beside its figure.
#[test]
fn explain_names_every_line() {
    let plan = "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xA10 --tp 2";
    let report = run_line(&format!("{plan} --format json")).json();
    let text = run_line(&format!("{plan} --explain")).stdout;
    for rank in report["ranks"].as_array().unwrap() {
        for line in rank["lines"].as_array().unwrap() {
            let (what, formula) = (line["what"].as_str().unwrap(), line["formula"].as_str().unwrap());
            assert!(!formula.is_empty(), "{what}");
            let shown = format!("{what} = {} B: {formula}", line["expected"]);
            assert!(text.contains(&shown), "`{shown}` is not in\n{text}");
        }
    }
}
