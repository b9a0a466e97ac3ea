//! What can happen to the screen.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{Seek, Size, View};
use crate::monitor::Sample;
use crate::monitor::alarm::CardEvent;

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
    /// Hide what lies on top, or go back to the overview.
    Close,
    /// Keys to the other pane.
    SwitchPane,
    /// Another screen.
    Show(View),
    /// The selected card on a screen of its own.
    Open,
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
    /// More time between samples; in a replay, faster.
    Longer,
    /// Less time between samples; in a replay, slower.
    Shorter,
    /// A shorter stretch of history in each graph.
    ZoomIn,
    /// A longer one.
    ZoomOut,
    /// Begin or end a recording.
    Record,
    /// Put a mark into recording and timeline.
    Note,
    /// Type a filter for the processes.
    Filter,
    /// End the selected process, after a question.
    Kill,
    /// A letter of what is being typed.
    Letter(char),
    /// Take back a letter.
    Erase,
    /// What was typed holds; a question is answered with yes.
    Accept,
    /// What was typed is thrown away; a question is answered with no.
    Reject,
    /// Move through a replay.
    Seek(Seek),
    /// The terminal changed.
    Resize(Size),
    /// The probe answered, or failed.
    Sample(Sample),
    /// The driver reported an error of a card.
    Event(CardEvent),
    /// It is now this long after the start of the watch.
    Tick(Duration),
}

/// What keys mean at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Keys are commands.
    Commands,
    /// Keys are letters of a filter.
    Typing,
    /// Keys answer a question.
    Asking,
}

impl Action {
    /// The meaning of a terminal event where keys are commands; `None` for keys that have none.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        Self::in_mode(event, Mode::Commands)
    }

    /// The meaning of a terminal event; `None` for keys that have none.
    #[must_use]
    pub fn in_mode(event: &Event, mode: Mode) -> Option<Self> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                if key.modifiers.contains(KeyModifiers::CONTROL) {
                    return Self::of_control(key);
                }
                match mode {
                    Mode::Commands => Self::of_key(key),
                    Mode::Typing => Self::of_letter(key),
                    Mode::Asking => Some(match key.code {
                        KeyCode::Char('y' | 'Y') => Self::Accept,
                        _ => Self::Reject,
                    }),
                }
            }
            Event::Resize(width, height) => Some(Self::Resize(Size { width: *width, height: *height })),
            _ => None,
        }
    }

    fn of_control(key: &KeyEvent) -> Option<Self> {
        match key.code {
            KeyCode::Char('c') => Some(Self::Quit),
            KeyCode::Char('z') => Some(Self::Suspend),
            KeyCode::Char('l') => Some(Self::Repaint),
            KeyCode::Char('d' | 'f') => Some(Self::PageDown),
            KeyCode::Char('u' | 'b') => Some(Self::PageUp),
            _ => None,
        }
    }

    fn of_letter(key: &KeyEvent) -> Option<Self> {
        match key.code {
            KeyCode::Enter => Some(Self::Accept),
            KeyCode::Esc => Some(Self::Reject),
            KeyCode::Backspace => Some(Self::Erase),
            KeyCode::Char(letter) => Some(Self::Letter(letter)),
            _ => None,
        }
    }

    fn of_key(key: &KeyEvent) -> Option<Self> {
        match key.code {
            KeyCode::Char('q') => Some(Self::Quit),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => Some(Self::ToggleHelp),
            KeyCode::Esc => Some(Self::Close),
            KeyCode::Enter => Some(Self::Open),
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
            KeyCode::Char('z') => Some(Self::ZoomOut),
            KeyCode::Char('Z') => Some(Self::ZoomIn),
            KeyCode::Char('r') => Some(Self::Record),
            KeyCode::Char('m') => Some(Self::Note),
            KeyCode::Char('/') => Some(Self::Filter),
            KeyCode::Char('K') => Some(Self::Kill),
            KeyCode::Char(',') => Some(Self::Seek(Seek::Samples(-1))),
            KeyCode::Char('.') => Some(Self::Seek(Seek::Samples(1))),
            KeyCode::Char('<') => Some(Self::Seek(Seek::Seconds(-60))),
            KeyCode::Char('>') => Some(Self::Seek(Seek::Seconds(60))),
            KeyCode::Char('[') => Some(Self::Seek(Seek::Mark { forward: false })),
            KeyCode::Char(']') => Some(Self::Seek(Seek::Mark { forward: true })),
            KeyCode::Char('{') => Some(Self::Seek(Seek::Begin)),
            KeyCode::Char('}') => Some(Self::Seek(Seek::End)),
            KeyCode::Char(digit @ '1'..='5') => {
                View::ALL.into_iter().find(|view| char::from(b'0' + view.key()) == digit).map(Self::Show)
            }
            _ => None,
        }
    }
}
