//! The screen of a command on a real terminal.

use std::io;

use super::{FollowState, FollowView, LogLine, draw};
use crate::monitor::{Expectation, Sample};
use crate::tui::attended::{Onlooker, Wish, keys, press};
use crate::tui::{Terminal, Theme};

/// The open screen. Dropping it gives the terminal back.
pub struct FollowScreen {
    terminal: Terminal,
    theme: Theme,
    state: FollowState,
}

impl FollowScreen {
    /// Takes the terminal. With an expectation, the plan is drawn over the cards.
    ///
    /// # Errors
    /// When stdout is no terminal, or refuses.
    pub fn open(theme: Theme, expectation: Option<Expectation>) -> io::Result<Self> {
        let onlooker = Onlooker::with_plan(expectation);
        Ok(Self { terminal: Terminal::open()?, theme, state: FollowState { onlooker, ..FollowState::default() } })
    }

    /// Takes in what the cards tell, and which processes are the command's; returns what is news of it.
    pub fn absorb(&mut self, sample: Sample, ours: &[u32]) -> Vec<LogLine> {
        self.state.onlooker.absorb_of(sample, ours)
    }

    /// Takes in the command as it is now and the keys pressed since, and paints. Returns at once; ten times a second is enough.
    ///
    /// # Errors
    /// When the terminal goes away.
    pub fn show(&mut self, view: FollowView) -> io::Result<Wish> {
        self.state.view = view;
        let FollowState { view, onlooker } = &mut self.state;
        let wish = keys(|key| press(onlooker, view.was_told, view.ending.is_some(), key))?;
        self.terminal.draw(|frame| draw(&self.state, &self.theme, frame))?;
        Ok(wish)
    }
}
