//! The KV cache and what is kept outside the card.

use super::Release::{V0_6, V0_7, V0_8, V0_9, V0_10, V0_11, V0_17, V0_20, V0_25, V0_29, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::{Engine, Nothing, Shared};
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Count, Decimal, Integer, Json, List, Switch, Text};
use crate::engines::command_line::flags::SharedSetting::{
    BlockSize, CpuOffload, KvCacheDType, KvCacheMemory, MemoryFraction, PrefixCaching,
};

pub(super) static FLAGS: &[Flag] = &[
    flag("--block-size", Integer, Shared(BlockSize), V0_6, V0_33),
    flag("--calculate-kv-scales", Switch, Nothing, V0_7, V0_25),
    flag("--cpu-offload-gb", Decimal, Shared(CpuOffload), V0_6, V0_33),
    flag("--cpu-offload-params", List, Engine, V0_17, V0_33),
    flag("--enable-mamba-cache-stochastic-rounding", Switch, Nothing, V0_20, V0_33),
    flag("--enable-mamba-shared-prefix-checkpoint", Switch, Engine, V0_33, V0_33),
    flag("--enable-prefix-caching", Switch, Shared(PrefixCaching), V0_6, V0_33),
    flag("--gpu-memory-utilization --device-memory-utilization", Decimal, Shared(MemoryFraction), V0_6, V0_33),
    flag("--kv-cache-dtype", Text, Shared(KvCacheDType), V0_6, V0_33),
    flag("--kv-cache-dtype-skip-layers", List, Engine, V0_20, V0_33),
    flag("--kv-cache-memory-bytes", Count, Shared(KvCacheMemory), V0_10, V0_33),
    flag("--kv-events-config", Json, Nothing, V0_9, V0_33),
    flag("--kv-offloading-backend", Text, Engine, V0_11, V0_33),
    flag("--kv-offloading-size", Decimal, Engine, V0_11, V0_33),
    flag("--kv-sharing-fast-prefill", Switch, Engine, V0_10, V0_33),
    flag("--kv-transfer-config", Json, Engine, V0_7, V0_33),
    flag("--mamba-backend", Text, Nothing, V0_20, V0_33),
    flag("--mamba-block-size", Integer, Engine, V0_11, V0_33),
    flag("--mamba-cache-dtype", Text, Engine, V0_10, V0_33),
    flag("--mamba-cache-mode", Text, Engine, V0_17, V0_33),
    flag("--mamba-cache-philox-rounds", Integer, Nothing, V0_20, V0_33),
    flag("--mamba-ssm-cache-dtype", Text, Engine, V0_10, V0_33),
    flag("--mamba-ssu-algorithm", Text, Nothing, V0_29, V0_33),
    flag("--num-gpu-blocks-override", Integer, Engine, V0_6, V0_33),
    flag("--offload-backend", Text, Engine, V0_17, V0_33),
    flag("--offload-group-size", Integer, Engine, V0_17, V0_33),
    flag("--offload-num-in-group", Integer, Engine, V0_17, V0_33),
    flag("--offload-params", List, Engine, V0_17, V0_33),
    flag("--offload-prefetch-step", Integer, Engine, V0_17, V0_33),
    flag("--prefix-cache-retention-interval", Integer, Nothing, V0_29, V0_33),
    flag("--prefix-caching-hash-algo", Text, Nothing, V0_8, V0_33),
    flag("--prefix-match-unit", Integer, Engine, V0_29, V0_33),
    flag("--quantization-param-path", Text, Engine, V0_6, V0_6),
    flag("--replayssm-buffer-len", Integer, Engine, V0_29, V0_33),
    flag("--swa-bounded-replay", Switch, Nothing, V0_33, V0_33),
    flag("--swap-space", Decimal, Engine, V0_6, V0_17),
    flag("--use-replayssm", Switch, Engine, V0_29, V0_33),
    flag("--use-v2-block-manager", Switch, Nothing, V0_6, V0_9),
];
