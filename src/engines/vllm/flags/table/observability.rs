//! Logs, traces and metrics.

use super::Release::{V0_6, V0_8, V0_9, V0_10, V0_11, V0_14, V0_17, V0_25, V0_29, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::Nothing;
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Decimal, Json, List, Switch, Text};

pub(super) static FLAGS: &[Flag] = &[
    flag("--aggregate-engine-logging", Switch, Nothing, V0_11, V0_33),
    flag("--collect-detailed-traces", List, Nothing, V0_6, V0_33),
    flag("--cudagraph-metrics", Switch, Nothing, V0_14, V0_33),
    flag("--custom-histogram-buckets", Json, Nothing, V0_33, V0_33),
    flag("--disable-log-requests", Switch, Nothing, V0_6, V0_14),
    flag("--disable-log-stats", Switch, Nothing, V0_6, V0_33),
    flag("--enable-layerwise-nvtx-tracing", Switch, Nothing, V0_14, V0_33),
    flag("--enable-log-requests", Switch, Nothing, V0_10, V0_33),
    flag("--enable-logging-iteration-details", Switch, Nothing, V0_14, V0_33),
    flag("--enable-mfu-metrics", Switch, Nothing, V0_14, V0_33),
    flag("--fail-on-environ-validation", Switch, Nothing, V0_17, V0_33),
    flag("--jit-monitor-mode", Text, Nothing, V0_25, V0_33),
    flag("--jit-monitor-verbose", Switch, Nothing, V0_25, V0_33),
    flag("--kv-cache-metrics", Switch, Nothing, V0_14, V0_33),
    flag("--kv-cache-metrics-sample", Decimal, Nothing, V0_14, V0_33),
    flag("--log-config-file", Text, Nothing, V0_9, V0_33),
    flag("--log-level", Text, Nothing, V0_6, V0_33),
    flag("--logging-config", Json, Nothing, V0_33, V0_33),
    flag("--otlp-traces-endpoint", Text, Nothing, V0_6, V0_33),
    flag("--per-request-spec-decode-metrics", Text, Nothing, V0_29, V0_33),
    flag("--show-hidden-metrics-for-version", Text, Nothing, V0_8, V0_33),
];
