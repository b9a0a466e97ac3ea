//! One file a command.

pub mod probe;
pub mod top;
