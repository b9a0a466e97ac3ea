//! Rows of `oracle/vllm_kv.jsonl` against the KV layout.
#![allow(clippy::unwrap_used, dead_code, reason = "test data is known to be whole")]

use serde_json::Value;
use shardfit::engines::vllm::{KvLayout, PageOptions, Release};
use shardfit::model::Model;
use shardfit::sharding::Layout;
use shardfit::units::{Bytes, DType};

/// What a row answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Blocks, groups, tokens and concurrency of a pool.
    Sized,
    /// The length that would fit.
    TooLong,
    /// Nothing on the pool: refused before, or beyond what the row's harness could run.
    None,
}

/// What a row answers.
pub fn answer(row: &Value) -> Answer {
    if row.get("num_blocks").is_some() {
        Answer::Sized
    } else if row.get("estimated_max_model_len").is_some() {
        Answer::TooLong
    } else {
        Answer::None
    }
}

/// Compares a row; `Err` says what differs, ours first.
pub fn compare(model: &Model, row: &Value) -> Result<(), String> {
    if answer(row) == Answer::None {
        return Ok(());
    }
    let number = |key: &str| row[key].as_u64().unwrap();
    let layout = Layout { tp: number("tp") as u32, pp: 1, dp: 1, ep: false };
    let release = Release::of(row["vllm"].as_str().unwrap().parse().unwrap());
    let model_dtype = if model.dtype == Some(DType::F16) { DType::F16 } else { DType::BF16 };
    let dtype = match row["kv_cache_dtype"].as_str().unwrap() {
        "auto" => model_dtype,
        _ => DType::F8_E4M3,
    };
    // What was asked for; a row's own block size is the resolved one.
    let block_size = row["engine_args"]["block_size"].as_u64().unwrap_or(16);
    let options = PageOptions { dtype, model_dtype, block_size, capability: Some((9, 0)) };
    let kv = KvLayout::new(model, layout, &(0..model.layers), options, number("max_num_batched_tokens"), release);
    let (available, length) = (Bytes(number("available_memory")), number("max_model_len"));
    let equal = |what: &str, ours: u64, theirs: u64| {
        if ours == theirs { Ok(()) } else { Err(format!("{what} {ours}, not {theirs}")) }
    };
    match answer(row) {
        Answer::None => Ok(()),
        Answer::TooLong => {
            if kv.sequence_bytes(length) <= available {
                return Err(format!("{length} tokens fit"));
            }
            equal("longest", kv.longest(available, length), number("estimated_max_model_len"))
        }
        Answer::Sized => {
            let blocks = kv.blocks(available);
            equal("blocks", blocks, number("num_blocks"))?;
            equal("groups", kv.pool_groups(), row["groups"].as_array().unwrap().len() as u64)?;
            equal("pool bytes", (kv.block_bytes() * blocks).0, number("total_tensor_bytes"))?;
            equal("printed tokens", kv.printed_tokens(blocks, length), number("gpu_kv_cache_tokens"))?;
            let (ours, theirs) =
                (kv.concurrency(blocks, length).unwrap_or(0.0), row["max_concurrency"].as_f64().unwrap());
            if (ours - theirs).abs() > 1e-9 * theirs {
                return Err(format!("concurrency {ours}, not {theirs}"));
            }
            if kv.sequence_bytes(length) > available {
                return Err(format!("{length} tokens do not fit"));
            }
            Ok(())
        }
    }
}
