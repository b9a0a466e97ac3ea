//! Commands as people post them in issue threads and guides, and what they mean.

use super::*;

fn check(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let invocation = read_text(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
        assert_eq!(facts(&invocation), expected.join("\n"), "{text}");
    }
}

#[test]
fn vllm_serve() {
    check(&[
        (
            "vllm serve Qwen/Qwen2.5-72B-Instruct-AWQ --tensor-parallel-size 4",
            &["model=Qwen/Qwen2.5-72B-Instruct-AWQ", "tp=4"],
        ),
        (
            "vllm serve ./DeepSeek-R1-Distill-Qwen-1.5B --host 0.0.0.0 --port 6006",
            &["model=./DeepSeek-R1-Distill-Qwen-1.5B"],
        ),
        (
            "CUDA_VISIBLE_DEVICES=0,1 VLLM_USE_V1=1 VLLM_WORKER_MULTIPROC_METHOD=spawn vllm serve /models/Qwen/Qwen2.5-VL-3B-Instruct \
             --gpu-memory-utilization 0.9 --swap-space 16 --max-model-len 4096 --tensor-parallel-size 2 --port 8091 --disable-custom-all-reduce",
            &[
                "model=/models/Qwen/Qwen2.5-VL-3B-Instruct",
                "cards=0,1",
                "tp=2",
                "len=4096",
                "util=0.9",
                "--VLLM_USE_V1=1",
                "--disable-custom-all-reduce=true",
                "--swap-space=16",
            ],
        ),
        (
            "vllm serve /mnt/llm/Qwen2.5-32B-Instruct-AWQ --enable-prefix-caching --port 9001 --served-model-name Qwen2.5-32B-Instruct -tp 2 \
             --max-model-len 15000 --gpu-memory-utilization 0.78 --enable-chunked-prefill --swap-space 4",
            &[
                "model=/mnt/llm/Qwen2.5-32B-Instruct-AWQ",
                "tp=2",
                "len=15000",
                "util=0.78",
                "chunked=true",
                "prefix=true",
                "--swap-space=4",
            ],
        ),
        (
            "vllm serve /ai_models/hf_hub/models/deepseek-ai/DeepSeek-R1 \\\n  --trust-remote-code \\\n  --served-model-name DeepSeek-R1 \\\n  \
             --max-model-len 16384 \\\n  --host 0.0.0.0 \\\n  --port 9999 \\\n  --tensor-parallel-size 8 \\\n  --pipeline-parallel-size 4 \\\n  \
             --distributed-executor-backend ray",
            &[
                "model=/ai_models/hf_hub/models/deepseek-ai/DeepSeek-R1",
                "tp=8",
                "pp=4",
                "len=16384",
                "--distributed-executor-backend=ray",
            ],
        ),
        (
            "VLLM_LOGGING_LEVEL=DEBUG vllm serve /data/pretrained/DeepSeek-V4-Flash \\\n--served-model-name DeepSeek-V4-Flash \\\n\
             --trust-remote-code \\\n--kv-cache-dtype fp8 \\\n--block-size 256 \\\n--enable-expert-parallel \\\n--data-parallel-size 8 \\\n\
             --gpu-memory-utilization 0.85 \\\n--compilation-config '{\"cudagraph_mode\":\"FULL_AND_PIECEWISE\", \"custom_ops\":[\"all\"]}' \\\n\
             --attention_config.use_fp4_indexer_cache=True \\\n--tokenizer-mode deepseek_v4 \\\n--tool-call-parser deepseek_v4 \\\n\
             --enable-auto-tool-choice \\\n--reasoning-parser deepseek_v4",
            &[
                "model=/data/pretrained/DeepSeek-V4-Flash",
                "dp=8",
                "ep=true",
                "kv=fp8",
                "util=0.85",
                "block=256",
                "--attention-config={\"use_fp4_indexer_cache\":\"True\"}",
                "--compilation-config={\"cudagraph_mode\":\"FULL_AND_PIECEWISE\", \"custom_ops\":[\"all\"]}",
            ],
        ),
        (
            "vllm serve google/gemma-4-31B-it \\\n  --host 0.0.0.0 \\\n  --port 8000 \\\n  --max-model-len 42768 \\\n  \
             --max-num-batched-tokens 8192 \\\n  --gpu-memory-utilization 0.95 \\\n  --limit-mm-per-prompt '{\"image\": 0}' \\\n  \
             --enable-prefix-caching \\\n  --async-scheduling \\\n  --enable-prompt-tokens-details \\\n  --enable-auto-tool-choice \\\n  \
             --tool-call-parser gemma4 \\\n  --reasoning-parser gemma4 \\\n  --default-chat-template-kwargs '{\"enable_thinking\": false}' \\\n  \
             --speculative-config '{\"model\": \"google/gemma-4-31B-it-assistant\", \"num_speculative_tokens\": 4}'",
            &[
                "model=google/gemma-4-31B-it",
                "len=42768",
                "batched=8192",
                "util=0.95",
                "prefix=true",
                "--async-scheduling=true",
                "--limit-mm-per-prompt={\"image\": 0}",
                "--speculative-config={\"model\": \"google/gemma-4-31B-it-assistant\", \"num_speculative_tokens\": 4}",
            ],
        ),
        (
            "vllm serve zai-org/GLM-5.1-FP8 --tensor-parallel-size 8 --speculative-config.method mtp \
             --speculative-config.num_speculative_tokens 3 --tool-call-parser glm47 --served-model-name glm-5.1-fp8",
            &[
                "model=zai-org/GLM-5.1-FP8",
                "tp=8",
                "--speculative-config={\"method\":\"mtp\",\"num_speculative_tokens\":3}",
            ],
        ),
        (
            "vllm serve Qwen/Qwen2-VL-7B-Instruct --max-model-len 32768 --limit-mm-per-prompt image=5,video=1 --mm-processor-kwargs \
             '{\"max_pixels\": 1003520}'",
            &[
                "model=Qwen/Qwen2-VL-7B-Instruct",
                "len=32768",
                "--limit-mm-per-prompt=image=5,video=1",
                "--mm-processor-kwargs={\"max_pixels\": 1003520}",
            ],
        ),
        (
            "MODEL=Qwen/Qwen3-8B\nTP=2\nexport VLLM_PP_LAYER_PARTITION=\"20,16\"\nvllm serve \"$MODEL\" -tp ${TP} -pp=2 --port $PORT --dtype $DTYPE",
            &[
                "model=Qwen/Qwen3-8B",
                "tp=2",
                "pp=2",
                "dtype=$DTYPE",
                "stages=[20, 16]",
                "! `$DTYPE` holds a shell variable whose value is not in the command",
            ],
        ),
        (
            "vllm serve m --max_model_len=8k --gpu_memory_utilization=.85 --max-num-seq 64 --kv-cache-memory 20G --cpu-offload-gb 10",
            &["model=m", "len=8000", "seqs=64", "util=0.85", "kv-bytes=21474836480", "offload=10737418240"],
        ),
        ("vllm serve m --max-model-len -1", &["model=m", "len=auto"]),
        ("vllm serve m --max-model-len auto -q awq_marlin", &["model=m", "quantization=awq_marlin", "len=auto"]),
        (
            "vllm serve m -qawq -dp 2 -ep --no-enable-chunked-prefill",
            &["model=m", "dp=2", "ep=true", "quantization=awq", "chunked=false"],
        ),
        ("vllm serve --model m --enforce-eager", &["model=m", "eager=true"]),
        ("vllm serve --tensor-parallel-size 2 m", &["model=m", "tp=2"]),
        ("vllm serve m -tp 2 --tensor_parallel_size 8", &["model=m", "tp=8"]),
        ("vllm serve m --quantization awq --quantization None", &["model=m"]),
        ("vllm serve m -O3", &["model=m", "--optimization-level=3"]),
        ("vllm serve m -O 2 --enforce-eager", &["model=m", "eager=true", "--optimization-level=2"]),
        ("vllm serve m -O '{\"level\": 3}'", &["model=m", "--compilation-config={\"level\": 3}"]),
        (
            "vllm serve m -cc.mode=3 -cc.cudagraph_capture_sizes+=1,2",
            &["model=m", "--compilation-config={\"mode\":3,\"cudagraph_capture_sizes\":[\"1\",\"2\"]}"],
        ),
        ("vllm serve m --cuda-graph-sizes 1 2 4 8 --port 1", &["model=m", "--cuda-graph-sizes=1 2 4 8"]),
        (
            "vllm serve m --enable-lora --lora-modules a=/x b=/y --max-loras 2 --max-lora-rank 64 --max-cpu-loras 4",
            &["model=m", "--enable-lora=true", "--max-cpu-loras=4", "--max-lora-rank=64", "--max-loras=2"],
        ),
        (
            "vllm serve m --hf-overrides '{\"max_position_embeddings\": 131072}' --decode-context-parallel-size 2 --mm-encoder-tp-mode data",
            &[
                "model=m",
                "--decode-context-parallel-size=2",
                "--hf-overrides={\"max_position_embeddings\": 131072}",
                "--mm-encoder-tp-mode=data",
            ],
        ),
        ("vllm serve m --device-ids 2,3", &["model=m", "cards=2,3"]),
        ("vllm serve m > server.log 2>&1 &", &["model=m"]),
        ("vllm serve m 2>&1 | tee log", &["model=m"]),
        (
            "cd /srv && source venv/bin/activate && pip install vllm==0.9.2 && vllm serve m",
            &["version=0.9.2", "model=m"],
        ),
        ("# start it\nnohup vllm serve m \\\n  --port 1 # the port\n", &["model=m"]),
        ("vllm serve m --hf-token --dtype half", &["model=m", "dtype=half"]),
        ("bash -lc 'export TP=4; exec vllm serve m -tp $TP'", &["model=m", "tp=4"]),
    ]);
}

