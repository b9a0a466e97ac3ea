//! Rules about memory, and when they are broken.

mod rule;
mod watchman;

pub use rule::{Limit, ParseRuleError, Rule};
pub use watchman::{CardEvent, CardEventKind, Raised, Watchman};
