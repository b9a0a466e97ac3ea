//! Facts with their sources, as typed values: cards, engines, quantisations, models. Embedded at build; a directory can add to them.

mod engines;
pub mod gpus;
pub mod models;
mod nearest;
mod quants;
mod transformers;

pub use engines::{
    ActivationConstants, Bounds, BudgetConstants, ByCard, CommunicationConstants, GraphConstants, NonTorchConstants,
    SchedulerConstants, VllmEra, VllmProfile, vllm_profile,
};
pub use quants::{QuantProfile, TensorProfile, quant_profile};
pub use transformers::{PrefillConstants, Sampling, ShareRange, TransformersProfile, Workspace, transformers_profile};
