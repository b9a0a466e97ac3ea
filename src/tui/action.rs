//! What can happen to the screen.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Size;
use crate::monitor::Sample;

/// One thing that happened: a key with its meaning, a new size, a sample, the passing of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Leave.
    Quit,
    /// Stop as Ctrl-Z stops other programs.
    Suspend,
    /// Paint everything anew (another program wrote over the screen).
    Repaint,
    /// Show or hide the list of keys.
    ToggleHelp,
    /// Hide what lies on top.
    Close,
    /// Keys to the other pane.
    SwitchPane,
    /// One row down.
    Down,
    /// One row up.
    Up,
    /// One column to the left.
    Left,
    /// One column to the right.
    Right,
    /// One page down.
    PageDown,
    /// One page up.
    PageUp,
    /// To the first.
    First,
    /// To the last.
    Last,
    /// Order the processes by the next column.
    Sort,
    /// Hold the figures, or let them go on.
    Pause,
    /// More time between samples.
    Longer,
    /// Less time between samples.
    Shorter,
    /// The terminal changed.
    Resize(Size),
    /// The probe answered, or failed.
    Sample(Sample),
    /// It is now this long after the start of the watch.
    Tick(Duration),
}

impl Action {
    /// The meaning of a terminal event; `None` for keys that have none.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Self::of_key(key),
            Event::Resize(width, height) => Some(Self::Resize(Size { width: *width, height: *height })),
            _ => None,
        }
    }

    fn of_key(key: &KeyEvent) -> Option<Self> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Self::Quit),
                KeyCode::Char('z') => Some(Self::Suspend),
                KeyCode::Char('l') => Some(Self::Repaint),
                KeyCode::Char('d' | 'f') => Some(Self::PageDown),
                KeyCode::Char('u' | 'b') => Some(Self::PageUp),
                _ => None,
            };
        }
        match key.code {
            KeyCode::Char('q') => Some(Self::Quit),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => Some(Self::ToggleHelp),
            KeyCode::Esc => Some(Self::Close),
            KeyCode::Tab | KeyCode::BackTab => Some(Self::SwitchPane),
            KeyCode::Char('j') | KeyCode::Down => Some(Self::Down),
            KeyCode::Char('k') | KeyCode::Up => Some(Self::Up),
            KeyCode::Left => Some(Self::Left),
            KeyCode::Right => Some(Self::Right),
            KeyCode::PageDown => Some(Self::PageDown),
            KeyCode::PageUp => Some(Self::PageUp),
            KeyCode::Char('g') | KeyCode::Home => Some(Self::First),
            KeyCode::Char('G') | KeyCode::End => Some(Self::Last),
            KeyCode::Char('s') => Some(Self::Sort),
            KeyCode::Char('p' | ' ') => Some(Self::Pause),
            KeyCode::Char('+' | '=') => Some(Self::Longer),
            KeyCode::Char('-' | '_') => Some(Self::Shorter),
            _ => None,
        }
    }
}
