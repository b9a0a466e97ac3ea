//! The estimator against the exact answers of the peers' own code.
#![allow(clippy::unwrap_used, reason = "stored facts are known to be whole")]

#[path = "corpus/classes.rs"]
mod classes;
mod corpus;
#[path = "corpus/kv.rs"]
mod kv;
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
    assert!(read >= 245, "only {read} models were read");
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

/// Bytes per rank, constructed and after the kernels' processing, to the byte in every part: all rows of all models that are read.
#[test]
fn bytes_per_rank_are_exact() {
    let card = shards::h100();
    let mut exact = BTreeMap::<(String, String), u32>::new();
    for row in corpus::rows("oracle/vllm_shards.jsonl") {
        let id = row["model"].as_str().unwrap();
        let Some(Ok(model)) = corpus::model(id) else { continue };
        let compared = shards::compare(&model, &row, &card).unwrap();
        assert!(compared.exact() && compared.parts.is_empty(), "{id} tp {} pp {}: {compared:?}", row["tp"], row["pp"]);
        let kind = row["quant"].as_str().unwrap_or("plain");
        *exact.entry((row["vllm"].as_str().unwrap().to_owned(), kind.to_owned())).or_default() += 1;
    }
    let least = [
        ("0.11.2", "plain", 923),
        ("0.11.2", "awq_marlin", 49),
        ("0.11.2", "gptq_marlin", 21),
        ("0.11.2", "fp8", 64),
        ("0.11.2", "compressed-tensors", 29),
        ("0.11.2", "modelopt", 5),
        ("0.11.2", "modelopt_fp4", 15),
        ("0.25.1", "plain", 51),
        ("0.25.1", "fp8", 10),
        ("0.25.1", "compressed-tensors", 8),
        ("0.25.1", "modelopt_fp4", 16),
        ("0.25.1", "modelopt_mixed", 4),
        ("0.25.1", "deepseek_v4_fp8", 4),
    ];
    for (version, kind, count) in least {
        let found = exact.get(&(version.to_owned(), kind.to_owned())).copied().unwrap_or(0);
        assert!(found >= count, "only {found} rows of {kind} in {version}: {exact:?}");
    }
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
    assert!(refused >= 80, "only {refused} refusals were compared");
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
    assert!(sized >= 622 && refused >= 57, "only {sized} pools and {refused} refusals were compared");
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
            compared += 1;
            assert!(result.exact(), "{id} {version} {} {}: {result:?}", row["max_memory_name"], row["mode"]);
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
