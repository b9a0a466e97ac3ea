//! Batching.

use super::Release::{V0_6, V0_7, V0_8, V0_9, V0_10, V0_11, V0_20, V0_25, V0_29, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::{Engine, Nothing, Shared};
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Count, Decimal, Integer, Switch, Text};
use crate::engines::command_line::flags::SharedSetting::{ChunkedPrefill, MaxNumBatchedTokens, MaxNumSeqs};

pub(super) static FLAGS: &[Flag] = &[
    flag("--async-scheduling", Switch, Engine, V0_10, V0_33),
    flag("--disable-chunked-mm-input", Switch, Engine, V0_8, V0_33),
    flag("--disable-hybrid-kv-cache-manager", Switch, Engine, V0_9, V0_33),
    flag("--enable-chunked-prefill", Switch, Shared(ChunkedPrefill), V0_6, V0_33),
    flag("--long-prefill-token-threshold", Decimal, Nothing, V0_7, V0_33),
    flag("--long-prefill-token-threshold-adaptive", Switch, Nothing, V0_33, V0_33),
    flag("--max-long-partial-prefills", Integer, Nothing, V0_7, V0_25),
    flag("--max-num-active-seqs", Integer, Engine, V0_33, V0_33),
    flag("--max-num-batched-tokens", Count, Shared(MaxNumBatchedTokens), V0_6, V0_33),
    flag("--max-num-partial-prefills", Integer, Engine, V0_7, V0_25),
    flag("--max-num-queued-reqs", Integer, Nothing, V0_29, V0_33),
    flag("--max-num-queued-tokens", Count, Nothing, V0_29, V0_33),
    flag("--max-num-scheduled-tokens", Count, Engine, V0_29, V0_33),
    flag("--max-num-seqs", Integer, Shared(MaxNumSeqs), V0_6, V0_33),
    flag("--multi-step-stream-outputs", Switch, Nothing, V0_6, V0_9),
    flag("--num-lookahead-slots", Integer, Engine, V0_6, V0_11),
    flag("--num-scheduler-steps", Integer, Engine, V0_6, V0_9),
    flag("--preemption-mode", Text, Nothing, V0_6, V0_10),
    flag("--prefill-schedule-interval", Integer, Nothing, V0_25, V0_33),
    flag("--scheduler-cls", Text, Nothing, V0_7, V0_33),
    flag("--scheduler-delay-factor", Decimal, Nothing, V0_6, V0_10),
    flag("--scheduler-reserve-full-isl", Switch, Nothing, V0_20, V0_33),
    flag("--scheduling-policy", Text, Nothing, V0_6, V0_33),
    flag("--shutdown-timeout", Integer, Nothing, V0_20, V0_33),
    flag("--stream-interval", Integer, Nothing, V0_11, V0_33),
    flag("--watermark", Decimal, Engine, V0_25, V0_33),
];
