//! Torch's allocator, replayed, against the replay of vLLM's own tensors.
#![allow(clippy::unwrap_used, reason = "stored facts are known to be whole")]

mod corpus;
#[path = "corpus/shards.rs"]
mod shards;

use serde_json::Value;
use shardfit::engines::torch_allocator::{replay, without_reuse};
use shardfit::engines::vllm::{Release, after_load, sharding};
use shardfit::model::Model;
use shardfit::sharding::{Layout, Rank, RankTensor, shard};

fn tensors(model: &Model, row: &Value, pp_rank: u32, dtype: &str) -> Option<Vec<RankTensor>> {
    let number = |key: &str| row[key].as_u64().unwrap() as u32;
    let layout = Layout { tp: number("tp"), pp: number("pp"), dp: 1, ep: false };
    let release = Release::of(row["vllm"].as_str().unwrap_or("0.11.2").parse().unwrap());
    let dtype = dtype.parse().unwrap();
    let mut rules = sharding::rules(model, layout, dtype, None, release).ok()?;
    rules.generated.extend(sharding::batch_buffers(model, 8192, dtype, release));
    rules.generated.extend(after_load::expert_workspaces(model, layout, &shards::h100()));
    shard(model, layout, &rules, Rank { tp_rank: 0, pp_rank }).ok()
}

fn place(row: &Value) -> String {
    format!("{} {} tp {} pp {}.{}", row["model"], row["quant"], row["tp"], row["pp"], row["pp_rank"])
}

/// Blocks of every rank, wherever the tensors themselves are exact.
#[test]
fn blocks_of_every_rank_are_exact() {
    let card = shards::h100();
    let (mut exact, mut wrong) = (0, Vec::new());
    for row in corpus::rows("oracle/vllm_shards.jsonl") {
        let Some(expected) = row["alloc"].as_u64() else { continue };
        let Some(Ok(model)) = corpus::model(row["model"].as_str().unwrap()) else { continue };
        if !shards::compare(&model, &row, &card).is_ok_and(|c| c.exact()) {
            continue;
        }
        let pp_rank = row["pp_rank"].as_u64().unwrap() as u32;
        let tensors = tensors(&model, &row, pp_rank, row["dtype"].as_str().unwrap()).unwrap();
        match without_reuse(&tensors).0 {
            ours if ours == expected => exact += 1,
            ours => wrong.push(format!("{}: {}", place(&row), ours as i64 - expected as i64)),
        }
    }
    assert!(wrong.is_empty(), "{} wrong, {exact} exact:\n{}", wrong.len(), wrong.join("\n"));
    assert!(exact >= 1199, "only {exact} rows were compared");
}

/// "Model loading took": blocks and segments after the replay of a whole construction, to the byte.
#[test]
fn model_loading_took_is_exact() {
    let (mut exact, mut wrong) = (0, Vec::new());
    for row in corpus::rows("oracle/vllm_alloc_sim.jsonl") {
        let Some(Ok(model)) = corpus::model(row["model"].as_str().unwrap()) else { continue };
        let Some(tensors) = tensors(&model, &row, 0, "bfloat16") else { continue };
        let bytes: u64 = tensors.iter().map(|t| t.bytes().0).sum();
        if row["bytes_total"].as_u64() != Some(bytes) {
            continue;
        }
        let ours = replay(&tensors);
        let number = |key: &str| row[key].as_u64().unwrap();
        let theirs = (number("bytes_allocated_sim"), number("bytes_reserved_sim"));
        if (ours.blocks.0, ours.segments.0) == theirs {
            exact += 1;
        } else {
            let differences = (ours.blocks.0 as i64 - theirs.0 as i64, ours.segments.0 as i64 - theirs.1 as i64);
            wrong.push(format!("{}: {differences:?}", place(&row)));
        }
    }
    // BLOOM's slopes, one block a layer, are in the rows above and not in these. Of the largest Qwen 2.5 VL on four ranks the small pool
    // has a gap, and so a segment more than is assumed.
    let open: Vec<_> =
        wrong.iter().filter(|row| !row.contains("bloom-7b1") && !row.ends_with("(0, -2097152)")).collect();
    assert!(open.is_empty() && wrong.len() <= 5, "{} wrong, {exact} exact:\n{}", wrong.len(), wrong.join("\n"));
    assert!(exact >= 133, "only {exact} rows were compared");
}
