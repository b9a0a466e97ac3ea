//! The screen of a load on a real terminal.

use std::io;

use crossterm::event::{KeyCode, KeyEvent};

use super::{LoadState, LoadView, LogLine, draw};
use crate::monitor::alarm::{Rule, Watchman};
use crate::monitor::{Expectation, Sample};
use crate::probe::Probe;
use crate::tui::attended::{self, Onlooker, Samples, Wish, keys};
use crate::tui::{Terminal, Theme};

/// The open screen. Dropping it gives the terminal back; the caller keeps its own handling of signals.
pub struct LoadScreen {
    terminal: Terminal,
    theme: Theme,
    state: LoadState,
    samples: Samples,
}

impl LoadScreen {
    /// Takes the terminal. With a `probe` the cards are shown as they fill; with an expectation, the plan over them.
    ///
    /// # Errors
    /// When stdout is no terminal, or refuses, or the system gives no thread.
    pub fn open(
        theme: Theme,
        probe: Option<Box<dyn Probe + Send>>,
        expectation: Option<Expectation>,
    ) -> io::Result<Self> {
        let samples = Samples::start(probe)?;
        let onlooker = Onlooker { planned_only: true, ..Onlooker::with_plan(expectation) };
        // Whoever comes while the load runs takes what the plan counts on.
        let rules = [onlooker.watchman.rules(), &[Rule::OtherProcess]].concat();
        let onlooker = Onlooker { watchman: Watchman::new(rules), ..onlooker };
        let state = LoadState { onlooker, ..LoadState::default() };
        Ok(Self { terminal: Terminal::open()?, theme, state, samples })
    }

    /// Takes in what cards hold that no probe can be asked of; returns what is news of it.
    pub fn absorb(&mut self, sample: Sample) -> Vec<LogLine> {
        self.state.onlooker.absorb(sample)
    }

    /// Takes in what the probe told since the last call; returns what is news of it.
    pub fn look(&mut self) -> Vec<LogLine> {
        self.samples.fresh().flat_map(|sample| self.state.onlooker.absorb(sample)).collect()
    }

    /// Takes in the load as it is now and the keys pressed since, and paints. Returns at once; ten times a second is enough.
    ///
    /// # Errors
    /// When the terminal goes away.
    pub fn show(&mut self, view: LoadView) -> io::Result<Wish> {
        self.state.follow(view);
        let wish = keys(|key| press(&mut self.state, key))?;
        self.terminal.draw(|frame| draw(&self.state, &self.theme, frame))?;
        Ok(wish)
    }
}

/// A load may have run for an hour: `q` asks first, Ctrl-C does not. What is only held is let go at once.
fn press(state: &mut LoadState, key: &KeyEvent) -> Wish {
    let LoadState { view, onlooker, first_rank, .. } = state;
    let has_ended = view.ending.is_some();
    let lets_go = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc | KeyCode::Enter);
    if view.is_held && !has_ended && onlooker.question.is_none() && lets_go {
        return Wish::Stop;
    }
    // Ranks and cards scroll together: each rank is on a card.
    let last = view.ranks.len().saturating_sub(1);
    match key.code {
        KeyCode::Char('j') | KeyCode::Down => *first_rank = (*first_rank + 1).min(last),
        KeyCode::Char('k') | KeyCode::Up => *first_rank = first_rank.saturating_sub(1),
        KeyCode::Char('g') | KeyCode::Home => *first_rank = 0,
        KeyCode::Char('G') | KeyCode::End => *first_rank = last,
        _ => {}
    }
    attended::press(onlooker, view.was_told, has_ended, key)
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;
    use crate::tui::load::Ending;

    fn key(state: &mut LoadState, code: KeyCode) -> Wish {
        press(state, &KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn what_is_held_is_let_go_without_a_question() {
        let mut state = LoadState::default();
        assert_eq!(key(&mut state, KeyCode::Char('q')), Wish::GoOn);
        assert_eq!(key(&mut state, KeyCode::Char('y')), Wish::Stop);
        state.view.is_held = true;
        assert_eq!(key(&mut state, KeyCode::Char('q')), Wish::Stop);
        state.view.ending = Some(Ending::default());
        assert_eq!(key(&mut state, KeyCode::Char('q')), Wish::Leave);
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
