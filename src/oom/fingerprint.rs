//! What a block of a given size could be: the request matched against the model's tensors, logits and caches.
//!
//! A match is evidence and never proof: sizes repeat, and loaders build whole matrices for a moment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Allocation, Facts};
use crate::model::{Kind, Model, Module};
use crate::units::{Bytes, DType};

/// What kind of tensor a block could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// A parameter.
    Weight,
    /// Logits of so many positions.
    Logits,
    /// One layer's cache at the model's longest context.
    Cache,
    /// Attention scores of one sequence.
    Attention,
}

/// A tensor of the size of the block.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// What it is.
    pub kind: MatchKind,
    /// Element type.
    pub dtype: DType,
    /// Ranks it is divided over.
    pub ranks: u32,
    /// In words, with the arithmetic.
    pub text: String,
}

/// Blocks below this are taken from pools and tell nothing.
const SMALLEST: Bytes = Bytes::mib(10);
/// Blocks above this are rounded up to it.
const GRANULE: Bytes = Bytes::mib(2);
/// Element types tried, the usual ones first.
const TYPES: [DType; 2] = [DType::BF16, DType::F32];
/// Matches kept.
const SHOWN: usize = 4;

/// The tensors of the model that a block of this size could be; none where the model is not known.
#[must_use]
pub fn fingerprint(allocation: &Allocation, facts: &Facts) -> Vec<Match> {
    let (Some(requested), Some(model)) = (allocation.requested, facts.model.model.as_ref()) else { return Vec::new() };
    if requested < SMALLEST {
        return Vec::new();
    }
    let mut found = weights(requested, model, facts);
    found.extend(logits(requested, model));
    found.extend(caches(requested, model));
    found.extend(attention(requested, model));
    found.truncate(SHOWN);
    found
}

/// Whether a tensor of so many bytes asks for this block. Messages print two decimals: half a step of the last one is allowed.
fn is_block(bytes: Bytes, requested: Bytes) -> bool {
    let rounded = bytes.round_up_to(GRANULE);
    let step = if requested >= Bytes::gib(1) { Bytes(1 << 30).0 / 200 } else { Bytes(1 << 20).0 / 200 };
    rounded.0.abs_diff(requested.0) <= step + 1
}

fn weights(requested: Bytes, model: &Model, facts: &Facts) -> Vec<Match> {
    let mut found: Vec<Match> = Vec::new();
    let whole_modules = facts.runs(&["transformers"]);
    let ranks: Vec<u32> = match facts.tensor_parallel {
        Some(tp) if tp > 1 => vec![1, tp],
        None if !whole_modules => vec![1, 2, 4, 8],
        _ => vec![1],
    };
    let one_byte = model.quantization.is_some().then_some(DType::F8_E4M3);
    for (name, rows, columns) in matrices(model, !whole_modules) {
        for dtype in TYPES.into_iter().chain(one_byte) {
            for ranks in &ranks {
                let Some(elements) = rows.checked_mul(columns).filter(|e| e % u64::from(*ranks) == 0) else { continue };
                let bytes = dtype.size(elements / u64::from(*ranks));
                if !is_block(bytes, requested) || found.iter().any(|m| m.dtype == dtype && m.ranks == *ranks) {
                    continue;
                }
                let width = dtype.bits() / 8;
                let how = if *ranks == 1 {
                    format!(
                        "one unsharded {rows} × {columns} {dtype} matrix (`{name}`, {rows} × {columns} × {width} bytes): consistent with TP 1"
                    )
                } else {
                    format!("one {rows} × {columns} {dtype} matrix (`{name}`) divided over {ranks} ranks")
                };
                found.push(Match {
                    kind: MatchKind::Weight,
                    dtype,
                    ranks: *ranks,
                    text: format!("{requested} = {how}"),
                });
            }
        }
    }
    // Whole before divided: the simpler explanation first.
    found.sort_by_key(|m| (m.ranks, m.dtype.bits() != 16));
    found
}

