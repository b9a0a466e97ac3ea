//! Quantities that cannot be confused: bytes, element types, tokens, fractions and estimates.

mod bytes;
mod dtype;
mod estimate;
mod fraction;
mod ggml;
mod tokens;

pub use bytes::{ByteDelta, Bytes, ParseBytesError};
pub use dtype::{DType, UnknownDType};
pub use estimate::{Basis, Estimate, Formula};
pub use fraction::{Fraction, FractionError};
pub use ggml::GgmlType;
pub use tokens::Tokens;

/// `a / b` rounded up; 0 when `b` is 0, so that a hostile config cannot make it panic.
#[must_use]
pub fn ceil_div(a: u64, b: u64) -> u64 {
    if b == 0 { 0 } else { a.div_ceil(b) }
}

/// `a` rounded up to a multiple of `to`; saturates at the top of the range.
#[must_use]
pub fn round_up(a: u64, to: u64) -> u64 {
    ceil_div(a, to).saturating_mul(to)
}
