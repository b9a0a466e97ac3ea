//! Families whose code comes with the checkpoint: parameters against the totals that the Hub counts in their safetensors files.
#![allow(clippy::unwrap_used, reason = "configs here are known to be whole")]

use serde_json::{Value, json};
use shardfit::model::Model;

fn parameters(config: Value) -> u64 {
    Model::from_config(&config, None).unwrap().parameters()
}

#[test]
fn totals_are_those_of_the_files() {
    let intern = |text: Value| {
        json!({"architectures": ["InternVLChatModel"], "model_type": "internvl_chat", "downsample_ratio": 0.5,
            "llm_config": text, "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
            "num_attention_heads": 16, "image_size": 448, "patch_size": 14, "qkv_bias": true, "norm_type": "layer_norm"}})
    };
    let cases = [
        (
            "Qwen/Qwen-7B",
            json!({"architectures": ["QWenLMHeadModel"], "model_type": "qwen", "hidden_size": 4096, "intermediate_size": 22016,
                "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 151936}),
            7_721_324_544,
        ),
        (
            "Qwen/Qwen-14B",
            json!({"architectures": ["QWenLMHeadModel"], "model_type": "qwen", "hidden_size": 5120, "intermediate_size": 27392,
                "num_hidden_layers": 40, "num_attention_heads": 40, "vocab_size": 152064}),
            14_167_290_880,
        ),
        (
            "LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct",
            json!({"architectures": ["ExaoneForCausalLM"], "model_type": "exaone", "hidden_size": 4096,
                "intermediate_size": 14336, "num_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
                "vocab_size": 102400}),
            7_818_448_896,
        ),
        (
            "LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct",
            json!({"architectures": ["ExaoneForCausalLM"], "model_type": "exaone", "hidden_size": 2560,
                "intermediate_size": 7168, "num_layers": 30, "num_attention_heads": 32, "num_key_value_heads": 8,
                "head_dim": 80, "vocab_size": 102400, "tie_word_embeddings": true}),
            2_405_327_360,
        ),
        (
            "inclusionAI/Ling-mini-2.0",
            json!({"architectures": ["BailingMoeV2ForCausalLM"], "model_type": "bailing_moe", "hidden_size": 2048,
                "intermediate_size": 5120, "moe_intermediate_size": 512, "num_hidden_layers": 20, "num_attention_heads": 16,
                "num_key_value_heads": 4, "head_dim": 128, "num_experts": 256, "num_experts_per_tok": 8,
                "num_shared_experts": 1, "first_k_dense_replace": 1, "use_qk_norm": true,
                "moe_router_enable_expert_bias": true, "vocab_size": 157184}),
            // Nor are the 4,864 numbers of 19 layers' balancing parameters here.
            16_255_643_392 - 4_864,
        ),
        (
            "inclusionAI/Ling-lite",
            json!({"architectures": ["BailingMoeForCausalLM"], "model_type": "bailing_moe", "hidden_size": 2048,
                "intermediate_size": 5632, "moe_intermediate_size": 1408, "num_hidden_layers": 28, "num_attention_heads": 16,
                "num_key_value_heads": 4, "head_dim": 128, "num_experts": 64, "num_experts_per_tok": 6,
                "num_shared_experts": 2, "first_k_dense_replace": 0, "vocab_size": 126464}),
            16_801_974_272,
        ),
        (
            "moonshotai/Kimi-VL-A3B-Instruct",
            json!({"architectures": ["KimiVLForConditionalGeneration"], "model_type": "kimi_vl", "text_config":
                {"model_type": "deepseek_v3", "hidden_size": 2048, "intermediate_size": 11264, "moe_intermediate_size": 1408,
                "num_hidden_layers": 27, "num_attention_heads": 16, "n_routed_experts": 64, "n_shared_experts": 2,
                "num_experts_per_tok": 6, "first_k_dense_replace": 1, "topk_method": "noaux_tc", "q_lora_rank": null,
                "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
                "vocab_size": 163840}, "vision_config": {"hidden_size": 1152, "intermediate_size": 4304,
                "num_hidden_layers": 27, "num_attention_heads": 16, "patch_size": 14, "merge_kernel_size": [2, 2]}}),
            // The files' total also counts 3,392 numbers by which experts are balanced.
            16_407_657_776 - 3_392,
        ),
        (
            "OpenGVLab/InternVL3-8B",
            intern(json!({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 3584,
                "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
                "vocab_size": 151674, "tie_word_embeddings": false})),
            7_944_373_760,
        ),
        (
            "OpenGVLab/InternVL2-8B",
            intern(json!({"architectures": ["InternLM2ForCausalLM"], "model_type": "internlm2", "hidden_size": 4096,
                "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
                "vocab_size": 92553, "bias": false})),
            8_075_365_376,
        ),
        (
            "openbmb/MiniCPM-2B-sft-bf16",
            json!({"architectures": ["MiniCPMForCausalLM"], "model_type": "minicpm", "hidden_size": 2304,
                "intermediate_size": 5760, "num_hidden_layers": 40, "num_attention_heads": 36, "num_key_value_heads": 36,
                "vocab_size": 122753, "max_position_embeddings": 2048}),
            2_724_880_896,
        ),
    ];
    let wrong: Vec<_> = cases
        .into_iter()
        .map(|(id, config, total)| (id, parameters(config), total))
        .filter(|(_, ours, total)| ours != total)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
