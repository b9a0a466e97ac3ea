//! What the screens of work in progress share: cards beside the work with the plan over them, the steps it went through, the end of its
//! log, how it ended, and keys that are read without waiting.

mod cards;
mod ending;
mod keys;
mod log;
mod onlooker;
mod parts;
mod samples;
mod wrap;

pub use ending::Ending;
pub use keys::Question;
pub use log::{LogLine, Tone};
pub use onlooker::Onlooker;
pub use parts::Step;

pub(super) use cards::cards;
pub(super) use ending::draw as ending;
pub(super) use keys::{keys, press};
pub(super) use log::draw as log;
pub(super) use parts::{Division, Key, clock, footer, header, steps};
pub(super) use samples::Samples;

/// What the user wants of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nothing: it goes on.
    GoOn,
    /// Interrupt it, as Ctrl-C does in a terminal.
    Interrupt,
    /// End it.
    Stop,
    /// End it, and this time whether it agrees or not.
    Kill,
    /// Leave the screen of work that has ended.
    Leave,
}
