//! How weights are read.

use super::Release::{V0_6, V0_8, V0_9, V0_10, V0_25, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::{Engine, Nothing};
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Count, Integer, Json, JsonOrText, List, Switch, Text};

pub(super) static FLAGS: &[Flag] = &[
    flag("--download-dir", Text, Engine, V0_6, V0_33),
    flag("--ignore-patterns", List, Nothing, V0_6, V0_33),
    flag("--load-format", Text, Engine, V0_6, V0_33),
    flag("--model-loader-extra-config", Json, Engine, V0_6, V0_33),
    flag("--pt-load-map-location", JsonOrText, Nothing, V0_9, V0_33),
    flag("--qlora-adapter-name-or-path", Text, Engine, V0_6, V0_9),
    flag("--safetensors-load-strategy", Text, Nothing, V0_10, V0_33),
    flag("--safetensors-prefetch-block-size", Count, Nothing, V0_25, V0_33),
    flag("--safetensors-prefetch-num-threads", Integer, Nothing, V0_25, V0_33),
    flag("--use-tqdm-on-load", Switch, Nothing, V0_8, V0_33),
];
