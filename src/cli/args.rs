//! What can be typed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{Exit, Format, Problem};
use crate::engines::{ContextLength, Settings};
use crate::units::{Bytes, Fraction};

/// Tells whether every shard of a large language model fits its GPU, proves it on the real cards, and explains it when it does not.
#[derive(Debug, Parser)]
#[command(name = "shardfit", version, after_help = Exit::HELP, propagate_version = true)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// How results are written
    #[arg(long, value_enum, default_value_t, global = true)]
    pub format: Format,
    /// When to colour
    #[arg(long, value_enum, default_value_t, global = true)]
    pub color: Color,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On terminals, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Makes the choice hold for all streams of the process.
    pub fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Whether every shard fits its card, and if not, why and what fixes it
    Plan(Box<super::commands::plan::PlanArgs>),
    /// Really load every shard onto its card, verify it, and compare with the plan
    Load(Box<super::commands::load::LoadArgs>),
    /// One snapshot of the cards: memory, who holds it, links, what an engine would see
    Probe(super::commands::probe::ProbeArgs),
    /// The cards live: memory by holder, utilisation, history, processes
    Top(Box<super::commands::top::TopArgs>),
    /// Measure this machine's cards, memory and storage, and keep the figures for later plans
    Calibrate(super::commands::calibrate::CalibrateArgs),
    /// What is known beforehand of cards, storage formats and models, and where each figure comes from
    Profiles(super::commands::profiles::ProfilesArgs),
    /// What a log of a failure says: which card, which allocation, why, and what repairs it
    Diagnose(Box<super::commands::diagnose::DiagnoseArgs>),
    /// Start an engine, watch its cards and its log, and explain its end
    Run(Box<super::commands::run::RunArgs>),
    /// The JSON Schema of a report
    Schema(super::commands::schema::SchemaArgs),
}

/// Which cards.
#[derive(Debug, Clone, Args)]
pub struct FleetFlags {
    /// Cards: `live`, `4xA10`, `2xL4,1xA100-80GB`, or `4x24GiB` (CUDA total) [default: live]
    #[arg(long, value_name = "CARDS")]
    pub gpus: Option<String>,
    /// A folder whose `gpus/*.toml` adds card profiles or replaces built-in ones of the same id, and whose `oom/*.toml` adds
    /// messages that `diagnose` knows
    #[arg(long, value_name = "FOLDER")]
    pub profile_dir: Option<PathBuf>,
    /// Leave aside what `calibrate` measured on this machine
    #[arg(long)]
    pub no_calibration: bool,
}

/// Which engine, and how it is set. Long names of the engines' own flags are aliases.
#[derive(Debug, Clone, Args)]
pub struct EngineFlags {
    /// Engine and version: `vllm`, `vllm@0.11.2`, `transformers@4.57.3` [default: vllm, newest known]; several for `plan` to compare:
    /// `vllm@0.20.0,vllm@0.21.0`
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub engine: Option<String>,
    /// Tensor-parallel degree
    #[arg(long, value_name = "N", alias = "tensor-parallel-size")]
    pub tp: Option<u32>,
    /// Pipeline-parallel degree
    #[arg(long, value_name = "N", alias = "pipeline-parallel-size")]
    pub pp: Option<u32>,
    /// Data-parallel degree
    #[arg(long, value_name = "N", alias = "data-parallel-size")]
    pub dp: Option<u32>,
    /// Spread experts whole over the ranks instead of slicing them
    #[arg(long, alias = "enable-expert-parallel")]
    pub ep: bool,
    /// Element type of weights and activations: `auto`, `bfloat16`, `float16`, `float32`
    #[arg(long, value_name = "TYPE", alias = "torch-dtype")]
    pub dtype: Option<String>,
    /// Quantisation method
    #[arg(long, value_name = "METHOD")]
    pub quantization: Option<String>,
    /// Element type of the KV cache: `auto`, `fp8`
    #[arg(long, value_name = "TYPE")]
    pub kv_cache_dtype: Option<String>,
    /// Longest sequence in tokens; `auto` for the longest that fits
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    pub max_model_len: Option<String>,
    /// Most sequences in one step
    #[arg(long, value_name = "N")]
    pub max_num_seqs: Option<u64>,
    /// Most tokens in one step
    #[arg(long, value_name = "TOKENS")]
    pub max_num_batched_tokens: Option<u64>,
    /// Share of each card that the engine allows itself
    #[arg(long, value_name = "FRACTION")]
    pub gpu_memory_utilization: Option<Fraction>,
    /// A KV pool of this size on each card, in place of the budget
    #[arg(long, value_name = "SIZE", alias = "kv-cache-memory")]
    pub kv_cache_memory_bytes: Option<Bytes>,
    /// Sequences of the stated workload, for engines without a pool
    #[arg(long, value_name = "N")]
    pub batch_size: Option<u64>,
    /// No CUDA graphs
    #[arg(long)]
    pub enforce_eager: bool,
    /// Where modules go: a device (`cuda:0`) or a JSON object of module to device
    #[arg(long, value_name = "MAP")]
    pub device_map: Option<String>,
    /// Most bytes per device: `0=20GiB,cpu=60GiB`
    #[arg(long, value_name = "DEVICE=SIZE,…")]
    pub max_memory: Option<String>,
}

