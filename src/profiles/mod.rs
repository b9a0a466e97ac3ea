//! Facts with their sources, as typed values: cards, engines, quantisations, models. Embedded at build; a directory can add to them.

mod calibration;
mod engines;
pub mod gpus;
pub mod models;
mod nearest;
pub mod oom;
mod quants;
pub mod stages;
mod transformers;

pub use calibration::{Calibration, CalibrationError, CardCalibration, HostCalibration};
pub use engines::{
    ActivationConstants, Bounds, BudgetConstants, BufferConstants, CardDefaults, Charge, CommunicationConstants,
    ExpertConstants, ExpertWorkspace, GraphConstants, ImageItem, NonTorchConstants, SchedulerConstants, Size, Spread,
    SymmetricMemory, VllmEra, VllmProfile, Words, vllm_profile,
};
pub use quants::{Condition, Held, JointExperts, QuantProfile, TensorProfile, quant_profile, quant_profiles};
pub use transformers::{PrefillConstants, Sampling, ShareRange, TransformersProfile, Workspace, transformers_profile};