/// Every matrix and table by name, once per shape; layers whose matrices engines fuse also as one.
fn matrices(model: &Model, fuses: bool) -> Vec<(String, u64, u64)> {
    let mut shapes: Vec<(String, u64, u64)> = Vec::new();
    let mut add = |name: String, rows: u64, columns: u64| {
        if !shapes.iter().any(|(_, r, c)| (*r, *c) == (rows, columns)) {
            shapes.push((name, rows, columns));
        }
    };
    for module in &model.modules {
        match shape(module) {
            Some((rows, columns)) => add(module.path.clone(), rows, columns),
            None => continue,
        }
        if !fuses {
            continue;
        }
        let fused: Vec<(u64, u64)> =
            model.modules.iter().filter(|m| m.is_fellow_of(module)).filter_map(shape).collect();
        if let Some((_, columns)) = fused.first().filter(|_| fused.len() > 1) {
            let rows = fused.iter().map(|(rows, _)| *rows).fold(0, u64::saturating_add);
            add(format!("{} and its fellows, fused", module.path), rows, *columns);
        }
    }
    if !fuses {
        return shapes;
    }
    // Attention and feed-forward inputs as engines fuse them, whatever roles the family gives.
    let attention =
        model.attention_heads.saturating_add(model.kv_heads.saturating_mul(2)).saturating_mul(model.head_width);
    add("queries, keys and values, fused".to_owned(), attention, model.hidden_size);
    add("gate and up, fused".to_owned(), model.intermediate_size.saturating_mul(2), model.hidden_size);
    shapes
}

fn shape(module: &Module) -> Option<(u64, u64)> {
    match &module.kind {
        Kind::Linear { input, output, .. } | Kind::Conv1d { input, output, .. } => {
            Some((output.iter().map(|s| s.rows).fold(0, u64::saturating_add), *input))
        }
        Kind::Table { rows, width } => Some((*rows, *width)),
        _ => None,
    }
}

/// Logits of a round number of positions.
fn logits(requested: Bytes, model: &Model) -> Vec<Match> {
    let mut found = Vec::new();
    for dtype in [DType::F32, DType::BF16] {
        let Some(row) = dtype.checked_size(model.vocab_size).filter(|r| r.0 > 0) else { continue };
        let positions = requested.0 / row.0;
        for positions in [positions, positions.saturating_sub(1)] {
            if positions.is_power_of_two() && positions >= 64 && is_block(row * positions, requested) {
                found.push(Match {
                    kind: MatchKind::Logits,
                    dtype,
                    ranks: 1,
                    text: format!(
                        "{requested} = logits of {positions} positions over {} words in {dtype}",
                        model.vocab_size
                    ),
                });
            }
        }
    }
    found
}

/// Keys (or values) of one layer at the longest context, with as many heads as the model keeps or as queries have.
fn caches(requested: Bytes, model: &Model) -> Vec<Match> {
    let Some(length) = model.max_position.filter(|l| *l > 0) else { return Vec::new() };
    let mut found = Vec::new();
    for (heads, what) in [(model.kv_heads, "key/value"), (model.attention_heads, "query")] {
        for copies in [1u64, 2] {
            let elements = length
                .checked_mul(heads)
                .and_then(|n| n.checked_mul(model.head_width))
                .and_then(|n| n.checked_mul(copies));
            let Some(bytes) = elements.and_then(|n| DType::BF16.checked_size(n)) else { continue };
            if is_block(bytes, requested) && found.is_empty() {
                found.push(Match {
                    kind: MatchKind::Cache,
                    dtype: DType::BF16,
                    ranks: 1,
                    text: format!(
                        "{requested} = the {} of one layer for {length} tokens, the model's longest context ({heads} {what} heads × {})",
                        if copies == 1 { "keys" } else { "keys and values" },
                        model.head_width
                    ),
                });
            }
        }
    }
    found
}

/// Scores of one sequence with itself, for all heads, at a round length.
fn attention(requested: Bytes, model: &Model) -> Vec<Match> {
    let mut found = Vec::new();
    for dtype in [DType::BF16, DType::F32] {
        for length in (10..=17u32).map(|exponent| 1u64 << exponent) {
            let elements = model.attention_heads.checked_mul(length).and_then(|n| n.checked_mul(length));
            let Some(bytes) = elements.and_then(|n| dtype.checked_size(n)) else { continue };
            if is_block(bytes, requested) {
                found.push(Match {
                    kind: MatchKind::Attention,
                    dtype,
                    ranks: 1,
                    text: format!(
                        "{requested} = attention scores of {} heads over {length} × {length} positions in {dtype}",
                        model.attention_heads
                    ),
                });
            }
        }
    }
    found
}