#[test]
fn other_programs_of_vllm() {
    check(&[
        (
            "python -m vllm.entrypoints.openai.api_server --host 0.0.0.0 --port 12345 --max-model-len 65536 --trust-remote-code \
             --tensor-parallel-size 8 --quantization moe_wna16 --gpu-memory-utilization 0.97 --kv-cache-dtype fp8_e5m2 --calculate-kv-scales \
             --served-model-name deepseek-reasoner --model cognitivecomputations/DeepSeek-R1-AWQ",
            &[
                "model=cognitivecomputations/DeepSeek-R1-AWQ",
                "tp=8",
                "quantization=moe_wna16",
                "kv=fp8_e5m2",
                "len=65536",
                "util=0.97",
            ],
        ),
        (
            "python -u -m vllm.entrypoints.openai.api_server --host 0.0.0.0 --model mistralai/Mistral-7B-v0.1 --dtype half \
             --gpu-memory-utilization 0.8  --max-model-len 4096",
            &["model=mistralai/Mistral-7B-v0.1", "dtype=half", "len=4096", "util=0.8"],
        ),
        (
            "python -m vllm.entrypoints.openai.api_server --model Qwen/Qwen2-1.5B-Instruct-GPTQ-Int4 --speculative-model \
             Qwen/Qwen2-0.5B-Instruct-GPTQ-Int4 --num_speculative_tokens 5 --speculative-draft-tensor-parallel-size=1 \
             --speculative-max-model-len 2048 --use-v2-block-manager",
            &[
                "model=Qwen/Qwen2-1.5B-Instruct-GPTQ-Int4",
                "--num-speculative-tokens=5",
                "--speculative-draft-tensor-parallel-size=1",
                "--speculative-max-model-len=2048",
                "--speculative-model=Qwen/Qwen2-0.5B-Instruct-GPTQ-Int4",
            ],
        ),
        (
            "python3 -m vllm.entrypoints.openai.api_server --served-model-name \"deepseek/deepseek-v3\" --model /root/.cache/huggingface \
             --host 0.0.0.0 --port 30000 --enable-prefix-caching",
            &["model=/root/.cache/huggingface", "prefix=true"],
        ),
        (
            "vllm bench throughput --dataset-name random --input-len 2000 --output-len 1000 --model /data/local/models/oss/llama_70b_oss/ \
             --async-engine -tp 4 --max-model-len 16384 --max-num-seq 128",
            &["library=", "model=/data/local/models/oss/llama_70b_oss/", "tp=4", "len=16384", "seqs=128"],
        ),
        (
            "benchmark_throughput.py --input-len 1024 --output-len 128 --model  meta-llama/Meta-Llama-3.1-405B-Instruct-FP8 \
             --tensor-parallel-size 8 --num-prompts 500 --trust-remote-code --device cuda --output-json ../1024-128",
            &["library=", "model=meta-llama/Meta-Llama-3.1-405B-Instruct-FP8", "tp=8", "--device=cuda"],
        ),
        ("vllm bench latency --model m --batch-size 8 --n 2", &["library=", "model=m"]),
        ("uv run --with vllm==0.11.2 vllm serve m", &["version=0.11.2", "model=m"]),
        ("uv run -m vllm.entrypoints.openai.api_server --model m", &["model=m"]),
        ("python -m vllm.entrypoints.cli.main serve m -tp 2", &["model=m", "tp=2"]),
        (
            "python -m vllm.entrypoints.api_server --model m",
            &[
                "model=m",
                "! `vllm.entrypoints.api_server` has its own default batch sizes, which are planned here as the API server's",
            ],
        ),
        (
            "python -m vllm.entrypoints.openai.api_server m",
            &["! `m` is neither a flag nor a value and was left out of the plan"],
        ),
        (
            "nsys profile -o x --trace cuda vllm serve m",
            &["model=m", "! `nsys profile -o x --trace cuda` in front of the engine's command was not read"],
        ),
    ]);
}

