//! What the screens of work in progress share: cards that are sampled beside it, keys that are read without waiting, and an end that is
//! asked for twice.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::monitor::{Interval, Sample, Sampler};
use crate::probe::Probe;

/// What the user wants of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nothing: it goes on.
    GoOn,
    /// End it.
    Stop,
}

/// The cards beside the work, where they can be asked.
pub(super) struct Samples(Option<(Sampler, Receiver<Sample>)>);

impl Samples {
    /// Begins to ask a probe.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(probe: Option<Box<dyn Probe + Send>>) -> io::Result<Self> {
        let Some(probe) = probe else { return Ok(Self(None)) };
        let (sink, samples) = channel();
        Ok(Self(Some((Sampler::start(probe, Interval::default(), sink, |sample| sample)?, samples))))
    }

    /// The samples that came since the last call.
    pub(super) fn fresh(&self) -> impl Iterator<Item = Sample> + '_ {
        self.0.iter().flat_map(|(_, samples)| samples.try_iter())
    }
}

/// Gives every key pressed since to `press`, until one of them ends the work. Returns at once.
///
/// # Errors
/// When the terminal goes away.
pub(super) fn keys(mut press: impl FnMut(&KeyEvent) -> Wish) -> io::Result<Wish> {
    while event::poll(Duration::ZERO)? {
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && press(&key) == Wish::Stop
        {
            return Ok(Wish::Stop);
        }
    }
    Ok(Wish::GoOn)
}

/// What a key means for the end: Ctrl-C ends at once, `q` and Esc ask first. `None` for keys that have nothing to do with it.
pub(super) fn end(asking: &mut bool, key: &KeyEvent) -> Option<Wish> {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Some(Wish::Stop);
    }
    if std::mem::take(asking) {
        return Some(if matches!(key.code, KeyCode::Char('y' | 'Y')) { Wish::Stop } else { Wish::GoOn });
    }
    *asking = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc);
    asking.then_some(Wish::GoOn)
}
