//! LoRA and prompt adapters.

use super::Release::{V0_6, V0_7, V0_9, V0_10, V0_11, V0_14, V0_17, V0_20, V0_25, V0_29, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::{Engine, Nothing};
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Integer, Json, List, Switch, Text};

pub(super) static FLAGS: &[Flag] = &[
    flag("--default-mm-loras", Json, Nothing, V0_10, V0_33),
    flag("--enable-lora", Switch, Engine, V0_6, V0_33),
    flag("--enable-lora-bias", Switch, Engine, V0_7, V0_10),
    flag("--enable-mixed-moe-lora-format", Switch, Engine, V0_25, V0_33),
    flag("--enable-moe-shared-loras", Switch, Engine, V0_29, V0_33),
    flag("--enable-prompt-adapter", Switch, Engine, V0_6, V0_9),
    flag("--enable-tower-connector-lora", Switch, Engine, V0_14, V0_33),
    flag("--fully-sharded-loras", Switch, Engine, V0_6, V0_33),
    flag("--long-lora-scaling-factors", Text, Engine, V0_6, V0_9),
    flag("--lora-dtype", Text, Engine, V0_6, V0_33),
    flag("--lora-extra-vocab-size", Integer, Engine, V0_6, V0_11),
    flag("--lora-target-modules", List, Engine, V0_20, V0_33),
    flag("--max-cpu-loras", Integer, Engine, V0_6, V0_33),
    flag("--max-lora-cls-labels", Integer, Engine, V0_33, V0_33),
    flag("--max-lora-rank", Integer, Engine, V0_6, V0_33),
    flag("--max-loras", Integer, Engine, V0_6, V0_33),
    flag("--max-prompt-adapter-token", Integer, Engine, V0_6, V0_9),
    flag("--max-prompt-adapters", Integer, Engine, V0_6, V0_9),
    flag("--specialize-active-lora", Switch, Nothing, V0_17, V0_33),
];
