//! Images, audio and video.

use super::Release::{V0_6, V0_7, V0_9, V0_10, V0_11, V0_17, V0_20, V0_25, V0_29, V0_33};
use super::flag;
use crate::engines::command_line::flags::Effect::{Engine, Nothing};
use crate::engines::command_line::flags::Flag;
use crate::engines::command_line::flags::Kind::{Decimal, Integer, Json, Modalities, Switch, Text};

pub(super) static FLAGS: &[Flag] = &[
    flag("--disable-mm-preprocessor-cache", Switch, Engine, V0_7, V0_11),
    flag("--enable-mm-embeds", Switch, Engine, V0_11, V0_33),
    flag("--interleave-mm-strings", Switch, Nothing, V0_10, V0_33),
    flag("--language-model-only", Switch, Engine, V0_17, V0_33),
    flag("--limit-mm-per-prompt", Modalities, Engine, V0_6, V0_33),
    flag("--media-io-kwargs", Json, Nothing, V0_9, V0_33),
    flag("--mm-device-do-normalize", Switch, Nothing, V0_29, V0_33),
    flag("--mm-encoder-attn-backend", Text, Engine, V0_11, V0_33),
    flag("--mm-encoder-attn-dtype", Text, Engine, V0_25, V0_33),
    flag("--mm-encoder-fp8-scale-path", Text, Nothing, V0_25, V0_33),
    flag("--mm-encoder-fp8-scale-save-margin", Decimal, Nothing, V0_25, V0_33),
    flag("--mm-encoder-fp8-scale-save-path", Text, Nothing, V0_25, V0_33),
    flag("--mm-encoder-only", Switch, Engine, V0_17, V0_33),
    flag("--mm-encoder-tp-mode", Text, Engine, V0_10, V0_33),
    flag("--mm-hasher-algorithm", Text, Nothing, V0_29, V0_33),
    flag("--mm-ipc-gpu-memory-gb", Decimal, Engine, V0_25, V0_33),
    flag("--mm-processor-cache-gb", Decimal, Engine, V0_10, V0_33),
    flag("--mm-processor-cache-type", Text, Nothing, V0_11, V0_33),
    flag("--mm-processor-device", Text, Engine, V0_29, V0_33),
    flag("--mm-processor-kwargs", Json, Engine, V0_6, V0_33),
    flag("--mm-shm-cache-max-object-size-mb", Integer, Nothing, V0_11, V0_33),
    flag("--mm-tensor-ipc", Text, Engine, V0_20, V0_33),
    flag("--skip-mm-profiling", Switch, Engine, V0_10, V0_33),
    flag("--video-pruning-method", Text, Nothing, V0_29, V0_33),
    flag("--video-pruning-rate", Decimal, Engine, V0_11, V0_33),
];
