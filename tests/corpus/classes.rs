//! Names of checkpoint tensors as Transformers' classes have them in memory, where the two differ.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "test data is known to be whole")]

use std::collections::{BTreeMap, BTreeSet};

use shardfit::model::{IndexSet, Instances, Model, TensorTemplate};

/// A template: name, ranges of its `{}` joined by `;`, shape.
pub type Listed = (String, String, Vec<u64>);

/// The numbers that a template's `{}` stands for, as the lists write them.
pub fn ranges(instances: &Instances) -> String {
    match instances {
        Instances::First | Instances::Last => String::new(),
        Instances::Layers(layers) | Instances::Tower(layers) => layers.to_string(),
        Instances::Experts { layers, experts } => format!("{layers};0-{}", experts - 1),
    }
}

/// Our templates as the classes of a release have them.
///
/// From version 5 on the classes keep a layer's experts in one tensor and load published checkpoints through a table of renames
/// (`conversion_mapping.py`). Llama 4 had such tensors before, in published checkpoints too, but not in quantised ones.
pub fn as_built(model: &Model, built_by: &str) -> BTreeSet<Listed> {
    let five = built_by.starts_with("transformers 5");
    let mut listed = BTreeSet::new();
    // Layers of one tensor that is two modules to us: the lists tell layers apart by shape alone.
    let mut layers_of = BTreeMap::<(String, Vec<u64>), BTreeSet<u32>>::new();
    // Matrices of an expert, by the path of the layer's experts.
    let mut apart = BTreeMap::<String, Vec<(String, TensorTemplate)>>::new();
    for mut template in model.tensors() {
        // Published with each matrix `input × output`, turned round at load.
        if five && model.architecture == "Qwen3VLMoeForConditionalGeneration" && template.shape.len() == 3 {
            template.shape.swap(1, 2);
        }
        // Transformers joins the three convolutions of Kimi Linear and puts a gate's parts below a name of their own.
        if five && model.architecture == "KimiLinearForCausalLM" {
            if [".k_conv1d.", ".v_conv1d."].iter().any(|part| template.name.contains(part)) {
                continue;
            }
            if template.name.ends_with("A_log") {
                template.shape = vec![1, 1, template.shape[0], 1];
            } else if template.name.contains(".q_conv1d.") {
                template.name = template.name.replace(".q_conv1d.", ".conv1d.");
                template.shape[0] *= 3;
            }
            for part in ["A_log", "dt_bias", "f_a_proj", "f_b_proj"] {
                template.name =
                    template.name.replace(&format!("self_attn.{part}"), &format!("self_attn.forget_gate.{part}"));
            }
        }
        match template.name.split_once(".experts.{}.") {
            Some((layer, matrix)) if five || layer.ends_with("feed_forward") && layer.starts_with("language_model") => {
                apart.entry(renamed(layer, five)).or_default().push((matrix.to_owned(), template));
            }
            _ => {
                let name = renamed(&template.name, five);
                match &template.instances {
                    Instances::Layers(layers) => {
                        layers_of.entry((name, template.shape)).or_default().extend(layers.iter());
                    }
                    other => {
                        listed.insert((name, ranges(other), template.shape));
                    }
                }
            }
        }
    }
    for ((name, shape), layers) in layers_of {
        listed.insert((name, IndexSet::from_indices(layers).to_string(), shape));
    }
    for (layer, matrices) in apart {
        let find = |names: [&str; 2]| matrices.iter().find(|(name, _)| names.iter().any(|n| name == n)).map(|(_, t)| t);
        let gate = find(["gate_proj.weight", "w1.weight"]);
        let up = find(["up_proj.weight", "w3.weight"]).unwrap();
        let down = find(["down_proj.weight", "w2.weight"]).unwrap();
        let Instances::Experts { layers, experts } = &up.instances else { panic!("experts have numbers") };
        let mut push = |name: &str, output: u64, input: u64| {
            let (first, second) = if five { (output, input) } else { (input, output) };
            let shape = vec![u64::from(*experts), first, second];
            listed.insert((format!("{layer}.experts.{name}"), layers.to_string(), shape));
        };
        match gate {
            Some(gate) => push("gate_up_proj", gate.shape[0] + up.shape[0], up.shape[1]),
            None => push("up_proj", up.shape[0], up.shape[1]),
        }
        push("down_proj", down.shape[0], down.shape[1]);
    }
    listed
}

fn renamed(name: &str, five: bool) -> String {
    if !five {
        return name.to_owned();
    }
    let name = name.replace("block_sparse_moe", "mlp").replace("attention_sink_bias", "sinks");
    match name.strip_prefix("backbone.") {
        Some(rest) => format!("model.{rest}"),
        None => name,
    }
}
