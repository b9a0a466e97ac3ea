//! Memory of all cards over time, with the plan's level, and marks below; in a replay the whole recording with the moment shown.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::graph::{graph, samples_per_column, with_level};
use super::text::{fit, left, right, span};
use super::{below, first_row};
use crate::hardware::Reading;
use crate::monitor::recording::Mark;
use crate::monitor::{Point, WatchedCard, clock};
use crate::tui::layout::window;
use crate::tui::{Meaning, Playback, State, Theme};
use crate::units::Bytes;

/// Columns in front of the graphs.
const GUTTER: u16 = 24;
/// Rows below the graphs: marks, times, list of marks.
const FOOT: u16 = 6;

/// The stretch of time on the screen, in seconds from the start of the watch. Its begin can lie before: a young watch fills the right
/// end of its graphs.
struct Stretch {
    from: f64,
    to: f64,
}

/// Paints one graph a card and the marks.
pub fn draw(state: &State, theme: &Theme, area: Rect, frame: &mut Frame<'_>) {
    let cards = &state.shown().cards;
    let room = area.height.saturating_sub(FOOT);
    let count = u16::try_from(cards.len()).unwrap_or(u16::MAX).max(1);
    let height = (room / count).clamp(2, 8);
    let visible = window(state.card, cards.len(), usize::from(room / height));
    let columns = area.width.saturating_sub(GUTTER + 1);
    let per_column = samples_per_column(theme.symbols.braille);
    let points = usize::from(columns * per_column);
    let time = time_span(state, points);
    for (y, place) in (0..).zip(visible.clone()) {
        let row = Rect { height: height.min(room), ..below(area, y * height) };
        let watched = &cards[place];
        let values = match &state.playback {
            Some(playback) => recorded(playback, watched, &time, points),
            None => {
                let capacity = watched.usage.memory.known().map(|memory| memory.capacity);
                watched.trace.zoomed(state.zoom, points).map(|point| share(point, capacity)).collect()
            }
        };
        card(state, watched, place == state.card, &values, theme, row, frame);
    }
    let shown = u16::try_from(visible.len()).unwrap_or(0) * height;
    foot(state, &time, theme, Rect { height: FOOT, ..below(area, shown) }, frame);
}

fn time_span(state: &State, points: usize) -> Stretch {
    if let Some(playback) = &state.playback {
        return Stretch { from: playback.replay.begin().as_secs_f64(), to: playback.replay.end().as_secs_f64() };
    }
    let traces = state.shown().cards.iter().map(|card| &card.trace);
    let Some(longest) = traces.max_by_key(|trace| trace.zoomed(state.zoom, points).count()) else {
        return Stretch { from: 0.0, to: 0.0 };
    };
    let to = longest.latest(1).next().map_or(0.0, |point| point.at.as_secs_f64());
    let steps = longest.zoomed(state.zoom, points).count().saturating_sub(1).max(1);
    let step = longest.zoomed_span(state.zoom, points).as_secs_f64() / steps as f64;
    Stretch { from: to - step * points.saturating_sub(1) as f64, to }
}

fn share(point: &Point, capacity: Option<Bytes>) -> Option<f64> {
    let capacity = capacity.filter(|capacity| capacity.0 > 0)?;
    Some(point.used?.0 as f64 / capacity.0 as f64)
}

/// The whole recording of a card, brought to so many values: the most of each stretch.
fn recorded(playback: &Playback, watched: &WatchedCard, time: &Stretch, points: usize) -> Vec<Option<f64>> {
    let mut values = vec![None; points];
    let id = watched.usage.id;
    let key = watched.usage.key.as_deref();
    let series = playback.replay.series().iter().find(|series| match (key, &series.uuid) {
        (Some(key), Some(uuid)) => key == uuid,
        _ => series.id == id,
    });
    let Some(series) = series else { return values };
    for point in &series.points {
        let place = place(point.at, time, points);
        if let (Some(value), Some(share)) = (values.get_mut(place), share(point, series.capacity)) {
            *value = Some(value.map_or(share, |before: f64| before.max(share)));
        }
    }
    // More places than samples: what was last told holds until the next sample.
    if series.points.len() < points {
        let mut last = None;
        for value in &mut values {
            last = value.or(last);
            *value = last;
        }
    }
    values
}

/// Which of `count` places a moment has.
fn place(at: Duration, time: &Stretch, count: usize) -> usize {
    let whole = time.to - time.from;
    if whole <= 0.0 || count == 0 {
        return count.saturating_sub(1);
    }
    let share = (at.as_secs_f64() - time.from) / whole;
    ((share * count as f64) as usize).min(count - 1)
}

