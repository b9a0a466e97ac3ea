//! The screen of a command on a real terminal.

use std::io;
use std::sync::Arc;

use crossterm::event::KeyEvent;

use super::{FollowState, FollowView, draw};
use crate::monitor::Expectation;
use crate::probe::Probe;
use crate::tui::attended::{Samples, Wish, end, keys};
use crate::tui::{Terminal, Theme};

/// The open screen. Dropping it gives the terminal back.
pub struct FollowScreen {
    terminal: Terminal,
    theme: Theme,
    state: FollowState,
    samples: Samples,
}

impl FollowScreen {
    /// Takes the terminal. With a `probe` the cards are shown; with an expectation, the plan over them.
    ///
    /// # Errors
    /// When stdout is no terminal, or refuses, or the system gives no thread.
    pub fn open(
        theme: Theme,
        probe: Option<Box<dyn Probe + Send>>,
        expectation: Option<Expectation>,
    ) -> io::Result<Self> {
        let samples = Samples::start(probe)?;
        let state = FollowState { expectation: expectation.map(Arc::new), ..FollowState::default() };
        Ok(Self { terminal: Terminal::open()?, theme, state, samples })
    }

    /// Takes in the command as it is now, the cards and the keys pressed since, and paints. Returns at once; ten times a second is enough.
    ///
    /// # Errors
    /// When the terminal goes away.
    pub fn show(&mut self, view: FollowView) -> io::Result<Wish> {
        self.state.view = view;
        for sample in self.samples.fresh() {
            self.state.absorb(sample);
        }
        if keys(|key| press(&mut self.state, key))? == Wish::Stop {
            return Ok(Wish::Stop);
        }
        self.terminal.draw(|frame| draw(&self.state, &self.theme, frame))?;
        Ok(Wish::GoOn)
    }
}

/// A server may have run for a week: `q` asks first, Ctrl-C does not.
fn press(state: &mut FollowState, key: &KeyEvent) -> Wish {
    end(&mut state.asking, key).unwrap_or(Wish::GoOn)
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    #[test]
    fn ending_is_asked_for_twice_unless_by_control_c() {
        let mut state = FollowState::default();
        let key =
            |state: &mut FollowState, letter| press(state, &KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE));
        assert_eq!(key(&mut state, 'y'), Wish::GoOn);
        assert_eq!(key(&mut state, 'q'), Wish::GoOn);
        assert_eq!(key(&mut state, 'n'), Wish::GoOn);
        assert!(!state.asking);
        key(&mut state, 'q');
        assert_eq!(key(&mut state, 'y'), Wish::Stop);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(press(&mut FollowState::default(), &control_c), Wish::Stop);
    }
}
