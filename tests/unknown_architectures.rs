//! Models of unknown architecture, read from the tensors of known ones: nothing is lost, and common layouts divide as if they were known.
#![allow(clippy::unwrap_used, reason = "stored facts are known to be whole")]

mod corpus;

use serde_json::{Value, json};
use shardfit::engines::vllm::{Release, sharding};
use shardfit::model::{Assumed, ConfigError, Instances, Model};
use shardfit::sharding::{Layout, Rank, RankTensor, shard};
use shardfit::units::{Bytes, DType};

type Tensors = Vec<(String, DType, Vec<u64>)>;

/// The tensors of a stored list, numbers written out.
fn tensors(list: &Value) -> Tensors {
    let mut all = Vec::new();
    for tensor in list["tensors"].as_array().unwrap() {
        let mut names = vec![tensor[0].as_str().unwrap().to_owned()];
        for numbers in tensor[1].as_array().unwrap() {
            let numbers: Vec<u32> = numbers.as_str().unwrap().split(',').flat_map(range).collect();
            names = names
                .iter()
                .flat_map(|name| numbers.iter().map(|number| name.replacen("{}", &number.to_string(), 1)))
                .collect();
        }
        let shape: Vec<u64> = tensor[2].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let dtype: DType = tensor[3].as_str().unwrap().parse().unwrap();
        all.extend(names.into_iter().map(|name| (name, dtype, shape.clone())));
    }
    all
}

/// `3` or `0-27`.
fn range(text: &str) -> std::ops::RangeInclusive<u32> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().unwrap()..=last.parse().unwrap()
}

fn read(config: &Value, tensors: &Tensors) -> Result<Assumed, ConfigError> {
    Model::from_tensors(config, tensors.iter().map(|(name, dtype, shape)| (name.as_str(), *dtype, shape.as_slice())))
}

/// The config of a model under a name that no family claims.
fn disguised(id: &str) -> Option<Value> {
    let mut config = corpus::config(id)?;
    config["architectures"] = json!(["MysteryForCausalLM"]);
    config.as_object_mut().unwrap().remove("quantization_config");
    Some(config)
}

fn bytes_per_rank(model: &Model, tp: u32) -> Bytes {
    let layout = Layout { tp, ..Layout::SINGLE };
    let release = Release::of("0.11.2".parse().unwrap());
    let rules = sharding::rules(model, layout, DType::BF16, None, release).unwrap();
    let rank = Rank { tp_rank: 0, pp_rank: 0 };
    shard(model, layout, &rules, rank).unwrap().iter().map(RankTensor::bytes).sum()
}

#[test]
fn every_tensor_is_counted() {
    let mut read_lists = 0;
    for list in corpus::parameter_lists() {
        let id = list["id"].as_str().unwrap();
        let Some(config) = disguised(id) else { continue };
        // State-space models alone state no heads.
        let tensors = tensors(&list);
        let assumed = match read(&config, &tensors) {
            Err(ConfigError::Missing { field, .. }) if field.contains("num_attention_heads") => continue,
            other => other.unwrap_or_else(|error| panic!("{id}: {error}")),
        };
        assert!(assumed.assumptions[0].contains("MysteryForCausalLM"), "{id}");
        assert_eq!(
            assumed.model.parameters(),
            list["params_total"].as_u64().unwrap(),
            "{id}: {:?}",
            assumed.assumptions
        );
        let mut ours: Vec<String> = assumed.model.tensors().iter().flat_map(|t| t.names()).collect();
        let mut theirs: Vec<String> = tensors.iter().map(|(name, ..)| name.clone()).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert!(ours == theirs, "{id}: names differ");
        read_lists += 1;
    }
    assert!(read_lists >= 170, "only {read_lists} lists were read");
}

#[test]
fn common_layouts_divide_as_if_they_were_known() {
    let models = [
        "meta-llama/Llama-3.1-8B-Instruct",
        "Qwen/Qwen2.5-72B-Instruct",
        "Qwen/Qwen3-32B",
        "microsoft/phi-4",
        "allenai/OLMo-2-0325-32B",
        "zai-org/glm-4-9b-chat-hf",
        "bigcode/starcoder2-7b",
    ];
    let lists = corpus::parameter_lists();
    for id in models {
        let list = lists.iter().find(|list| list["id"] == id).unwrap();
        let assumed = read(&disguised(id).unwrap(), &tensors(list)).unwrap();
        let known = corpus::model(id).unwrap().unwrap();
        for tp in [1, 2] {
            assert_eq!(bytes_per_rank(&assumed.model, tp), bytes_per_rank(&known, tp), "{id} tp {tp}");
        }
        assert_eq!(assumed.model.caches, known.caches, "{id}");
    }
}

#[test]
fn what_shapes_do_not_tell_is_named() {
    let tensors: Tensors = vec![
        ("model.embed_tokens.weight".into(), DType::BF16, vec![100, 64]),
        ("model.layers.0.self_attn.q_proj.weight".into(), DType::BF16, vec![64, 64]),
    ];
    let error = read(&json!({"model_type": "mystery"}), &tensors).unwrap_err();
    assert!(error.to_string().contains("num_attention_heads"), "{error}");
    assert_eq!(read(&json!({}), &Vec::new()), Err(ConfigError::NoLayers));
    assert_eq!(read(&json!([]), &tensors), Err(ConfigError::NotAnObject));
}

#[test]
fn drafts_and_nameless_tensors_are_said() {
    let mut tensors: Tensors = Vec::new();
    for layer in 0..3 {
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            tensors.push((format!("model.layers.{layer}.self_attn.{name}.weight"), DType::BF16, vec![64, 64]));
        }
        tensors.push((format!("model.layers.{layer}.secret.weight"), DType::BF16, vec![64, 32]));
    }
    let config = json!({"architectures": ["Mystery"], "num_attention_heads": 4, "num_hidden_layers": 2, "hidden_size": 64,
        "vocab_size": 100});
    let assumed = read(&config, &tensors).unwrap();
    assert_eq!(assumed.model.layers, 2);
    assert!(assumed.model.modules.iter().all(|m| !matches!(&m.instances, Instances::Layers(l) if l.contains(2))));
    let said = assumed.assumptions.join("\n");
    assert!(said.contains("drafts") && said.contains("secret"), "{said}");
}
