//! Painting a load.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{LoadState, RankProgress, Speed};
use crate::tui::draw::{Look, Segment, bar, card, fit, left, right, rule, span, width};
use crate::tui::layout::Grid;
use crate::tui::{Meaning, Theme};
use crate::units::Bytes;

/// Columns of the table of ranks; the bar gets the rest.
const RANK: u16 = 6;
const CARD: u16 = 9;
const PHASE: u16 = 10;
const BYTES: u16 = 22;
const SPEED: u16 = 10;
const TIME: u16 = 9;

/// Paints the screen of a load.
pub fn draw(state: &LoadState, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < 40 || area.height < 8 {
        let line = format!("loading: {}", percent(state.done(), state.total()));
        frame.render_widget(Line::raw(fit(&line, area.width, theme)), area);
        return;
    }
    let row = |y: u16| Rect { y, height: 1, ..area };
    let footer = row(area.bottom() - 1);
    frame.render_widget(header(state, theme, area.width), row(0));
    frame.render_widget(total(state, theme, area.width), row(1));

    let room = area.height - 3;
    let cards = state.cards.cards.len();
    // Ranks first; cards get what is left, and at least half when they need it.
    let rank_rows = u16::try_from(state.view.ranks.len()).unwrap_or(u16::MAX).saturating_add(2);
    let for_ranks = if cards == 0 { room } else { rank_rows.min(room.div_ceil(2)) };
    ranks(state, theme, Rect { y: 2, height: for_ranks, ..area }, frame);

    let grid = Grid::new(Rect { y: 2 + for_ranks, height: room - for_ranks, ..area }, cards, 0);
    for place in grid.visible() {
        let now = state.cards.last_answer.unwrap_or_default();
        let look = Look { now, ..Look::plain(theme) };
        card(&state.cards.cards[place], &look, grid.cell(place), frame);
    }
    frame.render_widget(footer_line(state, theme, area.width), footer);
}

fn header(state: &LoadState, theme: &Theme, columns: u16) -> Line<'static> {
    let name = span(" shardfit load", theme.style(Meaning::Focus));
    let elapsed = span(format!("{} ", clock(state.view.elapsed)), theme.style(Meaning::Label));
    let taken = u16::try_from(name.width() + elapsed.width() + 4).unwrap_or(u16::MAX);
    let title = left(&state.view.title, columns.saturating_sub(taken), theme);
    Line::from(vec![name, Span::raw("   "), span(title, theme.style(Meaning::Plain)), Span::raw(" "), elapsed])
}

/// All ranks together.
fn total(state: &LoadState, theme: &Theme, columns: u16) -> Line<'static> {
    let figures = format!(
        " {:>5}  {}  {}  left {:>8} ",
        percent(state.done(), state.total()),
        amount(state.done(), state.total()),
        rate(&state.speed),
        state.time_left().map_or_else(|| "?".to_owned(), clock),
    );
    let bar_columns = columns.saturating_sub(width(&figures) + 1);
    let mut line = vec![Span::raw(" ")];
    line.extend(progress(state.done(), state.total(), bar_columns, theme).spans);
    line.push(span(fit(&figures, columns.saturating_sub(1), theme), theme.style(Meaning::Plain)));
    Line::from(line)
}

fn ranks(state: &LoadState, theme: &Theme, area: Rect, frame: &mut Frame<'_>) {
    let count = state.view.ranks.len();
    let fitting = usize::from(area.height.saturating_sub(2));
    let first = state.first_rank.min(count.saturating_sub(fitting));
    let visible = first..(first + fitting).min(count);
    let row = |place: u16| Rect { y: area.y + place, height: 1, ..area }.intersection(area);

    let shown = if visible.len() < count {
        format!("{}-{} of {count} ", visible.start + 1, visible.end)
    } else {
        format!("{count} ")
    };
    let title = vec![span(" ranks", theme.style(Meaning::Title))];
    frame.render_widget(rule(title, vec![span(shown, theme.style(Meaning::Label))], area.width, theme), row(0));
    let bar_columns = bar_columns(area.width);
    let heads = [
        left(" RANK", RANK, theme),
        left("CARD", CARD, theme),
        left("PHASE", PHASE, theme),
        left("", bar_columns, theme),
        right("DONE", BYTES, theme),
        right("SPEED", SPEED, theme),
        right("LEFT", TIME, theme),
    ];
    let heads = Line::raw(fit(&heads.concat(), area.width, theme)).style(theme.style(Meaning::Label));
    frame.render_widget(heads, row(1));
    for (y, place) in (2..).zip(visible) {
        frame.render_widget(rank(&state.view.ranks[place], &state.speeds[place], bar_columns, theme), row(y));
    }
}

