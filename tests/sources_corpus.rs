//! The stored inputs of the fuzz targets, without a fuzzer: nothing panics, and what is accepted keeps its promises.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read files, and stop at the first surprise")]

use std::fs;
use std::path::{Component, Path};

use shardfit::engines::command_line::read_text;
use shardfit::model::Model;
use shardfit::oom::{Facts, Patterns, Scanner, diagnose};
use shardfit::sources::safetensors::read_header_from_bytes;
use shardfit::sources::{WeightIndex, gguf, logs};

/// Name and bytes of each input of a target.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn safetensors_headers() {
    let mut accepted = Vec::new();
    for (name, file) in inputs("safetensors_header") {
        let cuts_accepted = (0..file.len()).filter(|&end| read_header_from_bytes(&file[..end]).is_ok()).count();
        if let Ok(header) = read_header_from_bytes(&file) {
            let data: u64 = header.tensors.iter().map(|tensor| tensor.bytes.0).sum();
            let start = header.tensors.first().map_or(file.len() as u64, |tensor| tensor.offset);
            assert_eq!(start + data, file.len() as u64, "{name}");
            assert_eq!(cuts_accepted, 0, "{name} is whole, so no beginning of it is");
            // Unknown fields are skipped here without recursion; the format's own reader counts their depth.
            assert!(name == "deep" || safetensors::SafeTensors::deserialize(&file).is_ok(), "{name}");
            accepted.push(name);
        }
    }
    let expected = ["deep", "empty-tensors", "escaped-name", "no-tensors", "null-metadata", "sub-byte", "two-tensors"];
    assert_eq!(accepted, expected);
}

#[test]
fn weight_indexes() {
    let mut accepted = Vec::new();
    for (name, json) in inputs("weight_index") {
        for end in 0..json.len() {
            assert!(WeightIndex::parse(&json[..end]).is_err(), "{name} cut at {end}");
        }
        if let Ok(index) = WeightIndex::parse(&json) {
            let stays = |file: &String| Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
            assert!(index.files.iter().all(stays), "{name}");
            accepted.push(name);
        }
    }
    assert_eq!(accepted, ["subfolder", "two-files"]);
}

/// The bytes cut at each place, and with each byte turned over: what a damaged download looks like.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cuts = (0..bytes.len()).map(|end| bytes[..end].to_vec());
    let turned = (0..bytes.len()).map(|at| {
        let mut copy = bytes.to_vec();
        copy[at] ^= 0xff;
        copy
    });
    cuts.chain(turned)
}

#[test]
fn gguf_headers() {
    let read = |file: &[u8]| gguf::read_header(&mut &file[..], file.len() as u64);
    let mut accepted = Vec::new();
    for (name, file) in inputs("gguf_header") {
        for copy in damaged(&file) {
            // Data may be cut off only where no tensor claims it.
            if let Ok(header) = read(&copy) {
                let end = header.tensors.iter().map(|tensor| tensor.offset + tensor.bytes.0).max().unwrap_or(0);
                assert!(end <= copy.len() as u64, "{name}");
            }
        }
        if read(&file).is_ok() {
            accepted.push(name);
        }
    }
    let expected = [
        "aligned-to-64",
        "alignment-of-three",
        "all-value-kinds",
        "bool-of-two",
        "no-tensors",
        "two-tensors",
        "version-2",
    ];
    assert_eq!(accepted, expected);
}

#[test]
fn configs() {
    let mut accepted = 0;
    for (name, json) in inputs("config") {
        // Cuts of JSON are not JSON; what is left to try is every byte turned over, and that is what the parser is for.
        let Ok(config) = serde_json::from_slice(&json) else { continue };
        if let Ok(model) = Model::from_config(&config, None) {
            let elements: u64 =
                model.tensors().iter().map(|tensor| tensor.elements() * tensor.names().len() as u64).sum();
            assert!(
                elements >= model.parameters() / 8,
                "{name}: packed tensors hold at most eight parameters an element"
            );
            accepted += 1;
        }
    }
    assert!(accepted >= 9, "only {accepted} configs were read");
}

#[test]
fn command_lines() {
    let mut engines = Vec::new();
    for (_, text) in inputs("command_line") {
        let Ok(text) = String::from_utf8(text) else { continue };
        if let Ok(invocation) = read_text(&text) {
            let again = invocation.template.with_changes(&[("tensor-parallel-size", "4")]);
            assert!(again.contains('4'), "{text}");
            engines.push(invocation.engine);
        }
    }
    assert!(engines.len() >= 4, "{engines:?}");
}

/// What a log yields when it is scanned and diagnosed.
fn diagnosed(patterns: &Patterns, bytes: &[u8]) -> usize {
    let mut scanner = Scanner::new(patterns);
    let _ = logs::scan(bytes, "input".to_owned(), &mut scanner);
    diagnose(&scanner.finish(), &Facts::default()).findings.len()
}

#[test]
fn logs_whatever_they_hold() {
    let patterns = Patterns::built_in().unwrap();
    let mut found = Vec::new();
    for (name, bytes) in inputs("log_text") {
        if diagnosed(&patterns, &bytes) > 0 {
            found.push(name);
        }
        // Some places of each: every damaged copy is scanned as a whole.
        for damaged in damaged(&bytes).step_by(1 + bytes.len() / 12) {
            diagnosed(&patterns, &damaged);
        }
    }
    let expected = [
        "absurd-degree",
        "absurd-numbers",
        "allocation",
        "cut-traceback",
        "docker-json",
        "escapes",
        "free-above-total",
        "negative",
        "offload",
        "wrapped",
    ];
    assert_eq!(found, expected);
}

#[test]
fn packed_logs_whatever_they_hold() {
    let patterns = Patterns::built_in().unwrap();
    let mut found = Vec::new();
    for (name, bytes) in inputs("log_packed") {
        if diagnosed(&patterns, &bytes) > 0 {
            found.push(name);
        }
        for damaged in damaged(&bytes).step_by(1 + bytes.len() / 40) {
            diagnosed(&patterns, &damaged);
        }
    }
    assert_eq!(found, ["gzip", "gzip-twice"]);
}
