//! The end of a log, each line in the tone it has.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::draw::{fit, rule, span};
use crate::tui::{Meaning, Theme};

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// Beside the point.
    Quiet,
    /// The work reached another step.
    Step,
    /// Worth a look.
    Warning,
    /// Something failed.
    Fault,
}

impl Tone {
    pub(in crate::tui) const fn meaning(self) -> Meaning {
        match self {
            Self::Plain => Meaning::Plain,
            Self::Quiet => Meaning::Label,
            Self::Step => Meaning::Focus,
            Self::Warning => Meaning::Warning,
            Self::Fault => Meaning::Alarm,
        }
    }

    /// In front of the line, so that its tone reads without colour.
    const fn sign(self) -> &'static str {
        match self {
            Self::Plain | Self::Quiet => "   ",
            Self::Step => " > ",
            Self::Warning => " ! ",
            Self::Fault => "!! ",
        }
    }
}

/// One line of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogLine {
    /// Its words.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

impl LogLine {
    /// A line in a tone.
    #[must_use]
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

/// Paints the last lines that fit, or those before them when scrolled `back`.
pub fn draw(title: &str, lines: &[LogLine], back: usize, theme: &Theme, area: Rect, frame: &mut Frame<'_>) {
    if area.height < 2 {
        return;
    }
    let row = |place: u16| Rect { y: area.y + place, height: 1, ..area }.intersection(area);
    let fitting = usize::from(area.height - 1);
    let end = lines.len() - back.min(lines.len().saturating_sub(fitting));
    let start = end.saturating_sub(fitting);
    let place = if end < lines.len() { format!("{} newer below ", lines.len() - end) } else { String::new() };
    let title = vec![span(format!(" {title}"), theme.style(Meaning::Title))];
    let place = vec![span(place, theme.style(Meaning::Label))];
    frame.render_widget(rule(title, place, area.width, theme), row(0));
    for (place, line) in (1..).zip(&lines[start..end]) {
        let text = fit(&line.text, area.width.saturating_sub(3), theme);
        // Steps are many: their sign tells them, and their words stay as quiet as the rest.
        let meaning = if line.tone == Tone::Step { Meaning::Plain } else { line.tone.meaning() };
        let spans = vec![span(line.tone.sign(), theme.style(line.tone.meaning())), span(text, theme.style(meaning))];
        frame.render_widget(Line::from(spans), row(place));
    }
}
