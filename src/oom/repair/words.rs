//! How each engine spells a setting.

use crate::engines::{Knob, engine};

/// The flag, keyword or variable that sets a knob to a value; `None` where the engine has none, or is not known.
pub(super) fn spell(engine_name: Option<&str>, knob: Knob, value: &str) -> Option<String> {
    let name = engine_name?;
    if let Some(known) = engine(name) {
        return known.spell(knob, value);
    }
    let flag = match (name, knob) {
        // OpenLLM hands on what its recipes have fields for.
        ("openllm", _) => {
            let flag = engine("vllm")?.spell(knob, value)?;
            let (name, value) =
                flag.trim_start_matches('-').split_once(' ').unwrap_or((flag.trim_start_matches('-'), "True"));
            return Some(format!("--arg {}={value}", name.replace('-', "_")));
        }
        ("sglang", Knob::TensorParallel) => "--tp-size",
        ("sglang", Knob::PipelineParallel) => "--pp-size",
        ("sglang", Knob::ContextLength) => "--context-length",
        ("sglang", Knob::MemoryFraction) => "--mem-fraction-static",
        ("sglang", Knob::Sequences) => "--max-running-requests",
        ("sglang", Knob::CacheType) => return Some("--kv-cache-dtype fp8_e5m2".to_owned()),
        ("sglang", Knob::Eager) => return Some("--disable-cuda-graph".to_owned()),
        ("lmdeploy", Knob::TensorParallel) => "--tp",
        ("lmdeploy", Knob::ContextLength) => "--session-len",
        ("lmdeploy", Knob::MemoryFraction) => "--cache-max-entry-count",
        ("lmdeploy", Knob::Sequences) => "--max-batch-size",
        ("lmdeploy", Knob::CacheType) => return Some("--quant-policy 8".to_owned()),
        ("tensorrt-llm", Knob::TensorParallel) => "--tp_size",
        ("tensorrt-llm", Knob::PipelineParallel) => "--pp_size",
        ("tensorrt-llm", Knob::ContextLength) => "--max_seq_len",
        ("tensorrt-llm", Knob::MemoryFraction) => "--kv_cache_free_gpu_memory_fraction",
        ("tensorrt-llm", Knob::Sequences) => "--max_batch_size",
        ("tgi", Knob::TensorParallel) => "--num-shard",
        ("tgi", Knob::ContextLength) => "--max-total-tokens",
        ("tgi", Knob::MemoryFraction) => "--cuda-memory-fraction",
        ("tgi", Knob::Sequences) => "--max-batch-size",
        ("llama.cpp", Knob::ContextLength) => "--ctx-size",
        ("llama.cpp", Knob::Sequences) => "--parallel",
        ("llama.cpp", Knob::CacheType) => return Some("--cache-type-k q8_0 --cache-type-v q8_0".to_owned()),
        ("ollama", Knob::ContextLength) => return Some(format!("num_ctx {value}")),
        ("ollama", Knob::CacheType) => return Some("OLLAMA_KV_CACHE_TYPE=q8_0".to_owned()),
        ("mlc-llm", Knob::TensorParallel) => "--tensor-parallel-shards",
        ("mlc-llm", Knob::MemoryFraction) => return Some(format!("gpu_memory_utilization={value}")),
        ("mlc-llm", Knob::ContextLength) => "--context-window-size",
        ("exllamav2" | "exllamav3", Knob::ContextLength) => return Some(format!("max_seq_len: {value}")),
        _ => return None,
    };
    Some(format!("{flag} {value}"))
}

/// The flag that limits the tokens of one step.
pub(super) fn batch(engine_name: Option<&str>) -> Option<&'static str> {
    Some(match engine_name? {
        "vllm" => "--max-num-batched-tokens 2048",
        "openllm" => "--arg max_num_batched_tokens=2048",
        "sglang" => "--chunked-prefill-size 2048",
        "lmdeploy" => "--max-prefill-token-num 2048",
        "tensorrt-llm" => "--max_num_tokens 2048",
        "llama.cpp" => "--ubatch-size 128",
        "ollama" => "num_batch 128",
        "tgi" => "--max-batch-prefill-tokens 2048",
        "mlc-llm" => "--prefill-chunk-size 1024",
        _ => return None,
    })
}

/// The flag that keeps layers off the cards.
pub(super) fn layers(engine_name: Option<&str>) -> Option<&'static str> {
    Some(match engine_name? {
        "llama.cpp" => "--n-gpu-layers",
        "ollama" => "num_gpu",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::command_line::read_any_text;

    /// What a repair tells people to type is what their engine's command reads.
    #[test]
    fn spellings_are_read_back() {
        for (name, command) in [
            ("sglang", "sglang serve --model-path m"),
            ("lmdeploy", "lmdeploy serve api_server m"),
            ("tensorrt-llm", "trtllm-serve m"),
            ("llama.cpp", "llama-server -m m"),
            ("tgi", "text-generation-launcher --model-id m"),
            ("openllm", "openllm serve m"),
        ] {
            let plain = read_any_text(command).unwrap().settings;
            let knobs = [
                (Knob::TensorParallel, "4"),
                (Knob::PipelineParallel, "2"),
                (Knob::ContextLength, "4096"),
                (Knob::MemoryFraction, "0.85"),
                (Knob::Sequences, "64"),
                (Knob::CacheType, "fp8"),
                (Knob::Eager, "true"),
            ];
            let spelt: Vec<String> = knobs.iter().filter_map(|(knob, value)| spell(Some(name), *knob, value)).collect();
            assert!(spelt.len() >= 3, "{name}");
            for flags in spelt.into_iter().chain(batch(Some(name)).map(str::to_owned)) {
                assert_ne!(read_any_text(&format!("{command} {flags}")).unwrap().settings, plain, "{name} {flags}");
            }
        }
    }
}
