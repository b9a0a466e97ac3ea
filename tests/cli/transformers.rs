//! Transformers: one card, and maps written by hand.

use super::{assert_first_screen, golden, run};

const PLANS: &[(&str, i32, &str)] = &[
    ("one_card", 0, "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xL4 --dtype auto"),
    ("one_card_in_single_precision", 1, "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xL4"),
    (
        "one_card_named",
        0,
        "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xL4 --device-map cuda:1 --dtype auto --batch-size 4 --max-model-len 2048",
    ),
    ("one_card_too_small", 1, "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xT4 --dtype float32"),
    (
        "map_by_hand",
        0,
        r#"plan Qwen/Qwen2.5-7B-Instruct --gpus 2xT4 --dtype float16 --device-map '{"model.embed_tokens":0,"model.layers":1,"model.norm":1,"lm_head":1,"model.rotary_emb":1}'"#,
    ),
    (
        "map_that_overloads_one_card",
        1,
        r#"plan Qwen/Qwen2.5-14B-Instruct-GPTQ-Int8 --gpus 2xT4 --device-map '{"":1}' --max-model-len 32768"#,
    ),
    (
        "map_with_a_hole",
        2,
        r#"plan Qwen/Qwen2.5-7B-Instruct --gpus 2xT4 --dtype float16 --device-map '{"model.embed_tokens":0}'"#,
    ),
    ("map_to_a_card_that_is_not_there", 2, r#"plan Qwen/Qwen2.5-7B-Instruct --gpus 2xT4 --device-map '{"":2}'"#),
    ("map_that_is_no_json", 2, "plan Qwen/Qwen2.5-7B-Instruct --gpus 2xT4 --device-map '{model:0}'"),
];

#[test]
fn plans_are_as_they_were() {
    for (name, exit, line) in PLANS {
        let ran = golden(&format!("transformers_{name}"), &format!("{line} --engine transformers@4.57.3"));
        assert_eq!(ran.exit, *exit, "{name}: {}{}", ran.stdout, ran.stderr);
        if *exit < 2 {
            assert_first_screen(name, &ran);
        }
    }
}

/// Layers one by one: 28 of them over two cards, which is no order that a rule would give.
#[test]
fn layers_go_where_the_map_says() {
    let mut map = serde_json::Map::new();
    for name in ["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"] {
        map.insert(name.to_owned(), 0.into());
    }
    for layer in 0..28 {
        map.insert(format!("model.layers.{layer}"), u32::from(layer >= 9).into());
    }
    let map = serde_json::Value::Object(map).to_string();
    let arguments =
        ["plan", "Qwen/Qwen2.5-7B-Instruct", "--gpus", "2xL4", "--engine", "transformers", "--format", "json"];
    let report = run(&[&arguments[..], &["--device-map", &map]].concat()).json();
    let weights = |rank: usize, part: &str| report["ranks"][rank]["weights"][part].as_u64().unwrap_or(0);
    assert_eq!(weights(0, "mlp") * 19, weights(1, "mlp") * 9);
    assert!(weights(0, "embedding") > 0 && weights(0, "lm_head") > 0);
    assert_eq!((weights(1, "embedding"), weights(1, "lm_head")), (0, 0));
    for rank in report["ranks"].as_array().unwrap() {
        assert!(rank["tp_rank"].is_null() && rank["pp_rank"].is_null());
    }
}
