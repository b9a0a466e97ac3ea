//! Speculative decoding.

use super::Release::{V0_6, V0_7, V0_8, V0_25, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::{Engine, Nothing};
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Decimal, Integer, Json, Switch, Text};

pub(super) static FLAGS: &[Flag] = &[
    flag("--disable-logprobs-during-spec-decoding", Switch, Nothing, V0_6, V0_7),
    flag("--ngram-prompt-lookup-max", Integer, Engine, V0_6, V0_7),
    flag("--ngram-prompt-lookup-min", Integer, Engine, V0_6, V0_7),
    flag("--num-speculative-tokens", Integer, Engine, V0_6, V0_7),
    flag("--spec-decoding-acceptance-method", Text, Nothing, V0_6, V0_7),
    flag("--spec-method", Text, Engine, V0_25, V0_33),
    flag("--spec-model", Text, Engine, V0_25, V0_33),
    flag("--spec-tokens", Integer, Engine, V0_25, V0_33),
    flag("--speculative-config -sc", Json, Engine, V0_8, V0_33),
    flag("--speculative-disable-by-batch-size", Integer, Nothing, V0_6, V0_7),
    flag("--speculative-disable-mqa-scorer", Switch, Nothing, V0_6, V0_7),
    flag("--speculative-draft-tensor-parallel-size -spec-draft-tp", Integer, Engine, V0_6, V0_7),
    flag("--speculative-max-model-len", Integer, Engine, V0_6, V0_7),
    flag("--speculative-model", Text, Engine, V0_6, V0_7),
    flag("--speculative-model-quantization", Text, Engine, V0_6, V0_7),
    flag("--typical-acceptance-sampler-posterior-alpha", Decimal, Nothing, V0_6, V0_7),
    flag("--typical-acceptance-sampler-posterior-threshold", Decimal, Nothing, V0_6, V0_7),
];
