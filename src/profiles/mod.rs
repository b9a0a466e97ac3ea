//! Facts with their sources, as typed values: cards, engines, quantisations, models. Embedded at build; a directory can add to them.

mod quants;

pub use quants::{QuantProfile, TensorProfile, quant_profile};
