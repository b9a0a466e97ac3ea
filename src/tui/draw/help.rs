//! The list of keys, over the middle of the screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::bar;
use super::text::{fit, left, span};
use crate::tui::{Meaning, Theme};

const KEYS: [(&str, &str); 11] = [
    ("q, Ctrl-C", "quit"),
    ("?, h, Esc", "show or hide this help"),
    ("j k, arrows", "move by one"),
    ("g G, Home End", "to the first, to the last"),
    ("PgUp PgDn", "move by a page"),
    ("Tab", "between cards and processes"),
    ("s", "sort processes by the next column"),
    ("p, Space", "hold the figures, go on"),
    ("+ -", "more, less time between samples"),
    ("Ctrl-L", "paint the screen anew"),
    ("Ctrl-Z", "suspend"),
];

const SEGMENTS: [(Meaning, &str); 4] = [
    (Meaning::Own, "memory of shardfit's own processes"),
    (Meaning::Others, "memory of all other processes"),
    (Meaning::Reserved, "held by driver and firmware"),
    (Meaning::Free, "free"),
];

/// Paints the help, as much of it as fits.
pub fn draw(theme: &Theme, frame: &mut Frame<'_>) {
    const WIDTH: u16 = 60;
    let row = |sign: &str, style: Style, meaning: &str| {
        let columns = WIDTH - 22;
        Line::from(vec![
            span("  ".to_owned() + &left(sign, 16, theme), style),
            span(fit(meaning, columns, theme), theme.style(Meaning::Plain)),
        ])
    };
    let mut lines = vec![Line::raw("")];
    lines.extend(KEYS.map(|(key, meaning)| row(key, theme.style(Meaning::Focus), meaning)));
    lines.push(Line::raw(""));
    lines.extend(SEGMENTS.map(|(part, meaning)| row(&bar::sign(part, theme).repeat(3), theme.style(part), meaning)));
    lines.push(Line::raw(""));

    let screen = frame.area();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(screen.height);
    let width = WIDTH.min(screen.width);
    let area = Rect::new((screen.width - width) / 2, (screen.height - height) / 2, width, height);
    let block = Block::bordered().border_set(theme.symbols.frame).title(" keys and signs ");
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
