//! Folders in all the layouts that people have, without network.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read and write files, and stop at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};

use shardfit::model::FileLocation;
use shardfit::sources::{ModelSource, Origin, SourceError, open_path};
use tempfile::TempDir;

/// A safetensors file with one tensor of four bytes.
fn weights(tensor: &str) -> Vec<u8> {
    let json = format!(r#"{{"{tensor}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}}"#);
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[1, 2, 3, 4]].concat()
}

fn index(pairs: &[(&str, &str)]) -> String {
    let map: serde_json::Map<_, _> = pairs.iter().map(|(t, f)| ((*t).to_owned(), (*f).into())).collect();
    serde_json::json!({ "weight_map": map }).to_string()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_into(folder.path(), files);
    folder
}

fn write_into(folder: &Path, files: &[(&str, &[u8])]) {
    fs::write(folder.join("config.json"), r#"{"model_type": "qwen2"}"#).unwrap();
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn files_of(source: &ModelSource) -> Vec<&str> {
    source.checkpoint.iter().flat_map(|c| c.files()).map(|f| f.name.as_str()).collect()
}

#[test]
fn picks_the_files_that_engines_pick() {
    let (a, b) = (weights("a"), weights("b"));
    let both = index(&[("a", "1.safetensors"), ("b", "sub/2.safetensors")]);
    type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a [&'a str]);
    let table: &[Case] = &[
        (&[("model.safetensors", &a)], &["model.safetensors"]),
        (&[("model.safetensors", &a), ("adapter_model.safetensors", &a)], &["model.safetensors"]),
        (&[("x.safetensors", &a), ("y.safetensors", &b)], &["x.safetensors", "y.safetensors"]),
        (&[("x.safetensors", &a), ("consolidated.safetensors", &a)], &["x.safetensors"]),
        (&[("consolidated.safetensors", &a)], &["consolidated.safetensors"]),
        (
            &[
                ("1.safetensors", &a),
                ("sub/2.safetensors", &b),
                ("consolidated.safetensors", &a),
                ("model.safetensors.index.json", both.as_bytes()),
                ("other.safetensors.index.json", b"{}"),
            ],
            &["1.safetensors", "sub/2.safetensors"],
        ),
        (
            &[("1.safetensors", &a), ("sub/2.safetensors", &b), ("my.safetensors.index.json", both.as_bytes())],
            &["1.safetensors", "sub/2.safetensors"],
        ),
    ];
    for (files, expected) in table {
        let folder = folder(files);
        assert_eq!(files_of(&open_path(folder.path()).unwrap()), *expected);
    }
}

#[test]
fn a_weights_file_an_index_and_a_config_can_be_named() {
    let map = index(&[("a", "a.safetensors"), ("b", "b.safetensors")]);
    let folder = folder(&[
        ("a.safetensors", &weights("a")),
        ("b.safetensors", &weights("b")),
        ("model.safetensors.index.json", map.as_bytes()),
        ("generation_config.json", br#"{"max_new_tokens": 9}"#),
        ("hf_quant_config.json", br#"{"quantization": {"quant_algo": "FP8"}}"#),
    ]);
    let open = |name: &str| open_path(&folder.path().join(name)).unwrap();

    let one = open("b.safetensors");
    assert_eq!(files_of(&one), ["b.safetensors"]);
    assert_eq!(one.origin, Origin::WeightsFile(folder.path().join("b.safetensors")));
    assert_eq!(files_of(&open("model.safetensors.index.json")), ["a.safetensors", "b.safetensors"]);

    let config = open("config.json");
    assert_eq!((config.checkpoint, config.checkpoint_reason.as_deref()), (None, Some("a config alone was named")));
    assert_eq!(config.generation_config.unwrap()["max_new_tokens"], 9);
    assert_eq!(config.quant_config.unwrap()["quantization"]["quant_algo"], "FP8");
}

#[test]
fn companions_are_named_as_the_config_is() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("config.json", r#"{"model_type": "llama"}"#);
    write("hf_quant_config.json", r#"{"quantization": {"quant_algo": "FP8"}}"#);
    write("other.json", r#"{"model_type": "llama"}"#);
    write("third.json", r#"{"model_type": "llama"}"#);
    write("third.hf_quant_config.json", r#"{"quantization": {"quant_algo": "NVFP4"}}"#);
    let method = |name: &str| {
        let source = open_path(&dir.path().join(name)).unwrap();
        source.quant_config.map(|config| config["quantization"]["quant_algo"].as_str().unwrap().to_owned())
    };
    assert_eq!(method("config.json").as_deref(), Some("FP8"));
    assert_eq!(method("other.json"), None);
    assert_eq!(method("third.json").as_deref(), Some("NVFP4"));
}

#[test]
fn a_config_with_other_weights_says_why_there_is_no_checkpoint() {
    let folder = folder(&[("pytorch_model.bin", b"PK")]);
    let source = open_path(folder.path()).unwrap();
    assert_eq!(source.checkpoint, None);
    assert_eq!(source.checkpoint_reason.unwrap(), "the folder holds no `.safetensors` files but `.bin` files");
}

#[test]
fn a_tensor_that_the_index_forgot_is_counted_and_noted() {
    let map = index(&[("b", "b.safetensors")]);
    let json =
        r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    let bytes = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0, 0]].concat();
    let folder = folder(&[("b.safetensors", &bytes), ("model.safetensors.index.json", map.as_bytes())]);
    let source = open_path(folder.path()).unwrap();
    assert!(source.checkpoint.unwrap().get("x").is_some());
    assert_eq!(source.notes.len(), 1);
    assert!(source.notes[0].contains("`b.safetensors` holds the tensor `x`"), "{:?}", source.notes);
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A snapshot as huggingface_hub lays it out: files are links into `blobs`.
    fn snapshot(cache: &Path) -> PathBuf {
        let model = cache.join("models--org--name");
        let folder = model.join("snapshots").join("0123456789012345678901234567890123456789");
        fs::create_dir_all(model.join("blobs")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(model.join("blobs/c0"), r#"{"model_type": "qwen2"}"#).unwrap();
        fs::write(model.join("blobs/w0"), weights("a")).unwrap();
        symlink("../../blobs/c0", folder.join("config.json")).unwrap();
        symlink("../../blobs/w0", folder.join("model.safetensors")).unwrap();
        folder
    }

    #[test]
    fn a_snapshot_may_link_into_its_own_cache_folder() {
        let cache = tempfile::tempdir().unwrap();
        let folder = snapshot(cache.path());
        let source = open_path(&folder).unwrap();
        let checkpoint = source.checkpoint.unwrap();
        // The name in the folder is kept: messages name files as the user knows them.
        assert_eq!(checkpoint.files()[0].location, FileLocation::Local(folder.join("model.safetensors")));
    }

    #[test]
    fn a_snapshot_may_not_link_into_another_model() {
        let cache = tempfile::tempdir().unwrap();
        let folder = snapshot(cache.path());
        fs::create_dir_all(cache.path().join("models--org--other/blobs")).unwrap();
        fs::write(cache.path().join("models--org--other/blobs/w"), weights("a")).unwrap();
        fs::remove_file(folder.join("model.safetensors")).unwrap();
        symlink("../../../models--org--other/blobs/w", folder.join("model.safetensors")).unwrap();
        assert!(matches!(open_path(&folder), Err(SourceError::LinkOutside { .. })));
    }

    #[test]
    fn links_stay_inside_an_ordinary_folder() {
        let elsewhere = folder(&[("w.safetensors", &weights("a"))]);
        let inside = folder(&[("real/w.safetensors", &weights("a"))]);
        symlink("real/w.safetensors", inside.path().join("model.safetensors")).unwrap();
        assert_eq!(files_of(&open_path(inside.path()).unwrap()), ["model.safetensors"]);

        fs::remove_file(inside.path().join("model.safetensors")).unwrap();
        symlink(elsewhere.path().join("w.safetensors"), inside.path().join("model.safetensors")).unwrap();
        let error = open_path(inside.path()).unwrap_err();
        assert!(error.to_string().contains("`model.safetensors` is a link to"), "{error}");
    }

    #[test]
    fn a_link_to_the_folder_itself_is_no_escape() {
        let real = folder(&[("model.safetensors", &weights("a"))]);
        let other = tempfile::tempdir().unwrap();
        symlink(real.path(), other.path().join("model")).unwrap();
        assert_eq!(files_of(&open_path(&other.path().join("model")).unwrap()), ["model.safetensors"]);
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_refused_without_waiting() {
        let folder = folder(&[]);
        let pipe = folder.path().join("model.safetensors");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(open_path(folder.path()), Err(SourceError::NotAFile(path)) if path == pipe));
    }
}
