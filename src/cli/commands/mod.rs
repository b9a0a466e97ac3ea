//! One file a command.

pub mod diagnose;
pub mod load;
pub mod plan;
pub mod probe;
pub mod run;
pub mod schema;
pub mod top;
