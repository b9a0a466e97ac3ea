//! Facts with their sources, as typed values: cards, engines, quantisations, models. Embedded at build; a directory can add to them.

pub mod gpus;
pub mod models;
mod nearest;
