//! vLLM's memory model (V1 engine).

pub mod after_load;
mod budget;
mod buffers;
pub mod defaults;
pub mod flags;
mod kv;
mod peaks;
mod refusals;
pub mod rotary;
pub mod sharding;
mod stages;

use super::{Deployment, Engine, EngineError, EnginePlan, Knob, RankShard, Version};
use crate::profiles::{VllmEra, VllmProfile, vllm_profile};

pub use kv::KvLayout;

/// vLLM.
pub struct Vllm;

impl Engine for Vllm {
    fn name(&self) -> &'static str {
        "vllm"
    }

    fn newest(&self) -> Version {
        profile().ok().and_then(|p| p.newest.parse().ok()).unwrap_or(Version { major: 0, minor: 11, patch: 2 })
    }

    fn caveat(&self, version: Version) -> Option<String> {
        let profile = profile().ok()?;
        let era = era(&profile, version)?;
        if era.exact.iter().any(|v| v.parse() == Ok(version)) {
            return None;
        }
        let proven = era.exact.join(", ");
        Some(format!("vLLM {version} is planned by the rules of {proven}; budget, peaks and KV layout can differ"))
    }

    fn spell(&self, knob: Knob, value: &str) -> Option<String> {
        let flag = match knob {
            Knob::TensorParallel => "tensor-parallel-size",
            Knob::PipelineParallel => "pipeline-parallel-size",
            Knob::ContextLength => "max-model-len",
            Knob::MemoryFraction => "gpu-memory-utilization",
            Knob::Sequences => "max-num-seqs",
            Knob::CacheType => "kv-cache-dtype",
            Knob::DType => "dtype",
            Knob::Eager => return Some("--enforce-eager".to_owned()),
        };
        Some(format!("--{flag} {value}"))
    }

    fn plan(&self, deployment: &Deployment<'_>) -> Result<EnginePlan, EngineError> {
        let profile = profile()?;
        let era = era(&profile, deployment.version)
            .ok_or_else(|| EngineError::Unknown("no era of vLLM is in the profile".to_owned()))?;
        budget::plan(deployment, era)
    }

    fn shards(&self, deployment: &Deployment<'_>) -> Result<Vec<RankShard>, EngineError> {
        budget::shards(deployment)
    }
}

fn profile() -> Result<VllmProfile, EngineError> {
    vllm_profile().map_err(|error| EngineError::Unknown(format!("the profile of vLLM is malformed: {error}")))
}

/// The era of a version; versions before the first era take the first.
fn era(profile: &VllmProfile, version: Version) -> Option<&VllmEra> {
    let starts_by = |era: &&VllmEra| era.first.parse::<Version>().is_ok_and(|first| first <= version);
    profile.eras.iter().rev().find(starts_by).or_else(|| profile.eras.first())
}
