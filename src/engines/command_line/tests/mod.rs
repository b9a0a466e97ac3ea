//! Whole commands in, values out.

mod changes;
mod commands;
mod properties;
mod refusals;

use super::*;
use crate::engines::{ContextLength, EntryPoint};

/// What a command says, one line a fact, in the order of the fields; facts the command leaves open are left out.
fn facts(invocation: &Invocation) -> String {
    let settings = &invocation.settings;
    let mut lines = Vec::new();
    let mut fact = |name: &str, value: Option<String>| lines.extend(value.map(|value| format!("{name}={value}")));
    fact("version", invocation.version.as_ref().map(|(v, _)| v.clone()));
    fact("library", (settings.entry_point == EntryPoint::Library).then(String::new));
    fact("model", invocation.model.clone());
    fact("host-model", invocation.model_on_host().filter(|m| Some(m) != invocation.model.as_ref()));
    fact("cards", invocation.visible_devices.clone());
    fact("config", invocation.config_file.clone());
    fact("tp", settings.tensor_parallel.map(|n| n.to_string()));
    fact("pp", settings.pipeline_parallel.map(|n| n.to_string()));
    fact("dp", settings.data_parallel.map(|n| n.to_string()));
    fact("ep", settings.expert_parallel.map(|b| b.to_string()));
    fact("dtype", settings.dtype.clone());
    fact("quantization", settings.quantization.clone());
    fact("kv", settings.kv_cache_dtype.clone());
    fact(
        "len",
        match settings.max_model_len {
            ContextLength::Model => None,
            ContextLength::Auto => Some("auto".to_owned()),
            ContextLength::Tokens(n) => Some(n.to_string()),
        },
    );
    fact("seqs", settings.max_num_seqs.map(|n| n.to_string()));
    fact("batched", settings.max_num_batched_tokens.map(|n| n.to_string()));
    fact("util", settings.memory_fraction.map(|f| f.to_string()));
    fact("kv-bytes", settings.kv_cache_memory.map(|b| b.0.to_string()));
    fact("block", settings.block_size.map(|n| n.to_string()));
    fact("eager", settings.enforce_eager.map(|b| b.to_string()));
    fact("chunked", settings.chunked_prefill.map(|b| b.to_string()));
    fact("prefix", settings.prefix_caching.map(|b| b.to_string()));
    fact("offload", settings.cpu_offload.map(|b| b.0.to_string()));
    fact("stages", settings.layer_partition.as_ref().map(|l| format!("{l:?}")));
    lines.extend(settings.engine_flags.iter().map(|(name, value)| format!("--{name}={value}")));
    lines.extend(invocation.warnings.iter().map(|w| format!("! {w}")));
    lines.join("\n")
}
