//! How the work ended: one sentence, and what it rests on.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::wrap::wrapped;
use super::{LogLine, Tone};
use crate::tui::draw::{fit, rule, span};
use crate::tui::{Meaning, Theme};

/// The end of the work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// Whether it went well.
    pub is_good: bool,
    /// In one sentence.
    pub headline: String,
    /// Why, on what evidence, and what repairs it.
    pub lines: Vec<LogLine>,
}

impl Ending {
    /// All rows over so many columns, the headline first.
    fn rows(&self, columns: u16) -> Vec<(Meaning, String)> {
        let headline = if self.is_good { Meaning::Focus } else { Meaning::Alarm };
        let mut rows: Vec<(Meaning, String)> =
            wrapped(&format!(" {}", self.headline), columns, 1).into_iter().map(|row| (headline, row)).collect();
        for line in &self.lines {
            // What belongs to a line above stands deeper than it; its further rows deeper still.
            let indent = line.text.chars().take_while(|c| *c == ' ').count();
            let indent = u16::try_from(indent).unwrap_or(0) + 3;
            // A fault is told by its headline; its evidence is quoted, not shouted.
            let meaning = if line.tone == Tone::Fault { Meaning::Warning } else { line.tone.meaning() };
            rows.extend(wrapped(&format!(" {}", line.text), columns, indent).into_iter().map(|row| (meaning, row)));
        }
        rows
    }

    /// Rows that it takes with its title.
    pub(in crate::tui) fn height(&self, columns: u16) -> u16 {
        u16::try_from(self.rows(columns).len()).unwrap_or(u16::MAX).saturating_add(1)
    }
}

/// Paints what fits, from the row that it is scrolled `down` to.
pub fn draw(ending: &Ending, down: usize, theme: &Theme, area: Rect, frame: &mut Frame<'_>) {
    if area.height == 0 {
        return;
    }
    let row = |place: u16| Rect { y: area.y + place, height: 1, ..area }.intersection(area);
    let rows = ending.rows(area.width);
    let fitting = usize::from(area.height - 1);
    let start = down.min(rows.len().saturating_sub(fitting));
    let end = (start + fitting).min(rows.len());
    let more = if end < rows.len() { format!("{} more rows below ", rows.len() - end) } else { String::new() };
    let title = vec![span(" how it ended", theme.style(Meaning::Title))];
    frame.render_widget(rule(title, vec![span(more, theme.style(Meaning::Label))], area.width, theme), row(0));
    for (place, (meaning, text)) in (1..).zip(&rows[start..end]) {
        let line = Line::raw(fit(text, area.width, theme)).style(theme.style(*meaning));
        frame.render_widget(line, row(place));
    }
}
