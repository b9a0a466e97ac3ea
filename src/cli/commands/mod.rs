//! One file a command.

pub mod plan;
pub mod probe;
pub mod top;
