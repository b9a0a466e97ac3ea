//! The checkpoints under `examples/models` are what the example writes, and read as what they are.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read and write files, and stop at the first surprise"
)]

#[path = "../examples/synthetic/mod.rs"]
mod synthetic;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use shardfit::sources::open_path;
use shardfit::units::{Bytes, DType};
use synthetic::{Format, TINY};

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models").join(name)
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn the_stored_checkpoints_are_what_the_example_writes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, format, files) in [("tiny-qwen2", Format::Bf16, 2), ("tiny-qwen2-awq", Format::Awq, 1)] {
        let written = folder.path().join(name);
        synthetic::write(&TINY, format, files, &written).unwrap();
        let (fresh, kept) = (contents(&written), contents(&stored(name)));
        assert_eq!(fresh.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>(), "{name}");
        for (file, bytes) in &fresh {
            assert!(
                kept[file] == *bytes,
                "`{name}/{file}` is stale: run `cargo run --example 01_write_tiny_checkpoint`"
            );
        }
    }
}

#[test]
fn tiny_qwen2_reads_as_two_files_of_bfloat16() {
    let source = open_path(&stored("tiny-qwen2")).unwrap();
    assert_eq!(source.config["model_type"], "qwen2");
    let checkpoint = source.checkpoint.unwrap();
    assert!(checkpoint.is_local());
    assert_eq!(checkpoint.files().len(), 2);
    // 3 tensors outside the layers, 12 in each: 2 norms, 7 weights, 3 biases.
    assert_eq!(checkpoint.tensors().len(), 3 + 2 * 12);
    let layer = 2 * 256 + 2 * 256 * 256 + 2 * 256 * 64 + (256 + 2 * 64) + 3 * 256 * 512;
    assert_eq!(checkpoint.total_bytes(), Bytes(2 * (2 * 500 * 256 + 256 + 2 * layer)));
    let key = checkpoint.get("model.layers.1.self_attn.k_proj.weight").unwrap();
    assert_eq!((key.dtype, key.shape.as_slice()), (DType::BF16, &[64, 256][..]));
    let halves: Vec<u64> =
        (0..2).map(|file| checkpoint.tensors().iter().filter(|t| t.file == file).map(|t| t.bytes.0).sum()).collect();
    assert!(halves.iter().all(|&half| half > checkpoint.total_bytes().0 / 3), "{halves:?}");
}

#[test]
fn its_awq_twin_packs_eight_outputs_into_an_integer() {
    let source = open_path(&stored("tiny-qwen2-awq")).unwrap();
    assert_eq!(source.config["quantization_config"]["quant_method"], "awq");
    let checkpoint = source.checkpoint.unwrap();
    let of = |name: &str| {
        let tensor = checkpoint.get(&format!("model.layers.0.mlp.down_proj.{name}")).unwrap();
        (tensor.dtype, tensor.shape.clone())
    };
    assert_eq!(of("qweight"), (DType::I32, vec![512, 32]));
    assert_eq!(of("qzeros"), (DType::I32, vec![4, 32]));
    assert_eq!(of("scales"), (DType::F16, vec![4, 256]));
    assert!(checkpoint.get("model.layers.0.mlp.down_proj.weight").is_none());
}

#[test]
fn offsets_point_at_the_data() {
    let source = open_path(&stored("tiny-qwen2")).unwrap();
    let checkpoint = source.checkpoint.unwrap();
    for file in checkpoint.files() {
        let bytes = fs::read(file.location.path().unwrap()).unwrap();
        assert_eq!(file.size, Bytes(bytes.len() as u64));
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for (name, view) in theirs.tensors() {
            let tensor = checkpoint.get(&name).unwrap();
            let (begin, end) = (tensor.offset as usize, (tensor.offset + tensor.bytes.0) as usize);
            assert!(bytes[begin..end] == *view.data(), "{name}");
        }
    }
}
