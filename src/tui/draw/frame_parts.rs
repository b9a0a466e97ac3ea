//! First and last row.

use ratatui::text::{Line, Span};

use super::text::{fit, span};
use super::width;
use crate::tui::layout::Layout;
use crate::tui::{Meaning, State, Theme};
use crate::units::Bytes;

/// Name, driver, how many cards and how full; at the right whether figures are held and how often they change.
pub fn header(state: &State, layout: &Layout, theme: &Theme) -> Line<'static> {
    let watch = state.shown();
    let mut left = String::new();
    if let Some(version) = &watch.driver_version {
        left += &format!("   driver {version}");
    }
    if let Some(version) = &watch.cuda_version {
        left += &format!("   CUDA {version}");
    }
    left += &format!("   {}", cards(state, layout));

    let mut right = match state.frozen {
        Some(_) => vec![span(" paused ", theme.style(Meaning::Alarm)), Span::raw(" ")],
        None => Vec::new(),
    };
    right.push(span(format!("{} every {} ", state.source, state.interval), theme.style(Meaning::Label)));

    let name = span(" shardfit top", theme.style(Meaning::Focus));
    let right_width: usize = right.iter().map(Span::width).sum();
    let room = usize::from(layout.header.width).saturating_sub(name.width() + right_width + 1);
    let left = fit(&left, u16::try_from(room).unwrap_or(u16::MAX), theme);
    let gap = room.saturating_sub(usize::from(width(&left))) + 1;
    let mut line = vec![name, span(left, theme.style(Meaning::Plain)), Span::raw(" ".repeat(gap))];
    line.extend(right);
    Line::from(line)
}

/// `4 cards`, or `cards 5-8 of 16` when not all are visible, and what they hold together.
fn cards(state: &State, layout: &Layout) -> String {
    let watch = state.shown();
    let count = watch.cards.len();
    let visible = layout.grid.visible();
    let cards = match count {
        1 => "1 card".to_owned(),
        _ if visible.len() == count => format!("{count} cards"),
        _ => format!("cards {}-{} of {count}", visible.start + 1, visible.end),
    };
    // Instances lie within their cards: summing both would count memory twice.
    let whole = watch.cards.iter().filter(|card| card.is_present() && card.usage.id.instance.is_none());
    let memory: Vec<_> = whole.filter_map(|card| card.usage.memory.known()).collect();
    if count < 2 || memory.is_empty() {
        return cards;
    }
    let used: Bytes = memory.iter().map(|m| m.used).sum();
    let capacity: Bytes = memory.iter().map(|m| m.capacity).sum();
    format!("{cards}   {:.1} / {:.1} GiB", used.as_gib(), capacity.as_gib())
}

/// The keys, as many as there is room for.
pub fn footer(state: &State, theme: &Theme, columns: u16) -> Line<'static> {
    let pause = if state.frozen.is_some() { "go on" } else { "pause" };
    let keys = [
        ("q", "quit"),
        ("?", "help"),
        (theme.symbols.arrows, "move"),
        ("Tab", "pane"),
        ("s", "sort"),
        ("p", pause),
        ("+/-", "interval"),
    ];
    let mut spans = vec![Span::raw(" ")];
    let mut taken = 1;
    for (key, meaning) in keys {
        let needed = width(key) + width(meaning) + 4;
        if taken + needed > columns {
            break;
        }
        taken += needed;
        spans.push(span(key, theme.style(Meaning::Focus)));
        spans.push(span(format!(" {meaning}   "), theme.style(Meaning::Label)));
    }
    Line::from(spans)
}
