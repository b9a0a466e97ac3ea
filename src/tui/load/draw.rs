//! Painting a load.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{LoadState, LoadView, RankProgress, Speed};
use crate::tui::attended::{self, Division, Key, clock};
use crate::tui::draw::{Segment, bar, fit, left, right, rule, span, width};
use crate::tui::{Meaning, Theme};
use crate::units::Bytes;

/// Columns of the table of ranks; the bar gets the rest.
const RANK: u16 = 6;
const CARD: u16 = 9;
const PHASE: u16 = 10;
const BYTES: u16 = 22;
const SPEED: u16 = 10;
const TIME: u16 = 9;
/// From so many rows on there is room for the steps in a row of their own, and for more than the last notes.
const TALL: u16 = 28;
/// Rows of notes that a table of ranks never takes.
const LEAST_LOG: u16 = 4;

/// Paints the screen of a load.
pub fn draw(state: &LoadState, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let LoadState { view, onlooker, .. } = state;
    if area.width < 40 || area.height < 8 {
        let line = format!("loading: {}", percent(state.done(), state.total()));
        frame.render_widget(Line::raw(fit(&line, area.width, theme)), area);
        return;
    }
    let row = |y: u16| Rect { y, height: 1, ..area };
    let header = attended::header("shardfit load", &view.title, doing(view), view.elapsed, area.width, theme);
    frame.render_widget(header, row(0));
    let mut top = 1;
    // Where rows are short the header tells the present step, and the notes the others.
    if area.height >= TALL {
        frame.render_widget(attended::steps(&view.steps, view.ending.is_some(), area.width, theme), row(top));
        top += 1;
    }
    frame.render_widget(total(state, theme, area.width), row(top));
    top += 1;

    let mut room = area.height - 1 - top;
    let cards = onlooker.order().len();
    let wanted = view.ending.as_ref().map(|ending| ending.height(area.width));
    // When it is over the cards show what the table of ranks did.
    let rank_rows = u16::try_from(view.ranks.len()).unwrap_or(u16::MAX).saturating_add(2);
    let for_ranks = match (cards, &view.ending) {
        (0, None) => rank_rows.min(room.saturating_sub(LEAST_LOG)),
        (_, None) => rank_rows.min(room / 3),
        (_, Some(_)) => 0,
    };
    if for_ranks > 2 {
        ranks(state, theme, Rect { y: top, height: for_ranks, ..area }, frame);
    }
    room -= for_ranks;
    top += for_ranks;
    let for_log = if area.height >= TALL { room / 4 } else { 0 };
    let parts = Division::of(room, area.width, cards, for_log, wanted);
    let place = Rect { y: top, height: parts.cards, ..area };
    let below = top + attended::cards(onlooker, "shardfit", theme, place, frame);
    if let Some(ending) = &view.ending {
        attended::ending(ending, onlooker.down, theme, Rect { y: below, height: parts.ending, ..area }, frame);
    }
    let log = Rect { y: below + parts.ending, height: (area.height - 1).saturating_sub(below + parts.ending), ..area };
    attended::log("notes", &view.log, onlooker.back, theme, log, frame);
    let footer = attended::footer(onlooker, &keys(view, theme), QUESTIONS, place, area.width, theme);
    frame.render_widget(footer, row(area.height - 1));
}

/// What the load is doing.
fn doing(view: &LoadView) -> &str {
    match (&view.ending, view.steps.last()) {
        (Some(_), _) => "ended",
        (None, _) if view.is_held => "held",
        (None, _) if view.was_told => "stopping",
        (None, Some(step)) => &step.name,
        (None, None) => "starting",
    }
}

const QUESTIONS: [&str; 2] =
    ["stop the load? y: stop and free the cards", "it was told to stop and has not: y: leave it to the driver"];

fn keys(view: &LoadView, theme: &Theme) -> Vec<Key> {
    let arrows = theme.symbols.arrows;
    match (view.ending.is_some(), view.is_held) {
        (true, _) => vec![("any key", "leave"), ("PgUp/PgDn", "scroll"), (arrows, "cards")],
        (_, true) => vec![("q", "let go of the cards"), ("PgUp/PgDn", "notes"), (arrows, "ranks and cards")],
        _ => vec![("q", "stop"), ("^C", "stop at once"), ("PgUp/PgDn", "notes"), (arrows, "ranks and cards")],
    }
}

/// All ranks together.
fn total(state: &LoadState, theme: &Theme, columns: u16) -> Line<'static> {
    let (done, total) = (state.done(), state.total());
    let mut figures = format!(" {:>5}  {} ", percent(done, total), amount(done, total));
    if done < total && state.view.ending.is_none() {
        let left = state.time_left().map_or_else(|| "?".to_owned(), clock);
        figures += &format!(" {}  left {left:>8} ", rate(&state.speed));
    }
    let bar_columns = columns.saturating_sub(width(&figures) + 1);
    let mut line = vec![Span::raw(" ")];
    line.extend(progress(done, total, bar_columns, theme).spans);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_honest() {
        assert_eq!(percent(Bytes(999), Bytes(1000)), "99 %");
        assert_eq!(percent(Bytes(1000), Bytes(1000)), "100 %");
        assert_eq!(percent(Bytes(0), Bytes(0)), "?");
        assert_eq!(percent(Bytes(u64::MAX), Bytes(u64::MAX)), "100 %");
        assert_eq!(rate(&Speed::default()), "?");
    }
}
