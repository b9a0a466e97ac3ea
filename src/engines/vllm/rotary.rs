//! Rotary tables: one per distinct embedding, cosine and sine side by side, in full on every rank.

use crate::model::{Rope, RopeScaling};
use crate::units::{Bytes, DType};

/// Rows of the table that vLLM 0.11 precomputes (`model_executor/layers/rotary_embedding/`).
#[must_use]
pub fn rows(rope: &Rope) -> u64 {
    let scaled = |length: u64, factor: f64| (length as f64 * factor) as u64;
    match rope.scaling {
        RopeScaling::None | RopeScaling::Llama3 => rope.max_position,
        // `mrope.py`: room for images whose positions outrun the text's.
        RopeScaling::Multimodal => rope.max_position.saturating_mul(4),
        RopeScaling::Linear(factor) | RopeScaling::Dynamic(factor) => scaled(rope.max_position, factor),
        RopeScaling::Yarn { factor, original } => scaled(original, factor),
        RopeScaling::LongRope { original } => rope.max_position.saturating_add(original),
    }
}

/// Shape of the table: cosine and sine of half the rotated width each.
#[must_use]
pub fn shape(rope: &Rope) -> Vec<u64> {
    vec![rows(rope), rope.width]
}

/// Bytes of the table in the model's element type.
#[must_use]
pub fn bytes(rope: &Rope, dtype: DType) -> Bytes {
    dtype.size(rows(rope).saturating_mul(rope.width))
}