#[test]
fn containers() {
    check(&[
        (
            "docker run --gpus all -d -p 8000:8000 --name qwen2.5-vl-7b \\\n--ipc=host \\\n--pids-limit -1 \\\n\
             --security-opt seccomp=unconfined \\\n-v /root/models1/qwen/Qwen2___5-VL-7B-Instruct-AWQ:/model \\\n-e HF_DATASETS_OFFLINE=1 \\\n\
             -e TRANSFORMERS_OFFLINE=1 \\\n-e OMP_NUM_THREADS=16 \\\nvllm/vllm-openai:latest \\\n--model /model \\\n--tensor-parallel-size 2 \\\n\
             --max-model-len 16384 \\\n--gpu-memory-utilization 0.9 \\\n--trust-remote-code",
            &[
                "model=/model",
                "host-model=/root/models1/qwen/Qwen2___5-VL-7B-Instruct-AWQ",
                "tp=2",
                "len=16384",
                "util=0.9",
            ],
        ),
        (
            "docker run -d --name vllm-server --gpus '\"device=0\"' -v hf-cache:/root/.cache/huggingface -p 8000:8000 -e HF_TOKEN=${HF_TOKEN} \
             vllm/vllm-openai:v0.11.2 --model meta-llama/Llama-3.1-8B-Instruct --max-model-len 4096 --gpu-memory-utilization 0.90 --dtype auto",
            &[
                "version=0.11.2",
                "model=meta-llama/Llama-3.1-8B-Instruct",
                "cards=0",
                "dtype=auto",
                "len=4096",
                "util=0.9",
            ],
        ),
        (
            "docker run -e CUDA_VISIBLE_DEVICES=1 \\\n    --gpus 'all' \\\n    --network host \\\n    --ipc host \\\n    --shm-size=\"1G\" \\\n    \
             --privileged \\\n    --volume=/mnt/qwen/QwenModel:/QwenModel \\\n    -it \\\n    vllm-image:vllm \\\n    \
             --model /QwenModel/Qwen2-72B-Instruct-GPTQ-Int4 \\\n    --use-v2-block-manager",
            &[
                "model=/QwenModel/Qwen2-72B-Instruct-GPTQ-Int4",
                "host-model=/mnt/qwen/QwenModel/Qwen2-72B-Instruct-GPTQ-Int4",
                "cards=1",
            ],
        ),
        (
            "docker run --runtime nvidia --gpus '\"device=2,3\"' -e CUDA_VISIBLE_DEVICES=1,0 --ipc=host vllm/vllm-openai:v0.6.3.post1 --model m \
             -tp 2 --swap-space 8",
            &["version=0.6.3.post1", "model=m", "cards=3,2", "tp=2", "--swap-space=8"],
        ),
        (
            "podman run --device nvidia.com/gpu=all --security-opt=label=disable -p 8000:8000 docker.io/vllm/vllm-openai:v0.25.1 \
             zai-org/GLM-5.1-FP8 --tensor-parallel-size 8",
            &["version=0.25.1", "model=zai-org/GLM-5.1-FP8", "tp=8"],
        ),
        (
            "sudo docker run --rm -it --gpus 2 --entrypoint /bin/bash vllm/vllm-openai:v0.9.2 -c \"pip install x && vllm serve m -tp 2\"",
            &["version=0.9.2", "model=m", "cards=0,1", "tp=2"],
        ),
        (
            "docker run --entrypoint vllm vllm/vllm-openai:v0.10.2 serve m --enforce-eager",
            &["version=0.10.2", "model=m", "eager=true"],
        ),
        (
            "docker run --entrypoint python3 vllm/vllm-openai:v0.10.2 -m vllm.entrypoints.openai.api_server --model m",
            &["version=0.10.2", "model=m"],
        ),
        ("docker run nvcr.io/nvidia/vllm:25.09-py3 vllm serve m", &["model=m"]),
        ("docker run rocm/vllm-dev serve m", &["model=m"]),
        ("docker exec -it box vllm serve m -tp 4", &["model=m", "tp=4"]),
        (
            "CUDA_VISIBLE_DEVICES=0 docker run --env-file .env vllm/vllm-openai m",
            &[
                "model=m",
                "! `CUDA_VISIBLE_DEVICES` is set outside the container and has no effect in it: pass it with `-e CUDA_VISIBLE_DEVICES`",
                "! variables in `.env` are not in the command and were not read from it",
            ],
        ),
        ("CUDA_VISIBLE_DEVICES=5 docker run -e CUDA_VISIBLE_DEVICES vllm/vllm-openai m", &["model=m", "cards=5"]),
    ]);
}

