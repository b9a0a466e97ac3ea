//! The live screen of a command that runs: the stages that its log tells of, its cards with the plan over them, the end of its output, and
//! when it has ended why.
//!
//! [`FollowView`] is a plain value that whoever runs the command fills; [`FollowScreen`] paints it.

mod draw;
mod ending;
mod screen;

pub use draw::draw;
pub use screen::FollowScreen;

use std::time::Duration;

pub use super::attended::{Ending, LogLine, Onlooker, Question, Step, Tone, Wish};

/// A command at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowView {
    /// What runs.
    pub title: String,
    /// What the plan says of it, or why there is none.
    pub plan: Option<LogLine>,
    /// The stages that its output told of, the present one last.
    pub steps: Vec<Step>,
    /// Time since it was started.
    pub elapsed: Duration,
    /// The last lines of its output, oldest first.
    pub log: Vec<LogLine>,
    /// Whether it was told to end.
    pub was_told: bool,
    /// How it ended, once it has.
    pub ending: Option<Ending>,
}

/// A command over time, and its cards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FollowState {
    /// As last told.
    pub view: FollowView,
    /// Its cards, and where the user looks.
    pub onlooker: Onlooker,
}
