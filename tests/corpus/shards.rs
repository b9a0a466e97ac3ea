//! Rows of `oracle/vllm_shards.jsonl` against the sharding rules.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;

use serde_json::Value;
use shardfit::engines::ShardTotals;
use shardfit::engines::vllm::{Release, after_load, refusals, sharding};
use shardfit::hardware::Card;
use shardfit::model::Model;
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::sharding::{Layout, Rank, shard};
use shardfit::units::DType;

/// Tokens of a step that the rows were computed with.
const BATCHED_TOKENS: u64 = 8192;

/// How a row compares.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Bytes constructed, ours and theirs.
    pub constructed: (u64, u64),
    /// Bytes after the kernels' processing, ours and theirs where it could run.
    pub resident: (u64, Option<u64>),
    /// Parts that differ: name, ours, theirs.
    pub parts: Vec<(String, u64, u64)>,
}

impl Compared {
    /// Equal to the byte, in sum and after processing.
    pub fn exact(&self) -> bool {
        self.constructed.0 == self.constructed.1 && self.resident.1.is_none_or(|theirs| theirs == self.resident.0)
    }
}

/// The card that the rows were computed for.
pub fn h100() -> Card {
    Card::of_profile(&GpuCatalogue::built_in().select("H100").unwrap())
}

/// Why the model is refused at a row's size, in vLLM's words.
pub fn refusal(model: &Model, row: &Value) -> Option<String> {
    let number = |key: &str| row[key].as_u64().unwrap();
    let layout = Layout { tp: number("tp") as u32, pp: number("pp") as u32, dp: 1, ep: false };
    let release = Release::of(row["vllm"].as_str().unwrap().parse().unwrap());
    let tensors = sharding::rules(model, layout, DType::BF16, None, release).and_then(|rules| {
        (0..layout.pp).try_for_each(|pp_rank| shard(model, layout, &rules, Rank { tp_rank: 0, pp_rank }).map(drop))
    });
    tensors.err().map(|error| refusals::does_not_divide(&error, model).to_string())
}

/// Compares a row; `Err` when the model is refused at this size.
pub fn compare(model: &Model, row: &Value, card: &Card) -> Result<Compared, String> {
    // A row may be of the architecture alone, although the model is published quantised.
    let mut plain = model.clone();
    plain.quantization = plain.quantization.filter(|_| !row["quant"].is_null());
    let model = &plain;
    let number = |key: &str| row[key].as_u64().unwrap();
    let layout = Layout { tp: number("tp") as u32, pp: number("pp") as u32, dp: 1, ep: false };
    let dtype = row["dtype"].as_str().unwrap().parse().unwrap();
    let release = Release::of(row["vllm"].as_str().unwrap().parse().unwrap());
    let mut rules = sharding::rules(model, layout, dtype, None, release).map_err(|e| e.to_string())?;
    rules.generated.extend(sharding::batch_buffers(model, BATCHED_TOKENS, dtype, release));
    rules.generated.extend(after_load::expert_workspaces(model, layout, card));
    rules.expert_padding = after_load::expert_padding(card);
    let rank = Rank { tp_rank: 0, pp_rank: number("pp_rank") as u32 };
    let tensors = shard(model, layout, &rules, rank).map_err(|e| e.to_string())?;
    let mut ours: BTreeMap<&str, u64> = BTreeMap::new();
    for tensor in &tensors {
        *ours.entry(tensor.part.name()).or_default() += tensor.bytes().0;
    }
    let theirs = row["groups"].as_object().unwrap();
    let parts = theirs
        .iter()
        .map(|(name, bytes)| (name.clone(), ours.remove(name.as_str()).unwrap_or(0), bytes.as_u64().unwrap()))
        .filter(|(_, ours, theirs)| ours != theirs)
        .collect();
    let changes = after_load::changes(model, &tensors, card, release);
    let totals = ShardTotals::new(tensors, changes);
    Ok(Compared {
        constructed: (totals.constructed.0, number("bytes_total")),
        resident: (totals.resident.0, row["bytes_after_processing"].as_u64()),
        parts,
    })
}
