//! The screen of a command on a real terminal.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{FollowState, FollowView, draw};
use crate::monitor::{Expectation, Interval, Sample, Sampler};
use crate::probe::Probe;
use crate::tui::load::Wish;
use crate::tui::{Terminal, Theme};

/// The open screen. Dropping it gives the terminal back.
pub struct FollowScreen {
    terminal: Terminal,
    theme: Theme,
    state: FollowState,
    samples: Option<(Sampler, Receiver<Sample>)>,
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
        let samples = match probe {
            Some(probe) => {
                let (sink, samples) = channel();
                Some((Sampler::start(probe, Interval::default(), sink, |sample| sample)?, samples))
            }
            None => None,
        };
        let state = FollowState { expectation: expectation.map(Arc::new), ..FollowState::default() };
        Ok(Self { terminal: Terminal::open()?, theme, state, samples })
    }

    /// Takes in the command as it is now, the cards and the keys pressed since, and paints. Returns at once; ten times a second is enough.
    ///
    /// # Errors
    /// When the terminal goes away.
    pub fn show(&mut self, view: FollowView) -> io::Result<Wish> {
        self.state.view = view;
        if let Some((_, samples)) = &self.samples {
            for sample in samples.try_iter() {
                self.state.absorb(sample);
            }
        }
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && press(&mut self.state, &key) == Wish::Stop
            {
                return Ok(Wish::Stop);
            }
        }
        self.terminal.draw(|frame| draw(&self.state, &self.theme, frame))?;
        Ok(Wish::GoOn)
    }
}

/// A server may have run for a week: `q` asks first, Ctrl-C does not.
fn press(state: &mut FollowState, key: &KeyEvent) -> Wish {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Wish::Stop;
    }
    if std::mem::take(&mut state.asking) {
        return if matches!(key.code, KeyCode::Char('y' | 'Y')) { Wish::Stop } else { Wish::GoOn };
    }
    state.asking = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc);
    Wish::GoOn
}

#[cfg(test)]
mod tests {
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