fn card(
    state: &State,
    watched: &WatchedCard,
    selected: bool,
    values: &[Option<f64>],
    theme: &Theme,
    area: Rect,
    frame: &mut Frame<'_>,
) {
    let style = theme.style(if selected { Meaning::Focus } else { Meaning::Title });
    let cursor = if selected { theme.symbols.cursor } else { " " };
    let name = watched.usage.name.as_ref().known().map_or("unknown card", String::as_str);
    let name = format!("{cursor}{} {}", watched.usage.id, name.trim_start_matches("NVIDIA "));
    let label = theme.style(Meaning::Label);
    frame.render_widget(Line::from(span(left(&name, GUTTER - 1, theme), style)), first_row(area));
    let used = match watched.usage.memory {
        Reading::Known(memory) if watched.is_present() => {
            format!(" {:>6.2} of {:>6.2} GiB", memory.used.as_gib(), memory.capacity.as_gib())
        }
        _ => " not there".to_owned(),
    };
    frame.render_widget(Line::from(span(left(&used, GUTTER - 1, theme), label)), first_row(below(area, 1)));
    let columns = area.width.saturating_sub(GUTTER + 1);
    let mut rows = graph(values, columns, area.height, theme.symbols.braille);
    let capacity = watched.usage.memory.known().map(|memory| memory.capacity).filter(|c| c.0 > 0);
    let expected = state.expectation.as_deref().and_then(|plan| plan.card(&watched.usage));
    if let (Some(expected), Some(capacity)) = (expected, capacity) {
        let level = expected.total.0 as f64 / capacity.0 as f64;
        with_level(&mut rows, level, theme.symbols.level);
        if area.height > 2 {
            let text = format!(" plan {:>6.2} GiB", expected.total.as_gib());
            frame.render_widget(Line::from(span(left(&text, GUTTER - 1, theme), label)), first_row(below(area, 2)));
        }
    }
    for (row, text) in (0..).zip(rows) {
        let place = Rect { x: area.x + GUTTER, width: columns, ..first_row(below(area, row)) };
        frame.render_widget(Line::raw(text).style(theme.style(Meaning::Occupancy)), place);
    }
}

/// Signs below the graphs, the ends of the time, and the marks nearest to the moment shown in words.
fn foot(state: &State, time: &Stretch, theme: &Theme, area: Rect, frame: &mut Frame<'_>) {
    let columns = area.width.saturating_sub(GUTTER + 1);
    let mut signs = vec![" "; usize::from(columns)];
    let marks = state.shown_marks();
    let visible: Vec<&Mark> =
        marks.iter().filter(|mark| (time.from..=time.to).contains(&mark.at.as_secs_f64())).collect();
    for mark in &visible {
        if let Some(sign) = signs.get_mut(place(mark.at, time, usize::from(columns))) {
            *sign = theme.symbols.mark;
        }
    }
    let label = theme.style(Meaning::Label);
    let head = span(left(&format!(" {} marks", visible.len()), GUTTER, theme), label);
    let row = vec![head, span(signs.concat(), theme.style(Meaning::Warning))];
    frame.render_widget(Line::from(row), first_row(area));

    let whole = Duration::try_from_secs_f64(time.to - time.from).unwrap_or_default();
    let ends = match &state.playback {
        Some(_) => (clock(Duration::ZERO), clock(whole)),
        None => (format!("{} ago", clock(whole)), "now".to_owned()),
    };
    let gap = columns.saturating_sub(super::width(&ends.0));
    let times = format!("{}{}{}", left("", GUTTER, theme), ends.0, right(&ends.1, gap, theme));
    frame.render_widget(Line::raw(fit(&times, area.width, theme)).style(label), first_row(below(area, 1)));
    if let Some(playback) = &state.playback {
        let at = place(playback.position, time, usize::from(columns));
        let place = Rect { x: area.x + GUTTER + u16::try_from(at).unwrap_or(0), width: 1, ..first_row(area) };
        frame.render_widget(Span::styled("|", theme.style(Meaning::Focus)), place);
    }
    let now = state.playback.as_ref().map_or(time.to, |playback| playback.position.as_secs_f64());
    let until = visible.partition_point(|mark| mark.at.as_secs_f64() <= now);
    let begin = state.playback.as_ref().map_or(Duration::ZERO, |playback| playback.replay.begin());
    let rows = usize::from(area.height.saturating_sub(2));
    let first = until.saturating_sub(rows);
    for (row, mark) in (2..).zip(visible.iter().skip(first).take(rows)) {
        let text = format!(" {:>8}  {:<13}  {}", clock(mark.at.saturating_sub(begin)), mark.kind.label(), mark.text);
        let text = fit(&text, area.width, theme);
        frame.render_widget(Line::raw(text).style(theme.style(Meaning::Plain)), first_row(below(area, row)));
    }
}
