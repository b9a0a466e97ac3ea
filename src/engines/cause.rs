//! The closed set of reasons why memory runs out, shared by plans and diagnoses.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a deployment does not fit, or did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The weights alone are larger than the card.
    WeightsDoNotFit,
    /// Everything is on one card while others idle.
    SingleGpuPlacementWhileOthersIdle,
    /// Weights were loaded as float32 by accident.
    WrongDtypeFp32,
    /// The KV pool cannot hold one sequence of the stated length.
    KvCacheTooSmallForMaxLen,
    /// Weights and peaks leave nothing for the KV pool.
    NoMemoryLeftForKv,
    /// Activations or logits peak above what is left.
    ActivationOrLogitsPeak,
    /// Memory is free, but in pieces.
    Fragmentation,
    /// Another process holds part of the card.
    OtherProcessOnGpu,
    /// One rank holds more than its peers.
    UnevenSplitOrRankExtra,
    /// Capturing CUDA graphs.
    CudaGraphCapture,
    /// Warming up the sampler.
    SamplerWarmup,
    /// Converting or loading weights needs more than holding them.
    ConversionOrLoadTransient,
    /// Host memory.
    HostRamExhausted,
    /// A size does not divide over the ranks.
    TpNotDivisible,
    /// Requests outgrew the KV pool.
    KvPoolExhaustedAtRuntime,
    /// Communication buffers or library workspaces.
    NcclOrLibraryWorkspace,
    /// A compute buffer sized at start.
    ComputeBuffer,
    /// Profiling images or audio at start.
    MultimodalProfiling,
    /// Memory grows without end.
    MemoryLeakGrowth,
    /// Not to be told from what is known.
    Unknown,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 20] = [
        Self::WeightsDoNotFit,
        Self::SingleGpuPlacementWhileOthersIdle,
        Self::WrongDtypeFp32,
        Self::KvCacheTooSmallForMaxLen,
        Self::NoMemoryLeftForKv,
        Self::ActivationOrLogitsPeak,
        Self::Fragmentation,
        Self::OtherProcessOnGpu,
        Self::UnevenSplitOrRankExtra,
        Self::CudaGraphCapture,
        Self::SamplerWarmup,
        Self::ConversionOrLoadTransient,
        Self::HostRamExhausted,
        Self::TpNotDivisible,
        Self::KvPoolExhaustedAtRuntime,
        Self::NcclOrLibraryWorkspace,
        Self::ComputeBuffer,
        Self::MultimodalProfiling,
        Self::MemoryLeakGrowth,
        Self::Unknown,
    ];

    /// Identifier as in reports.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::WeightsDoNotFit => "weights_do_not_fit",
            Self::SingleGpuPlacementWhileOthersIdle => "single_gpu_placement_while_others_idle",
            Self::WrongDtypeFp32 => "wrong_dtype_fp32",
            Self::KvCacheTooSmallForMaxLen => "kv_cache_too_small_for_max_len",
            Self::NoMemoryLeftForKv => "no_memory_left_for_kv",
            Self::ActivationOrLogitsPeak => "activation_or_logits_peak",
            Self::Fragmentation => "fragmentation",
            Self::OtherProcessOnGpu => "other_process_on_gpu",
            Self::UnevenSplitOrRankExtra => "uneven_split_or_rank_extra",
            Self::CudaGraphCapture => "cuda_graph_capture",
            Self::SamplerWarmup => "sampler_warmup",
            Self::ConversionOrLoadTransient => "conversion_or_load_transient",
            Self::HostRamExhausted => "host_ram_exhausted",
            Self::TpNotDivisible => "tp_not_divisible",
            Self::KvPoolExhaustedAtRuntime => "kv_pool_exhausted_at_runtime",
            Self::NcclOrLibraryWorkspace => "nccl_or_library_workspace",
            Self::ComputeBuffer => "compute_buffer",
            Self::MultimodalProfiling => "multimodal_profiling",
            Self::MemoryLeakGrowth => "memory_leak_growth",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn identifiers_are_those_of_the_serialised_form() {
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.id());
        }
    }
}
