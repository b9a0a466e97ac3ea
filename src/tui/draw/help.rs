//! The list of keys, over the middle of the screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Clear;

use super::text::{fit, left, span};
use super::{bar, first_row};
use crate::tui::{Meaning, Theme};

const KEYS: [(&str, &str); 12] = [
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
    ("", ""),
];

const SEGMENTS: [(Meaning, &str); 4] = [
    (Meaning::Own, "memory of shardfit's own processes"),
    (Meaning::Others, "memory of all other processes"),
    (Meaning::Reserved, "held by driver and firmware"),
    (Meaning::Free, "free"),
];

/// Paints the help, as much of it as fits.
pub fn draw(theme: &Theme, frame: &mut Frame<'_>) {
    const WIDTH: u16 = 56;
    let screen = frame.area();
    let height = u16::try_from(KEYS.len() + SEGMENTS.len() + 4).unwrap_or(u16::MAX).min(screen.height);
    let width = WIDTH.min(screen.width);
    let area = Rect::new((screen.width - width) / 2, (screen.height - height) / 2, width, height);
    frame.render_widget(Clear, area);

    let rule = theme.symbols.rule.repeat(usize::from(width));
    let mut lines = vec![Line::raw(rule.clone()), Line::styled("  keys and signs", theme.style(Meaning::Title))];
    lines.extend(KEYS.map(|(key, meaning)| {
        Line::from(vec![
            span("  ".to_owned() + &left(key, 17, theme), theme.style(Meaning::Focus)),
            span(fit(meaning, width.saturating_sub(20), theme), theme.style(Meaning::Plain)),
        ])
    }));
    lines.extend(SEGMENTS.map(|(segment, meaning)| {
        let sign = bar::sign(segment, theme).repeat(3);
        Line::from(vec![
            span("  ".to_owned() + &left(&sign, 17, theme), theme.style(segment)),
            span(fit(meaning, width.saturating_sub(20), theme), theme.style(Meaning::Plain)),
        ])
    }));
    lines.push(Line::raw(""));
    lines.push(Line::raw(rule));
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        frame.render_widget(line, first_row(Rect { y, ..area }));
    }
}
