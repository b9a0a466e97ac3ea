//! Engines whose memory is not modelled: how their commands spell what matters to it, so that a diagnosis knows the model, the layout and
//! the shares, and can write the command again with a change.
//!
//! Spellings as in SGLang 0.5 `srt/server_args.py`, LMDeploy 0.10 `cli/utils.py`, TensorRT-LLM 1.1 `commands/serve.py`, llama.cpp
//! `common/arg.cpp`, text-generation-inference 3 `launcher/src/main.rs`, OpenLLM 0.6 `openllm/__main__.py`.

use super::flags::Effect::{Engine, Model, Nothing, Shared};
use super::flags::Kind::{Count, Decimal, Integer, Switch, Text};
use super::flags::SharedSetting::{
    DType, DataParallel, EnforceEager, KvCacheDType, MaxModelLen, MaxNumBatchedTokens, MaxNumSeqs, MemoryFraction,
    PipelineParallel, Quantization, TensorParallel,
};
use super::flags::{Catalog, Effect, Flag, Kind, Span};

/// How one engine is started.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Its name in reports: `sglang`.
    pub id: &'static str,
    /// Its name for people.
    pub shown: &'static str,
    /// Words between the program and its arguments: `serve api_server`.
    pub subcommands: &'static [&'static str],
    /// Whether the model stands as a word of its own.
    pub takes_word: bool,
    flags: &'static [Flag],
}

impl Dialect {
    /// The flags.
    pub(super) fn catalog(&self) -> Catalog {
        Catalog { tables: vec![self.flags], version: None, attaches_values: false }
    }
}

/// The engine of this name for people.
pub(super) fn dialect(shown: &str) -> Option<&'static Dialect> {
    DIALECTS.iter().find(|d| d.shown == shown)
}

const fn flag(spellings: &'static str, kind: Kind, effect: Effect) -> Flag {
    Flag { spellings, kind, effect, span: Span { absent_up_to: None, absent_from: None } }
}

static DIALECTS: &[Dialect] = &[
    Dialect {
        id: "sglang",
        shown: "SGLang",
        subcommands: &["serve", "launch_server"],
        takes_word: false,
        flags: &[
            flag("--model-path --model", Text, Model),
            flag("--tp-size --tensor-parallel-size --tp", Integer, Shared(TensorParallel)),
            flag("--pp-size --pipeline-parallel-size --pp", Integer, Shared(PipelineParallel)),
            flag("--dp-size --data-parallel-size --dp", Integer, Shared(DataParallel)),
            flag("--ep-size --expert-parallel-size --ep", Integer, Engine),
            flag("--mem-fraction-static", Decimal, Shared(MemoryFraction)),
            flag("--context-length", Count, Shared(MaxModelLen)),
            flag("--max-running-requests", Count, Shared(MaxNumSeqs)),
            flag("--chunked-prefill-size", Integer, Engine),
            flag("--max-prefill-tokens", Count, Shared(MaxNumBatchedTokens)),
            flag("--max-total-tokens", Count, Engine),
            flag("--cuda-graph-max-bs", Integer, Engine),
            flag("--dtype", Text, Shared(DType)),
            flag("--quantization", Text, Shared(Quantization)),
            flag("--kv-cache-dtype", Text, Shared(KvCacheDType)),
            flag("--disable-cuda-graph", Switch, Shared(EnforceEager)),
            flag("--enable-dp-attention", Switch, Engine),
            flag("--enable-multimodal", Switch, Nothing),
            flag("--trust-remote-code", Switch, Nothing),
        ],
    },
    Dialect {
        id: "lmdeploy",
        shown: "LMDeploy",
        subcommands: &["serve", "api_server", "chat", "gradio", "turbomind", "pytorch"],
        takes_word: true,
        flags: &[
            flag("--tp", Integer, Shared(TensorParallel)),
            flag("--dp", Integer, Shared(DataParallel)),
            flag("--session-len", Count, Shared(MaxModelLen)),
            flag("--cache-max-entry-count", Decimal, Shared(MemoryFraction)),
            flag("--max-batch-size", Count, Shared(MaxNumSeqs)),
            flag("--max-prefill-token-num", Count, Shared(MaxNumBatchedTokens)),
            flag("--quant-policy", Integer, Engine),
            flag("--model-format", Text, Shared(Quantization)),
            flag("--dtype", Text, Shared(DType)),
            flag("--backend", Text, Engine),
            flag("--trust-remote-code", Switch, Nothing),
        ],
    },
    Dialect {
        id: "tensorrt-llm",
        shown: "TensorRT-LLM",
        subcommands: &["serve"],
        takes_word: true,
        flags: &[
            flag("--tp-size --tp", Integer, Shared(TensorParallel)),
            flag("--pp-size --pp", Integer, Shared(PipelineParallel)),
            flag("--ep-size --ep", Integer, Engine),
            flag("--kv-cache-free-gpu-memory-fraction", Decimal, Shared(MemoryFraction)),
            flag("--max-seq-len", Count, Shared(MaxModelLen)),
            flag("--max-batch-size", Count, Shared(MaxNumSeqs)),
            flag("--max-num-tokens", Count, Shared(MaxNumBatchedTokens)),
            flag("--checkpoint-dir --model-dir --model", Text, Model),
            flag("--backend", Text, Engine),
            flag("--trust-remote-code", Switch, Nothing),
        ],
    },
    Dialect {
        id: "llama.cpp",
        shown: "llama.cpp",
        subcommands: &[],
        takes_word: false,
        flags: &[
            flag("--model -m", Text, Model),
            flag("--hf-repo -hf -hfr", Text, Model),
            flag("--ctx-size -c", Count, Shared(MaxModelLen)),
            flag("--parallel -np", Count, Shared(MaxNumSeqs)),
            flag("--ubatch-size -ub", Count, Shared(MaxNumBatchedTokens)),
            flag("--batch-size -b", Count, Engine),
            flag("--n-gpu-layers --gpu-layers -ngl", Text, Engine),
            flag("--n-cpu-moe -ncmoe", Integer, Engine),
            flag("--cache-type-k -ctk", Text, Shared(KvCacheDType)),
            flag("--cache-type-v -ctv", Text, Engine),
            flag("--tensor-split -ts", Text, Engine),
            flag("--split-mode -sm", Text, Engine),
            flag("--main-gpu -mg", Integer, Engine),
            flag("--device -dev", Text, Engine),
            flag("--model-draft -md", Text, Engine),
            flag("--mmproj -mm", Text, Engine),
            flag("--no-kv-offload -nkvo", Switch, Engine),
        ],
    },
    Dialect {
        id: "tgi",
        shown: "text-generation-inference",
        subcommands: &["serve"],
        takes_word: false,
        flags: &[
            flag("--model-id", Text, Model),
            flag("--num-shard", Integer, Shared(TensorParallel)),
            flag("--cuda-memory-fraction", Decimal, Shared(MemoryFraction)),
            flag("--max-total-tokens", Count, Shared(MaxModelLen)),
            flag("--max-input-tokens --max-input-length", Count, Engine),
            flag("--max-batch-size", Count, Shared(MaxNumSeqs)),
            flag("--max-batch-prefill-tokens", Count, Shared(MaxNumBatchedTokens)),
            flag("--max-batch-total-tokens", Count, Engine),
            flag("--dtype", Text, Shared(DType)),
            flag("--quantize", Text, Shared(Quantization)),
            flag("--kv-cache-dtype", Text, Shared(KvCacheDType)),
            flag("--trust-remote-code", Switch, Nothing),
        ],
    },
    Dialect {
        id: "openllm",
        shown: "OpenLLM",
        subcommands: &["serve", "run", "start"],
        takes_word: true,
        flags: &[flag("--arg", Text, Engine), flag("--env", Text, Nothing), flag("--repo", Text, Nothing)],
    },
    Dialect { id: "ollama", shown: "Ollama", subcommands: &["run"], takes_word: true, flags: &[] },
];

