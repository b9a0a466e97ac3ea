//! The estimator against the exact answers of the peers' own code.
#![allow(clippy::unwrap_used, reason = "stored facts are known to be whole")]

#[path = "corpus/classes.rs"]
mod classes;
mod corpus;
#[path = "corpus/maps.rs"]
mod maps;
#[path = "corpus/runs.rs"]
mod runs;
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
        let Some(Ok(mut model)) = corpus::model(id) else { continue };
        model.quantization = None;
        let ours = classes::as_built(&model, list["built_by"].as_str().unwrap());
        let theirs: BTreeSet<classes::Listed> = list["tensors"]
            .as_array()
            .unwrap()
            .iter()
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

/// Every layer and module of a device map, the caps it was made under and the bytes on each device: both planners.
#[test]
fn device_maps_are_exact() {
    for (file, version, least) in [("device_maps", "4.57.6", 855), ("device_maps_v5", "5.23.0", 432)] {
        let mut compared = 0;
        for row in corpus::rows(&format!("oracle/{file}.jsonl")) {
            let id = row["model"].as_str().unwrap();
            let Some(Ok(model)) = corpus::model(id) else { continue };
            let result = maps::compare(&model, &row, maps::version(version));
            assert!(result.exact(), "{id} {} {}: {result:?}", row["max_memory_name"], row["mode"]);
            compared += 1;
        }
        assert!(compared >= least, "only {compared} maps of {version} were compared");
    }
}

/// Published sums of what torch had allocated at most, run by run: the mean of the misses stays below a tenth in every series.
#[test]
fn published_peaks_of_transformers_are_near() {
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in corpus::rows("runs/others.jsonl") {
        let Some(run) = runs::run(&row) else { continue };
        let Some(Ok(model)) = corpus::model_or_sibling(row["model"].as_str().unwrap()) else { continue };
        let plan = runs::plan(&model, &run).unwrap();
        let miss = (runs::allocated(&plan).0 as f64 / run.peak as f64 - 1.0).abs();
        series.entry(run.version.to_string()).or_default().push(miss);
    }
    assert!(series.values().map(Vec::len).sum::<usize>() >= 130, "{series:?}");
    for (version, misses) in series {
        let mean = misses.iter().sum::<f64>() / misses.len() as f64;
        assert!(mean < 0.1, "{version}: {mean:.3} over {} runs", misses.len());
    }
}
