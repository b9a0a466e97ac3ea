//! First and last row.

use ratatui::text::{Line, Span};

use super::text::{fit, keys as key_spans, span};
use super::width;
use crate::monitor::{clock, moment};
use crate::tui::layout::Layout;
use crate::tui::{Meaning, Playback, State, Theme, View};
use crate::units::Bytes;

/// Name, cards, how full they are, driver, as much of it as fits; at the right whether figures are held and how often they change.
pub fn header(state: &State, layout: &Layout, theme: &Theme) -> Line<'static> {
    let watch = state.shown();
    let version = |name: &str, version: &Option<String>| version.as_ref().map(|version| format!("{name} {version}"));
    let parts = [
        (state.view != View::Overview).then(|| state.view.label().to_owned()),
        state.playback.as_ref().map(recorded_at),
        Some(cards(state, layout)),
        occupancy(state),
        balance(state),
        version("driver", &watch.driver_version),
        version("CUDA", &watch.cuda_version),
    ];
    let right = at_right(state, theme);
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
    if state.view == View::Overview && visible.len() < cards.len() {
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

/// When the moment shown was, for comparison with logs.
fn recorded_at(playback: &Playback) -> String {
    let since = u64::try_from(playback.position.as_millis()).unwrap_or(u64::MAX);
    moment(playback.replay.header().started_unix_ms.saturating_add(since) / 1000)
}

/// What goes on: paused, recorded, replayed; and how often.
fn at_right(state: &State, theme: &Theme) -> Vec<Span<'static>> {
    let mut right = Vec::new();
    let label = theme.style(Meaning::Label);
    if let Some(playback) = &state.playback {
        let sign = if playback.playing { " replay " } else { " held " };
        right.push(span(sign, theme.style(Meaning::Alarm)));
        let begin = playback.replay.begin();
        let at = clock(playback.position.saturating_sub(begin));
        let end = clock(playback.replay.end().saturating_sub(begin));
        right.push(span(format!(" {at} of {end} at {}x ", playback.speed), label));
        return right;
    }
    if state.frozen.is_some() {
        right.push(span(" paused ", theme.style(Meaning::Alarm)));
        right.push(Span::raw(" "));
    }
    if let Some(recording) = &state.recording {
        let style = if recording.failure.is_some() { Meaning::Alarm } else { Meaning::Warning };
        right.push(span(format!(" rec {} ", Bytes(recording.bytes)), theme.style(style)));
        right.push(Span::raw(" "));
    }
    let source = fit(&state.source, 24, theme);
    right.push(span(format!("{source} every {} ", state.interval), label));
    right
}

/// How far apart the cards are that work together.
fn balance(state: &State) -> Option<String> {
    let analysis = state.shown_analysis();
    let memory = analysis.memory_imbalance?;
    let busy = analysis.utilization_imbalance.map_or_else(String::new, |points| format!(" and {points:.0} pts util"));
    Some(format!("apart {:.1} GiB{busy}", memory.as_gib()))
}

/// The keys, as many as there is room for; a question or what is typed in their place.
pub fn footer(state: &State, theme: &Theme, columns: u16) -> Line<'static> {
    if let Some(question) = &state.question {
        let text = format!(" end process {} ({})? y: send SIGTERM   any other key: no", question.pid, question.name);
        return Line::raw(fit(&text, columns, theme)).style(theme.style(Meaning::Alarm));
    }
    let held = state.frozen.is_some() || state.playback.as_ref().is_some_and(|playback| !playback.playing);
    let pause = if held { "go on" } else { "pause" };
    let arrows = theme.symbols.arrows;
    let typing = [("Enter", "keep the filter"), ("Esc", "no filter")];
    let replay = [
        ("q", "quit"),
        ("?", "help"),
        ("p", pause),
        ("+/-", "speed"),
        ("<>", "1 min"),
        (",.", "sample"),
        ("[]", "marks"),
        ("1-5", "views"),
    ];
    let live = [
        ("q", "quit"),
        ("?", "help"),
        (arrows, "move"),
        ("Tab", "pane"),
        ("1-5", "views"),
        ("/", "filter"),
        ("s", "sort"),
        ("p", pause),
        ("r", "record"),
        ("+/-", "interval"),
        ("z/Z", "zoom"),
        ("m", "mark"),
    ];
    let keys: &[(&'static str, &'static str)] = match (state.typing, &state.playback) {
        (true, _) => &typing,
        (_, Some(_)) => &replay,
        _ => &live,
    };
    let (spans, _) = key_spans(keys, 1, columns, theme);
    Line::from(spans)
}
