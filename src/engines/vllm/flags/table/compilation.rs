//! CUDA graphs, compilation and the choice of kernels.

use super::Release::{V0_6, V0_7, V0_9, V0_11, V0_14, V0_17, V0_20, V0_25, V0_29, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::{Engine, Nothing, OptimizationLevel};
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Integer, Json, List, Switch, Text};

pub(super) static FLAGS: &[Flag] = &[
    // `-O3`, `-O 3`, `-O.level 3` and `-O '{…}'`: what it sets depends on the release, see `OptimizationLevel`.
    flag("-O", Text, OptimizationLevel, V0_7, V0_33),
    flag("--additional-config", Json, Engine, V0_7, V0_33),
    flag("--attention-backend", Text, Engine, V0_14, V0_33),
    flag("--attention-config -ac", Json, Engine, V0_14, V0_33),
    flag("--aux-output-config", Json, Nothing, V0_33, V0_33),
    flag("--compilation-config -cc", Json, Engine, V0_7, V0_33),
    flag("--cuda-graph-sizes", List, Engine, V0_9, V0_11),
    flag("--cudagraph-capture-sizes", List, Engine, V0_11, V0_33),
    flag("--diffusion-config -dc", Json, Engine, V0_25, V0_33),
    flag("--ec-manager-config", Json, Nothing, V0_29, V0_33),
    flag("--ec-transfer-config", Json, Engine, V0_11, V0_33),
    flag("--enable-bf16x3-router-gemm", Switch, Nothing, V0_29, V0_29),
    flag("--enable-flashinfer-autotune", Switch, Nothing, V0_17, V0_33),
    flag("--engram-config", Json, Engine, V0_33, V0_33),
    flag("--gdn-prefill-backend", Text, Nothing, V0_20, V0_33),
    flag("--ir-op-priority", Json, Nothing, V0_20, V0_33),
    flag("--kda-decode-backend", Text, Nothing, V0_33, V0_33),
    flag("--kda-prefill-backend", Text, Nothing, V0_29, V0_33),
    flag("--kernel-config", Json, Engine, V0_17, V0_33),
    flag("--linear-backend", Text, Engine, V0_25, V0_33),
    flag("--max-context-len-to-capture", Integer, Engine, V0_6, V0_6),
    flag("--max-cudagraph-capture-size", Integer, Engine, V0_11, V0_33),
    flag("--moe-backend", Text, Engine, V0_17, V0_33),
    flag("--monokernel", Switch, Engine, V0_33, V0_33),
    flag("--optimization-level", Text, Engine, V0_14, V0_33),
    flag("--performance-mode", Text, Engine, V0_17, V0_33),
    flag("--profiler-config", Json, Nothing, V0_14, V0_33),
    flag("--reasoning-config", Json, Nothing, V0_20, V0_33),
    flag("--sparse-indexer-topk-backend", Text, Nothing, V0_33, V0_33),
    flag("--structured-outputs-config", Json, Nothing, V0_11, V0_33),
    flag("--watchdog-config", Json, Nothing, V0_33, V0_33),
    flag("--watermark-config", Json, Nothing, V0_33, V0_33),
    flag("--weight-transfer-config", Json, Nothing, V0_17, V0_33),
];
