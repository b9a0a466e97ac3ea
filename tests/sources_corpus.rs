//! The stored inputs of the fuzz targets, without a fuzzer: nothing panics, and what is accepted keeps its promises.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read files, and stop at the first surprise")]

use std::fs;
use std::path::{Component, Path};

use shardfit::sources::WeightIndex;
use shardfit::sources::safetensors::read_header_from_bytes;

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
