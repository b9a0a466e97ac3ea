//! The screen of a load on a real terminal.

use std::io;

use crossterm::event::{KeyCode, KeyEvent};

use super::{LoadState, LoadView, draw};
use crate::probe::Probe;
pub use crate::tui::attended::Wish;
use crate::tui::attended::{Samples, end, keys};
use crate::tui::{Terminal, Theme};

/// The open screen. Dropping it gives the terminal back; the caller keeps its own handling of signals.
pub struct LoadScreen {
    terminal: Terminal,
    theme: Theme,
    state: LoadState,
    samples: Samples,
}

impl LoadScreen {
    /// Takes the terminal. With a `probe` the cards are shown as they fill.
    ///
    /// # Errors
    /// When stdout is no terminal, or refuses, or the system gives no thread.
    pub fn open(theme: Theme, probe: Option<Box<dyn Probe + Send>>) -> io::Result<Self> {
        let samples = Samples::start(probe)?;
        Ok(Self { terminal: Terminal::open()?, theme, state: LoadState::default(), samples })
    }

    /// Takes in the load as it is now, the cards and the keys pressed since, and paints. Returns at once; ten times a second is enough.
    ///
    /// # Errors
    /// When the terminal goes away.
    pub fn show(&mut self, view: LoadView) -> io::Result<Wish> {
        self.state.follow(view);
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

/// A load may have run for an hour: `q` asks first, Ctrl-C does not.
fn press(state: &mut LoadState, key: &KeyEvent) -> Wish {
    if let Some(wish) = end(&mut state.asking, key) {
        return wish;
    }
    let last = state.view.ranks.len().saturating_sub(1);
    match key.code {
        KeyCode::Char('j') | KeyCode::Down => state.first_rank = (state.first_rank + 1).min(last),
        KeyCode::Char('k') | KeyCode::Up => state.first_rank = state.first_rank.saturating_sub(1),
        KeyCode::Char('g') | KeyCode::Home => state.first_rank = 0,
        KeyCode::Char('G') | KeyCode::End => state.first_rank = last,
        _ => {}
    }
    Wish::GoOn
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;

    fn key(state: &mut LoadState, code: KeyCode) -> Wish {
        press(state, &KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn stopping_is_asked_for_twice_unless_by_control_c() {
        let mut state = LoadState::default();
        assert_eq!(key(&mut state, KeyCode::Char('y')), Wish::GoOn);
        assert_eq!(key(&mut state, KeyCode::Char('q')), Wish::GoOn);
        assert!(state.asking);
        assert_eq!(key(&mut state, KeyCode::Char('n')), Wish::GoOn);
        assert!(!state.asking);
        key(&mut state, KeyCode::Char('q'));
        assert_eq!(key(&mut state, KeyCode::Char('y')), Wish::Stop);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(press(&mut LoadState::default(), &control_c), Wish::Stop);
    }

    #[test]
    fn ranks_scroll_between_first_and_last() {
        let mut state = LoadState::default();
        let ranks = vec![super::super::RankProgress::default(); 3];
        state.follow(LoadView { ranks, ..LoadView::default() });
        key(&mut state, KeyCode::Up);
        assert_eq!(state.first_rank, 0);
        for _ in 0..9 {
            key(&mut state, KeyCode::Char('j'));
        }
        assert_eq!(state.first_rank, 2);
        key(&mut state, KeyCode::Char('g'));
        assert_eq!(state.first_rank, 0);
    }
}
