//! What a deployment adds to the model itself: adapters, a draft model, memory of the host.

pub mod draft;
pub mod lora;
pub mod offload;
