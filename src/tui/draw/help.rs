//! The list of keys, over the middle of the screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::bar;
use super::text::{self, span};
use crate::tui::{Meaning, Theme};

/// Columns of a key.
const SIGN: u16 = 15;
/// A column of the help, at its widest and at its narrowest.
const WIDE: u16 = 48;
const NARROW: u16 = 40;

const KEYS: [(&str, &str); 23] = [
    ("q, Ctrl-C", "quit"),
    ("?, h, Esc", "this help; Esc: back"),
    ("1 2 3 4 5", "overview card list time plan"),
    ("j k, arrows", "move by one"),
    ("g G, Home End", "to the first, to the last"),
    ("PgUp PgDn", "move by a page"),
    ("Tab", "between cards and processes"),
    ("Enter", "the selected card alone"),
    ("/", "filter processes"),
    ("s", "sort processes otherwise"),
    ("z Z", "more, less time in graphs"),
    ("p, Space", "hold the figures, go on"),
    ("r", "record into a file, end it"),
    ("m", "mark this moment"),
    ("+ -", "longer, shorter interval"),
    ("K", "end process (--allow-kill)"),
    ("Ctrl-L Ctrl-Z", "paint anew, suspend"),
    ("in a replay:", ""),
    ("+ -", "faster, slower"),
    (", .", "one sample back, on"),
    ("< >", "one minute back, on"),
    ("[ ]", "mark before, next"),
    ("{ }", "begin, end"),
];

const SEGMENTS: [(Meaning, &str); 6] = [
    (Meaning::Own, "shardfit's memory"),
    (Meaning::Others, "others' memory"),
    (Meaning::Over, "beyond the plan"),
    (Meaning::Ghost, "planned, not used"),
    (Meaning::Free, "free"),
    (Meaning::Reserved, "driver's own"),
];

/// Keys of a replay, from this place of [`KEYS`] on, stand in the right column where there are two.
const LIVE_KEYS: usize = 17;

/// Paints the help, as much of it as fits: in two columns where there is room.
pub fn draw(theme: &Theme, frame: &mut Frame<'_>) {
    let screen = frame.area();
    let key = |(key, meaning): &(&str, &str)| (key.to_string(), theme.style(Meaning::Focus), meaning.to_string());
    let sign = |(part, meaning): &(Meaning, &str)| {
        (bar::sign(*part, theme).repeat(3), theme.style(*part), meaning.to_string())
    };
    let left: Vec<_> = KEYS[..LIVE_KEYS].iter().map(key).collect();
    let blank = || (String::new(), Style::new(), String::new());
    let right: Vec<_> = KEYS[LIVE_KEYS..].iter().map(key).chain([blank()]).chain(SEGMENTS.iter().map(sign)).collect();
    let two = screen.width >= 2 * NARROW;
    let width = if two { (2 * WIDE).min(screen.width) } else { WIDE.min(screen.width) };
    // Sentences of the left column are the longer ones.
    let column = if two { width / 2 + 4 } else { width.saturating_sub(2) };
    let row = |(sign, style, meaning): &(String, Style, String)| {
        let room = column.saturating_sub(SIGN + 2);
        vec![
            span(" ".to_owned() + &text::left(sign, SIGN, theme), *style),
            span(text::left(meaning, room, theme), theme.style(Meaning::Plain)),
        ]
    };
    let lines: Vec<Line<'_>> = if two {
        (0..left.len().max(right.len()))
            .map(|place| {
                let half = |rows: &[(String, Style, String)]| row(rows.get(place).unwrap_or(&blank()));
                Line::from([half(&left), half(&right)].concat())
            })
            .collect()
    } else {
        left.iter().chain(&right).map(|entry| Line::from(row(entry))).collect()
    };
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(screen.height);
    let area = Rect::new((screen.width - width) / 2, (screen.height - height) / 2, width, height);
    let block = Block::bordered().border_set(theme.symbols.frame).title(" keys and signs ");
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
