//! One file a command.

pub mod calibrate;
pub mod diagnose;
pub mod load;
pub mod plan;
pub mod probe;
pub mod profiles;
pub mod run;
pub mod schema;
pub mod top;
