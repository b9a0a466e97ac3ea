//! What each engine does with memory: one file an engine, registered in one place.

pub mod command_line;
mod settings;
pub mod vllm;

pub use settings::{ContextLength, EntryPoint, Settings};