#[cfg(test)]
mod tests {
    use super::super::{CommandError, read_any_text, read_text};
    use crate::engines::ContextLength;

    #[test]
    fn commands_of_other_engines_tell_what_matters_to_memory() {
        for (text, engine, model, ranks, share, length) in [
            (
                "python -m sglang.launch_server --model-path org/m --tp 4 --mem-fraction-static 0.85 --context-length 32k --port 3",
                "sglang",
                Some("org/m"),
                Some(4),
                Some(0.85),
                Some(32_000),
            ),
            (
                "lmdeploy serve api_server org/m --server-port 1 --tp 2 --cache-max-entry-count 0.4",
                "lmdeploy",
                Some("org/m"),
                Some(2),
                Some(0.4),
                None,
            ),
            (
                "trtllm-serve serve org/m --tp_size=8 --max_seq_len 4096",
                "tensorrt-llm",
                Some("org/m"),
                Some(8),
                None,
                Some(4096),
            ),
            (
                "./llama-server -m a.gguf -mg 1 -ngl 99 -c 8192 -fa on -cb",
                "llama.cpp",
                Some("a.gguf"),
                None,
                None,
                Some(8192),
            ),
            (
                "docker run --gpus all -v /m:/data ghcr.io/huggingface/text-generation-inference:3.0 --model-id /data/x --num-shard 2",
                "tgi",
                Some("/data/x"),
                Some(2),
                None,
                None,
            ),
            (
                "bash -lc 'cd /srv && CUDA_VISIBLE_DEVICES=0 openllm serve llama3.2:1b'",
                "openllm",
                Some("llama3.2:1b"),
                None,
                None,
                None,
            ),
            ("ollama run llama3:70b", "ollama", Some("llama3:70b"), None, None, None),
            ("ollama serve", "ollama", None, None, None, None),
            ("nsys profile sglang serve --model-path org/m", "sglang", Some("org/m"), None, None, None),
        ] {
            let read = read_any_text(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let length = length.map_or(ContextLength::Model, ContextLength::Tokens);
            let settings = &read.settings;
            assert_eq!(
                (
                    read.engine,
                    read.model.as_deref(),
                    settings.tensor_parallel,
                    settings.memory_fraction.map(|f| f.get())
                ),
                (engine, model, ranks, share),
                "{text}"
            );
            assert_eq!(settings.max_model_len, length, "{text}");
            // Planning needs a memory model.
            let refusal = read_text(text).unwrap_err();
            assert!(text.starts_with("nsys") || matches!(refusal, CommandError::NotModelled { .. }), "{text}");
        }
    }

    #[test]
    fn changes_are_written_as_the_engine_spells_them() {
        for (text, change, changed) in [
            ("sglang serve --model-path m --tp 2", ("tp-size", "4"), "sglang serve --model-path m --tp 4"),
            ("trtllm-serve m --port 1", ("tp_size", "4"), "trtllm-serve m --port 1 --tp_size 4"),
            ("llama-server -m a -c 9000 -b 1", ("ctx-size", "4096"), "llama-server -m a -c 4096 -b 1"),
        ] {
            assert_eq!(read_any_text(text).unwrap().template.with_changes(&[change]), changed);
        }
    }
}
