//! Storage formats on models and ranks: what has no stored answer of a peer is held to the documented sizes.
#![allow(clippy::unwrap_used, reason = "configs here are known to be whole")]

mod corpus;
#[path = "corpus/shards.rs"]
mod shards;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shardfit::engines::vllm::{Release, after_load, sharding};
use shardfit::engines::{Settings, ShardTotals};
use shardfit::model::{Checkpoint, CheckpointFile, CheckpointTensor, Disagreement, FileLocation, Model};
use shardfit::placement::{RankRequest, place};
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::sharding::{Fill, Layout, Rank, RankTensor, ShardError, shard};
use shardfit::units::{Bytes, DType};

const V0_11: &str = "0.11.2";

fn config(quantization: Value) -> Value {
    json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 1024, "intermediate_size": 2048,
        "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 512,
        "max_position_embeddings": 256, "torch_dtype": "bfloat16", "tie_word_embeddings": false,
        "quantization_config": quantization})
}

fn model(quantization: Value) -> Model {
    Model::from_config(&config(quantization), None).unwrap()
}

fn build(model: &Model, tp: u32) -> Result<Vec<RankTensor>, ShardError> {
    built_by(model, tp, V0_11)
}

fn built_by(model: &Model, tp: u32, version: &str) -> Result<Vec<RankTensor>, ShardError> {
    let layout = Layout { tp, pp: 1, dp: 1, ep: false };
    let rules = sharding::rules(model, layout, DType::BF16, None, Release::of(version.parse().unwrap()))?;
    shard(model, layout, &rules, Rank { tp_rank: 0, pp_rank: 0 })
}

fn tensor<'a>(tensors: &'a [RankTensor], suffix: &str) -> Option<&'a RankTensor> {
    tensors.iter().find(|t| t.name.ends_with(suffix))
}

fn totals(model: &Model, tp: u32, gpu: &str) -> ShardTotals {
    totals_by(model, tp, gpu, V0_11)
}

fn totals_by(model: &Model, tp: u32, gpu: &str, version: &str) -> ShardTotals {
    let card = shardfit::hardware::Card::of_profile(&GpuCatalogue::built_in().select(gpu).unwrap());
    let tensors = built_by(model, tp, version).unwrap();
    let changes = after_load::changes(model, &tensors, &card, Release::of(version.parse().unwrap()));
    ShardTotals::new(tensors, changes)
}

/// Bytes that the files hold of one matrix of 2048 inputs and 1024 outputs, with all that belongs to it.
fn stored_bytes(quantization: Value) -> u64 {
    let own = |name: &str| name.starts_with("model.layers.{}.mlp.down_proj.");
    let model = model(quantization);
    model.tensors().iter().filter(|t| own(&t.name)).map(|t| t.dtype.unwrap().size(t.elements()).0).sum()
}

