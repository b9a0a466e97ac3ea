//! What each engine does with memory: one file an engine, registered in one place.

mod settings;

pub use settings::{ContextLength, EntryPoint, Settings};
