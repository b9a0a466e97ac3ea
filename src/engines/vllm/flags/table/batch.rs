//! `vllm run-batch`.

use super::Release::{V0_6, V0_7, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::Nothing;
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Integer, Switch, Text};

pub(super) static FLAGS: &[Flag] = &[
    flag("--enable-metrics", Switch, Nothing, V0_6, V0_33),
    flag("--input-file -i", Text, Nothing, V0_6, V0_33),
    flag("--max-inflight", Integer, Nothing, V0_33, V0_33),
    flag("--output-file -o", Text, Nothing, V0_6, V0_33),
    flag("--output-tmp-dir", Text, Nothing, V0_7, V0_33),
    flag("--url", Text, Nothing, V0_6, V0_33),
];