/// Every format's bytes on one matrix, by the shapes its own documentation gives.
#[test]
fn each_format_has_its_exact_bytes() {
    const N: u64 = 2048 * 1024;
    let (scales, words) = (16 * 1024 * 2, |bits: u64| 16 * 1024 / 32 * bits * 4);
    let gptq =
        |bits: u64| json!({"quant_method": "gptq", "bits": bits, "group_size": 128, "desc_act": false, "sym": true});
    let gptq_bytes = |bits: u64| N / 32 * bits * 4 + 4 * 2048 + scales + words(bits);
    let packed = |weights: Value, format: &str| {
        json!({"quant_method": "compressed-tensors", "format": format, "ignore": ["lm_head"],
            "config_groups": {"g": {"targets": ["Linear"], "weights": weights, "input_activations": null}}})
    };
    let int4 = json!({"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 128});
    let int8 = json!({"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel"});
    let float8 = json!({"num_bits": 8, "type": "float", "symmetric": true, "strategy": "channel"});
    let double = |nested: bool| {
        json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": nested})
    };
    let hqq = |bits: u64| json!({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": bits, "group_size": 64}}});
    let cases = [
        ("plain", Value::Null, 2 * N),
        // Words of eight weights; a scale and a packed zero point for 128.
        (
            "AWQ",
            json!({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true}),
            N / 2 + scales + words(4),
        ),
        ("GPTQ 2", gptq(2), gptq_bytes(2)),
        ("GPTQ 3", gptq(3), gptq_bytes(3)),
        ("GPTQ 4", gptq(4), gptq_bytes(4)),
        ("GPTQ 8", gptq(8), gptq_bytes(8)),
        (
            "AutoRound",
            json!({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": true,
                "packing_format": "auto_round:auto_gptq"}),
            gptq_bytes(4),
        ),
        // Two 64-bit numbers remember the shape.
        ("W4A16", packed(int4, "pack-quantized"), N / 2 + scales + 16),
        ("W8A8 int", packed(int8, "int-quantized"), N + 1024 * 4),
        ("W8A8 float", packed(float8, "float-quantized"), N + 1024 * 4),
        ("FP8 dynamic", json!({"quant_method": "fp8", "activation_scheme": "dynamic"}), N + 4),
        ("FP8 static", json!({"quant_method": "fp8", "activation_scheme": "static"}), N + 8),
        ("FP8 blocks", json!({"quant_method": "fp8", "weight_block_size": [128, 128]}), N + 16 * 8 * 4),
        ("FBGEMM", json!({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}), N + 1024 * 4),
        // Half a byte a weight, a float8 scale for 16, one for all and one for activations.
        (
            "NVFP4",
            json!({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16, "ignore": ["lm_head"]}),
            N / 2 + N / 16 + 8,
        ),
        ("NF4", double(false), N / 2 + N / 64 * 4 + 64),
        // Scales of 64 weights in a byte each, those of 256 scales in four; a table of each.
        ("NF4 double", double(true), N / 2 + N / 64 + 64 + N / 64 / 256 * 4 + 1024),
        // One byte says how rows lie.
        ("LLM.int8", json!({"quant_method": "bitsandbytes", "load_in_8bit": true}), N + 1024 * 4 + 1),
        ("HQQ 4", hqq(4), N / 2 + N / 64 * 4),
        ("HQQ 8", hqq(8), N + N / 64 * 4),
        ("TorchAO int4", json!({"quant_method": "torchao", "quant_type": "int4_weight_only"}), N / 2 + 16 * 1024 * 4),
        ("TorchAO int8", json!({"quant_method": "torchao", "quant_type": "int8_weight_only"}), N + 1024 * 2),
    ];
    for (name, quantization, bytes) in cases {
        assert_eq!(stored_bytes(quantization), bytes, "{name}");
    }
}

/// A release refuses what it has no kernel for, in its words.
#[test]
fn widths_and_methods_without_a_kernel_are_refused() {
    let refusal = |quantization: Value, version: &str| {
        let model = model(quantization);
        let error = built_by(&model, 1, version).unwrap_err();
        shardfit::engines::vllm::refusals::does_not_divide(&error, &model).to_string()
    };
    let awq = json!({"quant_method": "awq", "bits": 3, "group_size": 128});
    assert_eq!(refusal(awq, V0_11), "Currently, only 4-bit weight quantization is supported for AWQ, but got 3 bits.");
    let hqq = json!({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}});
    assert!(built_by(&model(hqq.clone()), 1, V0_11).is_ok());
    assert_eq!(refusal(hqq, "0.25.1"), "Unknown quantization method: hqq.");
    let stored = json!({"quant_method": "bitsandbytes", "load_in_4bit": true});
    assert!(built_by(&model(stored.clone()), 1, "0.25.1").is_ok());
    assert_eq!(refusal(stored, "0.33.0"), "Unknown quantization method: bitsandbytes.");
    // Eight ranks have 128 inputs of `o_proj` each, half a group.
    let awq = model(json!({"quant_method": "awq", "bits": 4, "group_size": 256}));
    let error = built_by(&awq, 8, V0_11).unwrap_err();
    assert!(matches!(error, ShardError::Quantization { input: true, features: 128, unit: 256, .. }), "{error}");
}

#[test]
fn fused_modules_have_one_scale_a_matrix_until_they_are_loaded() {
    let model = model(json!({"quant_method": "fp8", "activation_scheme": "static"}));
    let tensors = build(&model, 2).unwrap();
    assert_eq!(tensor(&tensors, "qkv_proj.weight_scale").unwrap().shape, [3]);
    assert_eq!(tensor(&tensors, "gate_up_proj.input_scale").unwrap().shape, [2]);
    assert_eq!(tensor(&tensors, "o_proj.weight_scale").unwrap().shape, [1]);
    let Fill::Files(copies) = &tensor(&tensors, "qkv_proj.weight_scale").unwrap().fill else {
        panic!("not from files")
    };
    assert_eq!(copies.iter().map(|c| c.to[0]).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(tensor(&tensors, "lm_head.weight_scale").is_none());
    // Hopper brings fused matrices to one scale; Ampere has no FP8 units and gives each output a scale for Marlin.
    let (hopper, ampere) = (totals(&model, 2, "H100"), totals(&model, 2, "A100-80GB"));
    assert!(hopper.resident < hopper.constructed && ampere.resident > ampere.constructed);
}

/// Weights of the matrices of all layers.
const WEIGHTS: u64 = 4 * (1024 * 2048 + 1024 * 1024 + 3 * 1024 * 2048);

/// Bytes of what stays resident of quantised matrices.
fn quantised_bytes(totals: &ShardTotals) -> u64 {
    let own = |t: &&RankTensor| {
        t.name.rsplit('.').next().is_some_and(|s| s.contains("qweight") || s.contains("scales") || s.contains("zero"))
            || t.name.ends_with("g_idx")
    };
    let of_attention = |t: &&RankTensor| t.name.contains(".attn.");
    let built: u64 = totals.tensors.iter().filter(own).filter(|t| !of_attention(t)).map(|t| t.bytes().0).sum();
    let changed: i128 = totals.changes.iter().map(|c| c.bytes.0).sum();
    u64::try_from(i128::from(built) + changed).unwrap()
}

#[test]
fn kernels_keep_and_drop_what_their_cards_need() {
    let awq = model(json!({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true}));
    let gptq = model(json!({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "sym": true}));
    // Four fused matrices a layer have lock words for each of 132 or 108 multiprocessors.
    let locks = |multiprocessors: u64| 4 * 4 * 4 * multiprocessors;
    // AWQ: half a byte a weight, a scale and a packed zero point for 128; as numbers from the release on that has Machete for it.
    assert_eq!(quantised_bytes(&totals(&awq, 1, "H100")), WEIGHTS / 2 + WEIGHTS / 128 * 5 / 2 + locks(132));
    assert_eq!(quantised_bytes(&totals_by(&awq, 1, "H100", "0.25.1")), WEIGHTS / 2 + WEIGHTS / 128 * 4);
    assert_eq!(
        quantised_bytes(&totals_by(&awq, 1, "A100-80GB", "0.25.1")),
        WEIGHTS / 2 + WEIGHTS / 128 * 5 / 2 + locks(108)
    );
    // GPTQ: Hopper keeps all, with an index of its inputs for each matrix; Marlin drops zero points and indices.
    let indices = 4 * 4 * (3 * 1024 + 2048);
    assert_eq!(quantised_bytes(&totals(&gptq, 1, "H100")), WEIGHTS / 2 + WEIGHTS / 128 * 5 / 2 + indices);
    assert_eq!(quantised_bytes(&totals(&gptq, 1, "A100-80GB")), WEIGHTS / 2 + WEIGHTS / 128 * 2 + locks(108));
}

#[test]
fn scales_of_a_checkpoint_find_their_places() {
    let model = model(json!({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]}));
    let (mut tensors, mut offset) = (Vec::new(), 0);
    for template in model.tensors() {
        for name in template.names() {
            // ModelOpt writes scalars.
            let shape = if name.ends_with("scale") { Vec::new() } else { template.shape.clone() };
            let dtype = template.dtype.unwrap();
            let bytes = dtype.size(shape.iter().product());
            tensors.push(CheckpointTensor { name, dtype, shape, file: 0, offset, bytes });
            offset += bytes.0;
        }
    }
    let location = FileLocation::Local("model.safetensors".into());
    let file = CheckpointFile { name: "model.safetensors".to_owned(), location, size: Bytes(offset) };
    let checkpoint = Checkpoint::new(vec![file], tensors, BTreeMap::new()).unwrap();
    let stored = checkpoint.tensors().iter().map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice()));
    assert_eq!(model.disagreements(stored), []);
    let ranks = build(&model, 2).unwrap();
    let placed = place(&[RankRequest { rank: 0, device: 0, tensors: &ranks }], &checkpoint).unwrap();
    let scale = |layer: u32, name: &str| format!("model.layers.{layer}.self_attn.{name}.weight_scale");
    let read = placed.reads.iter().find(|r| r.tensor == scale(2, "v_proj")).unwrap();
    let target = &placed.ranks[0].tensors[read.destinations[0].tensor];
    assert_eq!((target.name.as_str(), target.shape.as_slice()), (scale(2, "qkv_proj").as_str(), &[3][..]));
    assert_eq!((read.destinations[0].copy.target_offset, read.destinations[0].copy.width), (8, 4));
}

#[test]
fn only_some_layers_can_be_quantised() {
    let ignore = ["lm_head", "re:.*layers\\.1\\..*", "model.layers.3.mlp.down_proj"];
    let model = model(json!({"quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ignore,
        "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
            "input_activations": {"num_bits": 8, "type": "float", "strategy": "token", "dynamic": true}}}}));
    let scales = |suffix: &str| {
        let templates = model.tensors();
        let names: Vec<String> = templates.iter().flat_map(|t| t.names()).filter(|n| n.ends_with(suffix)).collect();
        names.len()
    };
    assert_eq!(scales("q_proj.weight_scale"), 3);
    assert_eq!(scales("down_proj.weight_scale"), 2);
    assert_eq!(scales("down_proj.weight"), 4);
    let tensors = build(&model, 1).unwrap();
    let plain: u64 = tensors
        .iter()
        .filter(|t| t.name.ends_with("qkv_proj.weight") && t.dtype == DType::BF16)
        .map(|t| t.place.count())
        .sum();
    assert_eq!(plain, 1);
}

