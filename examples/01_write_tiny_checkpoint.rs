//! Writes the two small checkpoints that the other examples, the README and the tests use, into `examples/models` or the folder given:
//!
//! ```sh
//! cargo run --example 01_write_tiny_checkpoint
//! ```
//!
//! `tiny-qwen2` has bfloat16 weights in two files with an index, `tiny-qwen2-awq` the same model quantised by AWQ in one file.
#![expect(clippy::print_stderr, reason = "an example talks to the person who runs it")]

mod synthetic;

use std::path::{Path, PathBuf};

use anyhow::Result;
use shardfit::sources::open_path;
use synthetic::{Format, TINY};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("examples/models"), PathBuf::from);
    write(Format::Bf16, 2, &folder.join("tiny-qwen2"))?;
    write(Format::Awq, 1, &folder.join("tiny-qwen2-awq"))
}

fn write(format: Format, files: usize, folder: &Path) -> Result<()> {
    synthetic::write(&TINY, format, files, folder)?;
    // Read back what was written, as any command that takes a model does.
    let source = open_path(folder)?;
    if let Some(checkpoint) = &source.checkpoint {
        eprintln!(
            "wrote {}: {} tensors, {} in {} file(s)",
            folder.display(),
            checkpoint.tensors().len(),
            checkpoint.total_bytes(),
            checkpoint.files().len(),
        );
    }
    Ok(())
}
