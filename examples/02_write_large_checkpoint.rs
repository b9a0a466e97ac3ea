//! Writes a checkpoint of any size, for measuring how fast `shardfit load` is. The defaults give about 2 GB of bfloat16 in four files:
//!
//! ```sh
//! cargo run --release --example 02_write_large_checkpoint -- --out /tmp/large
//! ```
#![expect(clippy::print_stderr, reason = "an example talks to the person who runs it")]

mod synthetic;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use synthetic::{AWQ_GROUP, Format, Model};

/// Writes a synthetic Qwen2 checkpoint.
#[derive(Parser)]
struct Arguments {
    /// Folder to write into
    #[arg(long)]
    out: PathBuf,
    /// Hidden size
    #[arg(long, default_value_t = 2048)]
    hidden: usize,
    /// Number of layers
    #[arg(long, default_value_t = 20)]
    layers: usize,
    /// Attention heads
    #[arg(long, default_value_t = 16)]
    heads: usize,
    /// Key-value heads
    #[arg(long, default_value_t = 4)]
    kv_heads: usize,
    /// Width of the MLP
    #[arg(long, default_value_t = 5632)]
    intermediate: usize,
    /// Tokens in the vocabulary
    #[arg(long, default_value_t = 32_000)]
    vocabulary: usize,
    /// Number of weight files
    #[arg(long, default_value_t = 4)]
    shards: usize,
    /// Quantise by AWQ
    #[arg(long)]
    awq: bool,
}

fn main() -> Result<()> {
    let Arguments { out, hidden, layers, heads, kv_heads, intermediate, vocabulary, shards, awq } = Arguments::parse();
    ensure!(shards > 0 && heads > 0 && kv_heads > 0, "`--shards`, `--heads` and `--kv-heads` must be at least 1");
    ensure!(hidden.is_multiple_of(heads), "`--hidden` {hidden} is not a multiple of `--heads` {heads}");
    ensure!(heads.is_multiple_of(kv_heads), "`--heads` {heads} is not a multiple of `--kv-heads` {kv_heads}");
    ensure!(
        !awq || (hidden.is_multiple_of(AWQ_GROUP) && intermediate.is_multiple_of(AWQ_GROUP)),
        "with `--awq`, `--hidden` and `--intermediate` must be multiples of {AWQ_GROUP}"
    );
    let model = Model { hidden, layers, heads, kv_heads, intermediate, vocabulary };
    let bytes = synthetic::write(&model, if awq { Format::Awq } else { Format::Bf16 }, shards, &out)?;
    eprintln!("wrote {}: {bytes} bytes of weights in {shards} file(s)", out.display());
    Ok(())
}