#[test]
fn versions_decide() {
    let of = |version: &str, rest: &str| {
        facts(&read_text(&format!("docker run vllm/vllm-openai:v{version} m {rest}")).unwrap())
    };
    assert!(of("0.9.2", "-O3").ends_with("--compilation-config={\"level\":3}"));
    assert!(of("0.11.2", "-O3").ends_with("--compilation-config={\"mode\":3}"));
    assert!(of("0.14.0", "-O3").ends_with("--optimization-level=3"));
    assert!(of("0.33.0", "--swap-space 4").ends_with("! `--swap-space` does not exist in version 0.33.0"));
    assert!(
        of("0.9.2", "--kv-cache-memory-bytes 1G")
            .ends_with("! `--kv-cache-memory-bytes` does not exist in version 0.9.2")
    );
    // Between two releases that were read, nothing is claimed.
    assert!(!of("0.18.0", "--swap-space 4").contains('!'));
    // A beginning is judged by what the version has: `--speculative-m…` was two flags once.
    assert!(of("0.11.2", "--speculative '{}'").ends_with("--speculative-config={}"));
    assert!(read_text("docker run vllm/vllm-openai:v0.7.3 m --speculative-m x").is_err());
}

#[test]
fn what_is_not_understood_is_said() {
    for (text, warning) in [
        ("vllm serve m --gpu-memory-utilisation 0.2", "did you mean `--gpu-memory-utilization`?"),
        ("vllm serve m --tp 4", "did you mean `-tp`?"),
        ("vllm serve m -tp4", "did you mean `-tp`?"),
        ("vllm serve m --max-ctx-size 4096", "`--max-ctx-size` is not a known flag and was left out of the plan"),
        ("vllm serve m --tensor-parallel-sise=4", "did you mean `--tensor-parallel-size`?"),
        (
            "vllm serve m --trust-remote-code True",
            "`--trust-remote-code` is a switch: newer versions refuse `True` after it",
        ),
        ("vllm serve m n", "`n` is neither a flag nor a value"),
        ("vllm serve m --model n", "`m` is neither a flag nor a value"),
        ("vllm serve m --config x.yaml", "settings in `x.yaml` are not in the command"),
        ("vllm serve m --max-model-len.x 4", "`--max-model-len.x` is not a known flag"),
    ] {
        let said: Vec<String> = read_text(text).unwrap().warnings.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(warning), "{text}: {said:?}");
    }
    // The word after an unknown flag is its value, unless no model is left.
    let invocation = read_text("vllm serve --unknown Qwen/Qwen3-8B").unwrap();
    assert_eq!(invocation.model.as_deref(), Some("Qwen/Qwen3-8B"));
}
