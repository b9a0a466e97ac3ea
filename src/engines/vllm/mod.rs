//! vLLM's memory model: one set of formulas, whose constants and accounts come by era from the profile.

pub mod after_load;
mod budget;
mod buffers;
mod deepseek_v4;
pub mod defaults;
mod eras;
mod extras;
mod fallback;
pub mod flags;
mod kv;
mod ledger;
mod log;
mod methods;
mod options;
mod pages;
mod parallel;
mod peaks;
mod pool;
pub mod refusals;
mod release;
pub mod rotary;
pub mod sharding;
mod stages;
mod words;

use super::{Deployment, Engine, EngineError, EnginePlan, HostLine, Knob, RankShard, Settings, Version, host};

pub use kv::KvLayout;
pub use options::FLASHINFER_SAMPLER;
pub use pages::PageOptions;
pub use release::Release;

/// vLLM.
pub struct Vllm;

impl Engine for Vllm {
    fn name(&self) -> &'static str {
        "vllm"
    }

    fn newest(&self) -> Version {
        eras::newest()
    }

    fn caveat(&self, version: Version) -> Option<String> {
        eras::caveat(version)
    }

    fn spell(&self, knob: Knob, value: &str) -> Option<String> {
        let flag = match knob {
            Knob::TensorParallel => "tensor-parallel-size",
            Knob::PipelineParallel => "pipeline-parallel-size",
            Knob::DataParallel => "data-parallel-size",
            Knob::ContextLength => "max-model-len",
            Knob::MemoryFraction => "gpu-memory-utilization",
            Knob::Sequences => "max-num-seqs",
            Knob::CacheType => "kv-cache-dtype",
            Knob::DType => "dtype",
            Knob::Eager => return Some("--enforce-eager".to_owned()),
            Knob::DeviceMap | Knob::MaxMemory => return None,
        };
        Some(format!("--{flag} {value}"))
    }

    fn draft(&self, settings: &Settings) -> Option<String> {
        match options::speculation(settings) {
            Ok(Some(options::Speculation::Draft(id))) => Some(id),
            _ => None,
        }
    }

    fn plan(&self, deployment: &Deployment<'_>) -> Result<EnginePlan, EngineError> {
        budget::plan(deployment)
    }

    fn shards(&self, deployment: &Deployment<'_>) -> Result<Vec<RankShard>, EngineError> {
        budget::shards(deployment)
    }

    fn log(&self, deployment: &Deployment<'_>, plan: &EnginePlan) -> Vec<String> {
        log::lines(deployment, plan)
    }

    fn host(&self, deployment: &Deployment<'_>, plan: &EnginePlan) -> Option<Vec<HostLine>> {
        Some(host::vllm(deployment, plan))
    }
}
