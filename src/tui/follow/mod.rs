//! The live screen of a command that runs: its cards, with the plan over them, the end of its output, and what went wrong when it ends.
//!
//! [`FollowView`] is a plain value that whoever runs the command fills; [`FollowScreen`] paints it.

mod draw;
mod screen;

pub use draw::draw;
pub use screen::FollowScreen;

use std::sync::Arc;
use std::time::Duration;

use crate::monitor::{Analysis, Expectation, Sample, Watch};

/// A command at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowView {
    /// What runs.
    pub title: String,
    /// What it is doing: `loading weights`, `serving`, `ended with 1`.
    pub phase: String,
    /// Time since it was started.
    pub elapsed: Duration,
    /// The last lines of its output, oldest first.
    pub log: Vec<String>,
    /// What is wrong, once it is known.
    pub finding: Option<String>,
}

/// A command over time, and its cards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FollowState {
    /// As last told.
    pub view: FollowView,
    /// The cards; empty where none can be asked.
    pub cards: Watch,
    /// What a plan predicts.
    pub expectation: Option<Arc<Expectation>>,
    /// What the last minute says.
    pub analysis: Analysis,
    /// Whether the user was asked if the command should end.
    pub asking: bool,
}

impl FollowState {
    /// Time over which growth is judged.
    const WINDOW: Duration = Duration::from_secs(60);

    /// Takes in what the cards tell.
    pub fn absorb(&mut self, sample: Sample) {
        self.cards.absorb(sample);
        self.analysis = Analysis::of(&self.cards, Self::WINDOW, self.expectation.as_deref());
    }
}
