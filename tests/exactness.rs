//! The estimator against the exact answers of the peers' own code.
#![allow(clippy::unwrap_used, reason = "stored facts are known to be whole")]

mod corpus;
#[path = "corpus/shards.rs"]
mod shards;

use std::collections::BTreeSet;

use shardfit::model::{IndexSet, Instances};

/// Every model that is read has exactly the parameters that its classes build.
#[test]
fn parameters_are_exact() {
    let mut read = 0;
    for list in corpus::parameter_lists() {
        let id = list["id"].as_str().unwrap();
        if let Some(Ok(model)) = corpus::model(id) {
            read += 1;
            assert_eq!(model.parameters(), list["params_total"].as_u64().unwrap(), "{id}");
        }
    }
    assert!(read >= 116, "only {read} models were read");
}

/// Names and shapes of the derived tensors are those of the model's own classes.
#[test]
fn tensor_names_and_shapes_are_exact() {
    for list in corpus::parameter_lists() {
        let id = list["id"].as_str().unwrap();
        // Lists built by vLLM's classes have fused names.
        if !list["built_by"].as_str().unwrap().starts_with("transformers") {
            continue;
        }
        let Some(Ok(mut model)) = corpus::model(id) else { continue };
        model.quantization = None;
        let ours: BTreeSet<(String, String, Vec<u64>)> =
            model.tensors().into_iter().map(|t| (t.name, ranges(&t.instances), t.shape)).collect();
        let theirs: BTreeSet<(String, String, Vec<u64>)> = list["tensors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| {
                let numbers: Vec<&str> = t[1].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
                let shape = t[2].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
                (t[0].as_str().unwrap().to_owned(), numbers.join(";"), shape)
            })
            .collect();
        assert_eq!(ours, theirs, "{id}");
    }
}

/// The numbers that a template's `{}` stands for, as the lists write them.
fn ranges(instances: &Instances) -> String {
    match instances {
        Instances::First | Instances::Last => String::new(),
        Instances::Layers(layers) | Instances::Blocks(layers) => layers.to_string(),
        Instances::Experts { layers, experts } => format!("{layers};{}", IndexSet::range(0..*experts)),
    }
}

/// Bytes per rank, constructed and after the kernels' processing, to the byte: families whose every row must be exact.
#[test]
fn bytes_per_rank_are_exact() {
    let families = [
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "InternLM3ForCausalLM",
        "BaichuanForCausalLM",
        "BloomForCausalLM",
        "CohereForCausalLM",
        "DeciLMForCausalLM",
        "FalconForCausalLM",
        "GPT2LMHeadModel",
        "GPTNeoXForCausalLM",
        "Gemma2ForCausalLM",
        "Gemma3ForConditionalGeneration",
        "Glm4ForCausalLM",
        "GlmForCausalLM",
        "GraniteForCausalLM",
        "InternLM2ForCausalLM",
        "MiMoForCausalLM",
        "OPTForCausalLM",
        "Olmo2ForCausalLM",
        "Phi3ForCausalLM",
        "Qwen2VLForConditionalGeneration",
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen3VLForConditionalGeneration",
        "Starcoder2ForCausalLM",
    ];
    let card = shards::h100();
    let mut exact = 0;
    for row in corpus::rows("oracle/vllm_shards.jsonl") {
        if row["vllm"].as_str() != Some("0.11.2") {
            continue;
        }
        let id = row["model"].as_str().unwrap();
        let Some(Ok(model)) = corpus::model(id) else { continue };
        if !families.contains(&model.architecture.as_str()) {
            continue;
        }
        let compared = shards::compare(&model, &row, &card).unwrap();
        assert!(compared.exact() && compared.parts.is_empty(), "{id} tp {} pp {}: {compared:?}", row["tp"], row["pp"]);
        exact += 1;
    }
    assert!(exact >= 752, "only {exact} rows were compared");
}