const fn bar_columns(columns: u16) -> u16 {
    columns.saturating_sub(RANK + CARD + PHASE + BYTES + SPEED + TIME + 1)
}

fn rank(rank: &RankProgress, speed: &Speed, bar_columns: u16, theme: &Theme) -> Line<'static> {
    let plain = theme.style(Meaning::Plain);
    let rest = rank.total.saturating_sub(rank.done);
    let (speed, time) = match rest {
        Bytes::ZERO => (String::new(), String::new()),
        rest => (rate(speed), speed.time_for(rest).map_or_else(|| "?".to_owned(), clock)),
    };
    let mut line = vec![
        span(left(&format!(" {}", rank.rank), RANK, theme), plain),
        span(left(&rank.card, CARD - 1, theme) + " ", plain),
        span(left(&rank.phase, PHASE - 1, theme) + " ", theme.style(Meaning::Label)),
    ];
    line.extend(progress(rank.done, rank.total, bar_columns, theme).spans);
    line.push(span(right(&amount(rank.done, rank.total), BYTES, theme), plain));
    line.push(span(right(&speed, SPEED, theme), plain));
    line.push(span(right(&time, TIME, theme), plain));
    Line::from(line)
}

/// Own bytes against what is still to come.
fn progress(done: Bytes, total: Bytes, columns: u16, theme: &Theme) -> Line<'static> {
    let segments = [
        Segment { meaning: Meaning::Own, bytes: done },
        Segment { meaning: Meaning::Free, bytes: total.saturating_sub(done) },
    ];
    bar(&segments, columns, theme)
}

fn footer_line(state: &LoadState, theme: &Theme, columns: u16) -> Line<'static> {
    if state.asking {
        let question = fit(" stop the load? y: stop and free the cards   any other key: go on", columns, theme);
        return Line::raw(question).style(theme.style(Meaning::Alarm));
    }
    let key = theme.style(Meaning::Focus);
    let label = theme.style(Meaning::Label);
    Line::from(vec![
        span(" q", key),
        span(" stop   ", label),
        span(theme.symbols.arrows, key),
        span(" scroll ranks", label),
    ])
}

/// `8.01 / 14.20 GiB`.
fn amount(done: Bytes, total: Bytes) -> String {
    format!("{:>6.2} / {:>6.2} GiB", done.as_gib(), total.as_gib())
}

/// Rounded down, so that 100 % means all of it.
fn percent(done: Bytes, total: Bytes) -> String {
    match total {
        Bytes::ZERO => "?".to_owned(),
        total => format!("{} %", u128::from(done.0) * 100 / u128::from(total.0)),
    }
}

/// In units of 10^9 bytes, as storage and buses are rated.
fn rate(speed: &Speed) -> String {
    speed.per_second().map_or_else(|| "?".to_owned(), |bytes| format!("{:.2} GB/s", bytes / 1e9))
}

/// `42 s`, `3:05`, `1:02:03`.
fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        seconds => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_honest() {
        let clocks = [0, 59, 60, 3599, 3723].map(|s| clock(Duration::from_secs(s)));
        assert_eq!(clocks, ["0 s", "59 s", "1:00", "59:59", "1:02:03"]);
        assert_eq!(percent(Bytes(999), Bytes(1000)), "99 %");
        assert_eq!(percent(Bytes(1000), Bytes(1000)), "100 %");
        assert_eq!(percent(Bytes(0), Bytes(0)), "?");
        assert_eq!(percent(Bytes(u64::MAX), Bytes(u64::MAX)), "100 %");
        assert_eq!(rate(&Speed::default()), "?");
    }
}
