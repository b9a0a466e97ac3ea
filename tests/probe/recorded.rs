//! Recordings, with no driver needed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{contract, json, probe};

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3);
    files
}

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings").join(name).with_extension("json")
}

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden/probe");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r#""version": "\d+\.\d+\.\d+""#, r#""version": "[VERSION]""#);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn recordings_are_shown_as_they_were() {
    for file in recordings() {
        let name = file.file_stem().unwrap().to_str().unwrap();
        for format in ["text", "json", "markdown"] {
            let shown = contract(probe().args(["--format", format, "--recording"]).arg(&file));
            golden(&format!("{name}.{format}"), &shown);
        }
    }
}

/// Each `null` has a sibling that says why, and each field that holds bytes says so in its name.
#[test]
fn what_is_unknown_says_why() {
    fn walk(value: &Value, place: &str) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    let place = format!("{place}.{name}");
                    if field.is_null() {
                        assert!(fields.get(&format!("{name}_reason")).is_some_and(Value::is_string), "{place}");
                    } else {
                        assert!(!fields.contains_key(&format!("{name}_reason")), "{place}");
                    }
                    walk(field, &place);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, place)),
            _ => {}
        }
    }
    for file in recordings() {
        let report = json(probe().arg("--recording").arg(&file));
        assert_eq!(report["schema"], "shardfit/probe/1");
        walk(&report, &file.display().to_string());
    }
}

/// The published schema names exactly the fields that are printed.
#[test]
fn the_schema_knows_every_field() {
    fn walk(value: &Value, schema: &Value, root: &Value, place: &str) {
        let schema = resolve(schema, root);
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    let property = &schema["properties"][name];
                    assert!(!property.is_null(), "{place}.{name} is not in the schema");
                    walk(field, property, root, &format!("{place}.{name}"));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, &schema["items"], root, place)),
            _ => {}
        }
    }
    /// Follows a reference, through the `anyOf` of an optional one.
    fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
        let schema = schema["anyOf"].get(0).unwrap_or(schema);
        match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
            Some(name) => &root["$defs"][name],
            None => schema,
        }
    }
    let schema = serde_json::to_value(shardfit::report::probe::schema()).unwrap();
    for file in recordings() {
        walk(&json(probe().arg("--recording").arg(&file)), &schema, &schema, "report");
    }
}

#[test]
fn the_environment_says_what_a_process_sees() {
    let shown = |mask: &str, order: &str| {
        let mut command = probe();
        command.env("CUDA_VISIBLE_DEVICES", mask).env("CUDA_DEVICE_ORDER", order);
        let report = json(command.arg("--recording").arg(recording("4xA10-orphan-unseen")));
        let cards: Vec<u64> =
            report["cuda"]["devices"].as_array().unwrap().iter().map(|d| d["card"].as_u64().unwrap()).collect();
        (cards, report["cuda"]["notes"].to_string())
    };
    assert_eq!(shown("2,0", "PCI_BUS_ID"), (vec![2, 0], "[]".to_owned()));
    assert_eq!(shown("GPU-00000014,GPU-00000012", "PCI_BUS_ID").0, [3, 1]);
    let (cards, notes) = shown("1,7,0", "PCI_BUS_ID");
    assert_eq!(cards, [1]);
    assert!(notes.contains("`7` names no card here"), "{notes}");
    let (cards, notes) = shown("1,1", "PCI_BUS_ID");
    assert_eq!(cards, [] as [u64; 0]);
    assert!(notes.contains("stands twice"), "{notes}");
    assert!(shown("", "PCI_BUS_ID").1.contains("hides every card"));
    assert!(shown("0", "SLOWEST_FIRST").1.contains("`SLOWEST_FIRST` is no CUDA_DEVICE_ORDER"));

    let mut command = probe();
    command.env("CUDA_VISIBLE_DEVICES", "3,9").env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    golden("masked.text", &contract(command.arg("--recording").arg(recording("4xA10-orphan-unseen"))));
}

#[test]
fn bad_recordings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(recording("2xL4-one-lost")).unwrap();
    let cases: &[(&str, String, &str)] = &[
        ("empty", String::new(), "is not a recording: EOF"),
        ("prose", "not json".into(), "is not a recording: expected"),
        ("other", r#"{"schema":"x","snapshot":1}"#.into(), "is not a recording: invalid type"),
        ("newer", good.replace("recording/1", "recording/9"), "its schema is `shardfit/recording/9`"),
        ("cut", good[..good.len() / 2].to_owned(), "is not a recording: EOF"),
        ("twice", good.replace("\"index\": 1", "\"index\": 0"), "card 0 stands twice"),
        ("negative", good.replace("\"index\": 1", "\"index\": -1"), "is not a recording: invalid value"),
        (
            "link",
            good.replace(
                "\"peers\": []",
                r#""peers": [{"a":0,"b":5,"nvlinks":"denied","peer_access":"denied","common_ancestor":"denied"}]"#,
            ),
            "joins cards 0 and 5",
        ),
        ("bare", r#"{"schema":"shardfit/recording/1","snapshot":{"driver_version":"lost","cuda_version":"lost","cards":[],"peers":[]}}"#.into(), "it holds no card"),
    ];
    for (name, text, words) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let shown = contract(probe().arg("--recording").arg(&path));
        assert!(shown.starts_with("exit code: 2\n"), "{name}: {shown}");
        assert!(shown.contains(words) && shown.contains(name), "{name}: {shown}");
    }
    let missing = contract(probe().arg("--recording").arg(folder.path().join("nowhere")));
    assert!(missing.starts_with("exit code: 2\n") && missing.contains("nowhere` cannot be read"), "{missing}");
    let both = contract(probe().args(["--recording", "a", "--save", "b"]));
    assert!(both.starts_with("exit code: 2\n") && both.contains("cannot be used with"), "{both}");
}

/// Sizes at the end of the range, and titles that try to steer a terminal, are shown and do no harm.
#[test]
fn hostile_recordings_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.json");
    let good = std::fs::read_to_string(recording("4xA10-orphan-unseen")).unwrap();
    let mut hostile: Value = serde_json::from_str(&good).unwrap();
    let card = &mut hostile["snapshot"]["cards"][0];
    card["memory"]["known"] = serde_json::json!({
        "total": u64::MAX, "reserved": {"known": u64::MAX}, "used": u64::MAX, "free": u64::MAX
    });
    card["processes"]["known"][0]["used"]["known"] = u64::MAX.into();
    card["processes"]["known"][0]["name"] = "a\u{1b}[2J\r\n|<b>".into();
    card["name"]["known"] = "x|y\u{7}".into();
    card["temperature_celsius"]["known"] = u32::MAX.into();
    std::fs::write(&path, hostile.to_string()).unwrap();
    for format in ["text", "json", "markdown"] {
        let output = probe().args(["--format", format, "--recording"]).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains(['\u{1b}', '\r', '\u{7}']), "{format}: {text}");
        if format == "markdown" {
            assert!(text.contains("x\\|y"), "{text}");
        }
    }
}