#[test]
fn matrices_that_are_built_as_one_must_be_stored_alike() {
    let model =
        model(json!({"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["q_proj"]}));
    let error = build(&model, 1).unwrap_err();
    assert!(matches!(error, ShardError::MixedPrecision { .. }), "{error}");
}

#[test]
fn gptq_rules_give_modules_other_widths() {
    let model = model(json!({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "sym": true,
        "lm_head": true, "dynamic": {"-:.*\\.o_proj": {}, "+:.*\\.down_proj": {"bits": 8}}}));
    let tensors = build(&model, 1).unwrap();
    assert_eq!(tensor(&tensors, "qkv_proj.qweight").unwrap().shape, [1024 / 8, 2048]);
    assert_eq!(tensor(&tensors, "down_proj.qweight").unwrap().shape, [2048 / 4, 1024]);
    assert!(tensor(&tensors, "o_proj.qweight").is_none() && tensor(&tensors, "o_proj.weight").is_some());
    assert!(tensor(&tensors, "lm_head.qweight").is_some());
}

#[test]
fn act_order_keeps_all_groups_on_every_rank() {
    let model = model(json!({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": true, "sym": true}));
    let tensors = build(&model, 2).unwrap();
    // Rows of `down_proj` are divided, groups are not.
    assert_eq!(tensor(&tensors, "down_proj.qweight").unwrap().shape, [1024 / 8, 1024]);
    assert_eq!(tensor(&tensors, "down_proj.scales").unwrap().shape, [16, 1024]);
    assert_eq!(tensor(&tensors, "gate_up_proj.scales").unwrap().shape, [8, 2048]);
}

#[test]
fn stored_state_of_bitsandbytes_cannot_be_divided() {
    let stored =
        model(json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_use_double_quant": true}));
    assert_eq!(build(&stored, 2).unwrap_err(), ShardError::QuantizationState { tp: 2 });
    let one = totals(&stored, 1, "H100");
    // Scales of 64 weights come back as float32: 0.5625 bytes a weight and a table of 16 numbers a stored matrix.
    let weights = 4 * (1024 * 2048 + 1024 * 1024 + 3 * 1024 * 2048) as u64;
    let tables = 4 * 7 * 64;
    assert_eq!(one.resident.0 - plain_bytes(&one), weights / 2 + weights / 16 + tables);

    let plain = Model::from_config(&config(Value::Null), None).unwrap();
    let settings = Settings { quantization: Some("bitsandbytes".to_owned()), ..Settings::default() };
    let chosen = after_load::as_chosen(&plain, &settings).unwrap();
    let tensors = build(&chosen, 2).unwrap();
    assert_eq!(tensor(&tensors, "gate_up_proj.weight").unwrap().shape, [1024 * 2048 / 2, 1]);
    // Files hold plain matrices.
    assert_eq!(chosen.checkpoint_bytes(), plain.checkpoint_bytes());
}

/// Bytes of what is not quantised: tables, norms, scales of attention.
fn plain_bytes(totals: &ShardTotals) -> u64 {
    let packed = |t: &&RankTensor| t.dtype == DType::U8;
    let all: u64 = totals.tensors.iter().map(|t| t.bytes().0).sum();
    all - totals.tensors.iter().filter(packed).map(|t| t.bytes().0).sum::<u64>()
}

#[test]
fn plain_weights_are_halved_while_loading() {
    let plain = Model::from_config(&config(Value::Null), None).unwrap();
    let settings = Settings { quantization: Some("fp8".to_owned()), ..Settings::default() };
    let chosen = after_load::as_chosen(&plain, &settings).unwrap();
    let (before, after) = (totals(&plain, 1, "H100"), totals(&chosen, 1, "H100"));
    let weights = 4 * (1024 * 2048 + 1024 * 1024 + 3 * 1024 * 2048) as u64;
    // Room for scales of the cache is made and given back; each of four matrices a layer has one scale.
    assert_eq!(after.constructed.0, before.constructed.0 + 4 * 4 * 2);
    assert_eq!(after.resident.0, before.resident.0 - weights + 4 * 4 * 4);

    let awq = model(json!({"quant_method": "awq", "bits": 4, "group_size": 128}));
    assert!(after_load::as_chosen(&awq, &settings).is_err());
    let same = Settings { quantization: Some("awq_marlin".to_owned()), ..Settings::default() };
    assert!(after_load::as_chosen(&awq, &same).is_ok());
    let unknown = Settings { quantization: Some("magic".to_owned()), ..Settings::default() };
    assert!(after_load::as_chosen(&plain, &unknown).is_err());
}

#[test]
fn experts_of_gpt_oss_are_blocks_padded_for_the_kernel() {
    let Some(Ok(model)) = corpus::model("openai/gpt-oss-20b") else { panic!("gpt-oss is not read") };
    let names: Vec<(String, Vec<u64>)> = model.tensors().into_iter().map(|t| (t.name, t.shape)).collect();
    let blocks = ("model.layers.{}.mlp.experts.gate_up_proj_blocks".to_owned(), vec![32, 5760, 90, 16]);
    assert!(names.contains(&blocks), "{names:?}");
    let card = shards::h100();
    for (tp, width) in [(1, 2880), (2, 1472), (4, 768), (8, 384)] {
        let layout = Layout { tp, pp: 1, dp: 1, ep: false };
        let mut rules =
            sharding::rules(&model, layout, DType::BF16, None, Release::of(V0_11.parse().unwrap())).unwrap();
        rules.expert_padding = after_load::expert_padding(&card);
        let tensors = shard(&model, layout, &rules, Rank { tp_rank: tp - 1, pp_rank: 0 }).unwrap();
        assert_eq!(tensor(&tensors, "w13_weight").unwrap().shape, [32, 2 * width, 90, 16]);
        assert_eq!(tensor(&tensors, "w2_weight_scale").unwrap().shape, [32, 2880, width / 32]);
        assert_eq!(tensor(&tensors, "w13_bias").unwrap().shape, [32, 2 * width]);
    }
    // 12.85 GiB as created, with rotary table (engines-vllm: gpt-oss-20b on Hopper), and the log's 13.5 after loading.
    let layout = Layout::SINGLE;
    let mut rules = sharding::rules(&model, layout, DType::BF16, None, Release::of(V0_11.parse().unwrap())).unwrap();
    rules.expert_padding = after_load::expert_padding(&card);
    let tensors = shard(&model, layout, &rules, Rank { tp_rank: 0, pp_rank: 0 }).unwrap();
    let changes = after_load::changes(&model, &tensors, &card, Release::of(V0_11.parse().unwrap()));
    let totals = ShardTotals::new(tensors, changes);
    assert!((totals.constructed.as_gib() - 12.85).abs() < 0.005, "{}", totals.constructed.as_gib());
    assert!((totals.resident.as_gib() - 13.5).abs() < 0.1, "{}", totals.resident.as_gib());
}

#[test]
fn files_may_hold_scales_in_another_form() {
    let model = model(json!({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]}));
    let templates = model.tensors();
    let mut stored: Vec<(String, DType, Vec<u64>)> = Vec::new();
    for template in &templates {
        for name in template.names() {
            let scale = name.ends_with("scale");
            let shape = if scale { Vec::new() } else { template.shape.clone() };
            let dtype = if scale { DType::BF16 } else { template.dtype.unwrap() };
            stored.push((name, dtype, shape));
        }
    }
    stored.push(("model.layers.0.self_attn.k_proj.k_scale".to_owned(), DType::F32, Vec::new()));
    let compare = |stored: &[(String, DType, Vec<u64>)]| {
        model.disagreements(stored.iter().map(|(n, d, s)| (n.as_str(), *d, s.as_slice())))
    };
    assert_eq!(compare(&stored), []);
    let weight = stored.iter_mut().find(|(n, _, _)| n.ends_with("o_proj.weight")).unwrap();
    weight.1 = DType::BF16;
    assert!(matches!(compare(&stored).as_slice(), [Disagreement::DType { .. }]));
}

#[test]
fn hostile_configs_are_named_and_never_panic() {
    let long = "a".repeat(5000);
    let methods = [
        "awq",
        "gptq",
        "auto-round",
        "fp8",
        "fbgemm_fp8",
        "compressed-tensors",
        "modelopt",
        "bitsandbytes",
        "mxfp4",
        "torchao",
        "hqq",
        "",
    ];
    let values = [
        json!(null),
        json!(-1),
        json!(0),
        json!(1u64 << 60),
        json!(4),
        json!("x"),
        json!(long),
        json!([]),
        json!([[1, "(", {}]]),
        json!({}),
        json!({"re:(": {}, "+:(": {"bits": 3}}),
        json!(true),
    ];
    let fields = [
        "bits",
        "group_size",
        "desc_act",
        "dynamic",
        "extra_config",
        "weight_block_size",
        "ignore",
        "config_groups",
        "quant_algo",
        "quantized_layers",
        "exclude_modules",
        "modules_to_not_convert",
        "quant_type",
        "quant_config",
        "modules_in_block_to_quantize",
        "block_name_to_quantize",
        "llm_int8_skip_modules",
        "kv_cache_scheme",
    ];
    for method in methods {
        for field in fields {
            for value in &values {
                let quantization = json!({"quant_method": method, "bits": 4, "group_size": 128, "load_in_4bit": true,
                    field: value});
                if let Ok(model) = Model::from_config(&config(quantization), None) {
                    for tp in [1, 2, 8] {
                        let _ = build(&model, tp).map(|tensors| ShardTotals::new(tensors, Vec::new()));
                    }
                    let _ = model.checkpoint_bytes();
                }
            }
        }
    }
}
