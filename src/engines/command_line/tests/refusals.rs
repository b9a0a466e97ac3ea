//! Commands that are refused, and how.

use super::*;

fn refusal(text: &str) -> String {
    match read_text(text) {
        Ok(invocation) => panic!("{text} was read: {}", facts(&invocation)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn values_are_checked_where_they_stand() {
    for (text, expected) in [
        (
            "vllm serve m --tensor-parallel-size four",
            "`--tensor-parallel-size` cannot be `four`: it takes a whole number",
        ),
        ("vllm serve m -tp 0", "`-tp` cannot be `0`: it takes a whole number from 1 up"),
        ("vllm serve m -tp=-1", "`-tp` cannot be `-1`: it takes a whole number from 1 up"),
        ("vllm serve m -tp $TP", "`-tp` is `$TP`, which the command does not set: write its value"),
        (
            "vllm serve m --gpu-memory-utilization 90",
            "`--gpu-memory-utilization` cannot be `90`: it takes a share of the card",
        ),
        (
            "vllm serve m --gpu_memory_utilization 0",
            "`--gpu_memory_utilization` cannot be `0`: it takes a share of the card",
        ),
        ("vllm serve m --gpu-memory-utilization 90%", "cannot be `90%`: it takes a decimal number"),
        ("vllm serve m --max-model-len 8KiB", "cannot be `8KiB`: it takes a number of tokens such as `8192`"),
        ("vllm serve m --max-model-len 0", "cannot be `0`: it takes a whole number from 1 up"),
        ("vllm serve m --kv-cache-memory-bytes 20GiB", "cannot be `20GiB`: it takes a whole number, optionally with k"),
        ("vllm serve m --cpu-offload-gb -4", "cannot be `-4`: it takes a number of GiB from 0 up"),
        ("vllm serve m --compilation-config '{'", "`--compilation-config` cannot be `{`: it takes JSON"),
        ("vllm serve m --limit-mm-per-prompt image", "cannot be `image`: it takes JSON such as"),
        ("vllm serve m --enforce-eager=maybe", "`--enforce-eager` cannot be `maybe`: it takes no value"),
        ("vllm serve m --max-num-seqs", "`--max-num-seqs` has no value: it takes a whole number"),
        ("vllm serve m --max-num-seqs --enforce-eager", "`--max-num-seqs` has no value"),
        ("vllm serve m --served-model-name", "`--served-model-name` has no value"),
        ("vllm serve m --max-num 4", "`--max-num` could be `--max-num-"),
        ("vllm serve m -cc.a..b 4", "`-cc.a..b` cannot be `4`: it takes keys separated by single dots"),
        ("VLLM_PP_LAYER_PARTITION=20,x vllm serve m", "`VLLM_PP_LAYER_PARTITION` cannot be `20,x`"),
    ] {
        let said = refusal(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn programs_that_cannot_be_planned() {
    for (text, expected) in [
        ("", "no command is given"),
        ("A=b", "no command is given"),
        ("> log", "no command is given"),
        ("vllm serve 'm", "a quote or `$(` is not closed in the command, from `'m` on"),
        ("ls -l", "`ls` is not an engine command: supported are `vllm serve MODEL`"),
        ("python train.py --model m", "`python` is not an engine command"),
        ("cd x && ls", "`cd` is not an engine command"),
        (
            "python -m sglang.launch_server --model-path m",
            "`SGLang` is recognised, but its memory model is not in this version",
        ),
        ("lmdeploy serve api_server m --tp 4", "`LMDeploy` is recognised"),
        (
            "docker run --gpus all lmsysorg/sglang:latest python3 -m sglang.launch_server --model-path m",
            "`SGLang` is recognised",
        ),
        (
            "docker run --gpus all ghcr.io/huggingface/text-generation-inference:3.0 --model-id m",
            "`text-generation-inference` is recognised",
        ),
        ("docker run --gpus all ollama/ollama", "`Ollama` is recognised"),
        ("docker run -it --gpus all", "`docker run` names no image"),
        ("docker run ubuntu:22.04 nvidia-smi", "`nvidia-smi` is not an engine command"),
        ("docker run --entrypoint ls vllm/vllm-openai", "`ls` is not an engine command"),
        ("vllm bench serve --model m", "`vllm bench serve` starts no engine"),
        ("vllm chat", "`vllm chat` starts no engine"),
        ("vllm sevre m", "`vllm sevre` is not an engine command"),
        ("bash -c 'bash -c \"bash -c \\\"bash -c ls\\\"\"'", "a shell in a shell in a shell"),
    ] {
        let said = refusal(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}
