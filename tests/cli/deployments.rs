//! The deployments under `examples/deployments/`: each says what the program must find, and which first repair it must offer.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::{root, run_line};

/// One `name: value` a line; lines that start with `#` are for the reader.
fn fields(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("`{line}` is no field"))).collect()
}

fn flags(advice: &Value) -> String {
    let flags = advice["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap());
    flags.collect::<Vec<_>>().join(" ")
}

fn check(name: &str, expected: &BTreeMap<&str, &str>) {
    let field = |field: &str| *expected.get(field).unwrap_or_else(|| panic!("{name} has no `{field}`"));
    let command = field("command").strip_prefix("shardfit ").unwrap();
    // Flags of the program stand before the pasted command.
    let json = command.replacen("plan ", "plan --format json ", 1);
    let report = run_line(&json).json();
    let verdict = &report["verdict"];
    assert_eq!(verdict["state"], field("verdict"), "{name}");
    assert_eq!(verdict["cause"], field("cause"), "{name}");
    let limiting = verdict["limiting_rank"].as_u64().unwrap() as usize;
    let rank = &report["ranks"][limiting];
    assert_eq!(format!("{} ({})", rank["card"], rank["gpu"].as_str().unwrap()), field("limiting card"), "{name}");
    let first = &report["advice"][0];
    let said = match flags(first) {
        // A line to take out of a script is no flag.
        none if none.is_empty() => first["change"].as_str().unwrap().to_owned(),
        flags => flags,
    };
    assert_eq!((said.as_str(), &first["confirmed"]), (field("first repair"), &true.into()), "{name}");

    let offered: Vec<String> = report["advice"].as_array().unwrap().iter().map(flags).collect();
    if let Some(wanted) = expected.get("also repairs") {
        for repair in wanted.split(" | ") {
            assert!(offered.iter().any(|offer| offer == repair), "{name}: `{repair}` is not among {offered:?}");
        }
    }
    let rejected = report["rejected_advice"].as_array().unwrap();
    for (repair, why) in ["rejected", "refused"].iter().filter_map(|f| expected.get(f)?.split_once(" = ")) {
        let found = rejected.iter().any(|r| r["change"] == repair && r["why"].as_str().unwrap().contains(why));
        assert!(found, "{name}: `{repair}` is not rejected because of `{why}`: {rejected:#?}");
    }

    // The first repair, followed: as it is where it is a flag, else by the command that stands beside it.
    let followed = match expected.get("followed") {
        Some(command) => command.replacen("shardfit plan ", "plan --format json ", 1),
        None => format!("{json} {}", flags(first)),
    };
    let repaired = run_line(&followed).json();
    assert_ne!(repaired["verdict"]["state"], "does_not_fit", "{name}: {}", repaired["verdict"]["message"]);
}

#[test]
fn every_deployment_is_found_as_it_says() {
    let folder = root().join("examples/deployments");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "txt"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        check(&file.file_name().unwrap().to_string_lossy(), &fields(&text));
    }
}

/// Five ranks cannot share 64 heads: the engine refuses before it loads anything, whatever the cards.
#[test]
fn five_ranks_are_refused_in_the_words_of_the_engine() {
    for cards in ["5xA100-80GB", "5x48GiB", "5xA100-40GB"] {
        let ran =
            run_line(&format!("plan --gpus {cards} -- vllm serve Qwen/Qwen1.5-72B-Chat --tensor-parallel-size 5"));
        assert_eq!(ran.exit, 2, "{cards}");
        let words = "Total number of attention heads (64) must be divisible by tensor parallel size (5).";
        assert!(ran.stderr.contains(words), "{cards}: {}", ran.stderr);
        assert!(ran.stderr.contains("can be 1, 2, 4, 8, 16"), "{cards}: {}", ran.stderr);
    }
}