/// What to plan or load: a model with flags, or a pasted command.
#[derive(Debug, Clone, Args)]
pub struct DeploymentFlags {
    /// Cards.
    #[command(flatten)]
    pub fleet: FleetFlags,
    /// Engine.
    #[command(flatten)]
    pub engine: EngineFlags,
}

impl EngineFlags {
    /// The settings that were typed.
    ///
    /// # Errors
    /// When a value is none of its kind.
    pub fn settings(&self) -> Result<Settings, Problem> {
        for (flag, degree) in [("tp", self.tp), ("pp", self.pp), ("dp", self.dp)] {
            if degree == Some(0) {
                return Err(Problem::usage(format!("`--{flag} 0`: a degree of parallelism is at least 1")));
            }
        }
        Ok(Settings {
            tensor_parallel: self.tp,
            pipeline_parallel: self.pp,
            data_parallel: self.dp,
            expert_parallel: self.ep.then_some(true),
            dtype: self.dtype.clone(),
            quantization: self.quantization.clone(),
            kv_cache_dtype: self.kv_cache_dtype.clone(),
            max_model_len: context_length(self.max_model_len.as_deref())?,
            max_num_seqs: self.max_num_seqs,
            max_num_batched_tokens: self.max_num_batched_tokens,
            memory_fraction: self.gpu_memory_utilization,
            kv_cache_memory: self.kv_cache_memory_bytes,
            batch_size: self.batch_size,
            enforce_eager: self.enforce_eager.then_some(true),
            device_map: self.device_map.clone(),
            max_memory: self.max_memory.as_deref().map(max_memory).transpose()?,
            ..Settings::default()
        })
    }
}

fn context_length(text: Option<&str>) -> Result<ContextLength, Problem> {
    match text {
        None => Ok(ContextLength::Model),
        Some("auto" | "-1") => Ok(ContextLength::Auto),
        Some(text) => text.parse().map(ContextLength::Tokens).map_err(|_| {
            Problem::usage(format!(
                "`--max-model-len {text}`: write a number of tokens, or `auto` for the longest that fits"
            ))
        }),
    }
}

fn max_memory(text: &str) -> Result<BTreeMap<String, Bytes>, Problem> {
    text.split(',')
        .map(|entry| {
            let (device, size) = entry
                .split_once('=')
                .ok_or_else(|| Problem::usage(format!("`--max-memory {text}`: write `0=20GiB,1=20GiB,cpu=60GiB`")))?;
            let size = size.parse().map_err(|e| Problem::usage(format!("`--max-memory {text}`: {e}")))?;
            Ok((device.trim().to_owned(), size))
        })
        .collect()
}
