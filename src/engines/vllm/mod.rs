//! vLLM.

pub mod flags;
