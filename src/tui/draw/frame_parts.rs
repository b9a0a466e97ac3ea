//! First and last row.

use ratatui::text::{Line, Span};

use super::text::{fit, span};
use super::width;
use crate::tui::layout::Layout;
use crate::tui::{Meaning, State, Theme};
use crate::units::Bytes;

/// Name, cards, how full they are, driver, as much of it as fits; at the right whether figures are held and how often they change.
pub fn header(state: &State, layout: &Layout, theme: &Theme) -> Line<'static> {
    let watch = state.shown();
    let version = |name: &str, version: &Option<String>| version.as_ref().map(|version| format!("{name} {version}"));
    let parts = [
        Some(cards(state, layout)),
        occupancy(state),
        version("driver", &watch.driver_version),
        version("CUDA", &watch.cuda_version),
    ];
    let mut right = match state.frozen {
        Some(_) => vec![span(" paused ", theme.style(Meaning::Alarm)), Span::raw(" ")],
        None => Vec::new(),
    };
    let source = fit(&state.source, 24, theme);
    right.push(span(format!("{source} every {} ", state.interval), theme.style(Meaning::Label)));

    let name = span(" shardfit top", theme.style(Meaning::Focus));
    let taken = name.width() + right.iter().map(Span::width).sum::<usize>();
    let room = layout.header.width.saturating_sub(u16::try_from(taken).unwrap_or(u16::MAX));
    let mut left = String::new();
    for part in parts.into_iter().flatten() {
        if width(&left) + width(&part) + 5 > room {
            break;
        }
        left += &format!("   {part}");
    }
    let gap = room.saturating_sub(width(&left));
    let mut line = vec![name, span(left, theme.style(Meaning::Plain)), Span::raw(" ".repeat(usize::from(gap)))];
    line.extend(right);
    Line::from(line)
}

/// `4 cards`, `2 cards, 3 instances`, or `5-8 of 16 cards` when not all are visible.
fn cards(state: &State, layout: &Layout) -> String {
    let count = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let cards = &state.shown().cards;
    let visible = layout.grid.visible();
    let instances = cards.iter().filter(|card| card.usage.id.instance.is_some()).count();
    if visible.len() < cards.len() {
        let word = if instances == 0 { "cards" } else { "cards and instances" };
        return format!("{}-{} of {} {word}", visible.start + 1, visible.end, cards.len());
    }
    match instances {
        0 => count(cards.len(), "card"),
        _ => format!("{}, {}", count(cards.len() - instances, "card"), count(instances, "instance")),
    }
}

/// What all cards hold together, when there are several.
fn occupancy(state: &State) -> Option<String> {
    // Instances lie within their cards: summing both would count memory twice.
    let cards = &state.shown().cards;
    let whole = cards.iter().filter(|card| card.is_present() && card.usage.id.instance.is_none());
    let memory: Vec<_> = whole.filter_map(|card| card.usage.memory.known()).collect();
    let used: Bytes = memory.iter().map(|m| m.used).sum();
    let capacity: Bytes = memory.iter().map(|m| m.capacity).sum();
    (memory.len() > 1).then(|| format!("{:.1} / {:.1} GiB", used.as_gib(), capacity.as_gib()))
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
