//! The estimator against the exact answers of the peers' own code.
#![allow(clippy::unwrap_used, reason = "stored facts are known to be whole")]

#[path = "corpus/classes.rs"]
mod classes;
mod corpus;
#[path = "corpus/kv.rs"]
mod kv;
#[path = "corpus/shards.rs"]
mod shards;

use std::collections::{BTreeMap, BTreeSet};

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
        let Some(Ok(model)) = corpus::unquantised(id) else { continue };
        let ours = classes::as_built(&model, list["built_by"].as_str().unwrap());
        // Checkpoints hold the buffers that are saved, too.
        let stored = ["tensors", "persistent_buffers"].into_iter().flat_map(|kind| list[kind].as_array().unwrap());
        let theirs: BTreeSet<classes::Listed> = stored
            .map(|t| {
                let numbers: Vec<&str> = t[1].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
                let shape = t[2].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
                (t[0].as_str().unwrap().to_owned(), numbers.join(";"), shape)
            })
            .collect();
        let (missing, surplus): (Vec<_>, Vec<_>) =
            (theirs.difference(&ours).collect(), ours.difference(&theirs).collect());
        assert!(missing.is_empty() && surplus.is_empty(), "{id}: not derived {missing:?}, derived besides {surplus:?}");
    }
}

/// Bytes per rank, constructed and after the kernels' processing, to the byte and in every part: families whose every row must be exact,
/// in every way that their matrices are stored.
#[test]
fn bytes_per_rank_are_exact() {
    // Rows of both 0.11.2 and 0.25.1.
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
        "Gemma4ForConditionalGeneration",
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
        "DeepseekForCausalLM",
        "DeepseekV2ForCausalLM",
        "DeepseekV3ForCausalLM",
        "DeepseekV32ForCausalLM",
        "Glm4MoeForCausalLM",
        "Llama4ForConditionalGeneration",
        "MiniMaxM2ForCausalLM",
        "MixtralForCausalLM",
        "NemotronHForCausalLM",
        "Qwen2MoeForCausalLM",
        "Qwen3MoeForCausalLM",
        "Qwen3_5ForConditionalGeneration",
        "Qwen3_5MoeForConditionalGeneration",
    ];
    let card = shards::h100();
    let (mut exact, mut quantised) = (0, BTreeMap::<(String, String), u32>::new());
    for row in corpus::rows("oracle/vllm_shards.jsonl") {
        let id = row["model"].as_str().unwrap();
        let Some(Ok(model)) = corpus::model(id) else { continue };
        if !families.contains(&model.architecture.as_str()) {
            continue;
        }
        let compared = shards::compare(&model, &row, &card).unwrap();
        assert!(compared.exact() && compared.parts.is_empty(), "{id} tp {} pp {}: {compared:?}", row["tp"], row["pp"]);
        exact += 1;
        if let Some(method) = row["quant"].as_str() {
            *quantised.entry((row["vllm"].as_str().unwrap().to_owned(), method.to_owned())).or_default() += 1;
        }
    }
    assert!(exact >= 550, "only {exact} rows were compared");
    let least = [("awq_marlin", 40), ("gptq_marlin", 16), ("compressed-tensors", 25), ("fp8", 13), ("modelopt", 5)];
    for (method, count) in least {
        let found = quantised.get(&("0.11.2".to_owned(), method.to_owned())).copied().unwrap_or(0);
        assert!(found >= count, "only {found} rows of {method}");
    }
    assert!(exact >= 767, "only {exact} rows were compared");
}

/// A size is refused exactly where vLLM refuses it.
#[test]
fn refused_sizes_are_those_that_vllm_refuses() {
    let mut refused = 0;
    for row in corpus::rows("oracle/vllm_shard_refusals.jsonl") {
        let Some(Ok(model)) = corpus::model(row["model"].as_str().unwrap()) else { continue };
        if row["of_this_size"].as_bool() != Some(true) {
            continue;
        }
        assert!(shards::refusal(&model, &row).is_some(), "{row}");
        refused += 1;
    }
    assert!(refused >= 38, "only {refused} refusals were compared");
    // Whatever is built must not be refused, which the rows of bytes per rank show.
}

/// Blocks, groups, printed tokens, concurrency and the lengths of refusals of every model that is read.
#[test]
fn kv_pools_are_exact() {
    let (mut sized, mut refused) = (0, 0);
    for row in corpus::rows("oracle/vllm_kv.jsonl") {
        let id = row["model"].as_str().unwrap();
        let Some(Ok(model)) = corpus::model(id) else { continue };
        if let Err(difference) = kv::compare(&model, &row) {
            panic!("{} {id} tp {}: {difference}", row["vllm"], row["tp"]);
        }
        match kv::answer(&row) {
            kv::Answer::Sized => sized += 1,
            kv::Answer::TooLong => refused += 1,
            kv::Answer::None => {}
        }
    }
    assert!(sized >= 580 && refused >= 45, "only {sized} pools and {refused} refusals were compared");
}
