//! vLLM.

pub mod after_load;
pub mod rotary;
pub mod sharding;
