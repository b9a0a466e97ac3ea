//! Painting: reads the state, changes nothing.

mod bar;
mod card;
mod frame_parts;
mod graph;
mod help;
mod one_card;
mod outline;
mod plan;
mod processes;
mod text;
mod timeline;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use crate::monitor::WatchedCard;

use super::layout::Layout;
use super::{Meaning, Pane, State, Theme, View};

pub(super) use bar::{Segment, bar};
pub(super) use card::{Look, draw as card};
pub(super) use text::{fit, keys as key_spans, left, right, rule, span, width};

/// Below this a frame says only that it needs more room.
const SMALLEST: (u16, u16) = (40, 8);

/// Paints the screen of `top`.
pub fn draw(state: &State, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    // The terminal can be resized between the event and the frame: the frame's size is the true one.
    let resized;
    let state = if (area.width, area.height) == (state.size.width, state.size.height) {
        state
    } else {
        resized = State { size: super::Size { width: area.width, height: area.height }, ..state.clone() };
        &resized
    };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let line =
            format!("{}x{} is too small: {}x{} shows the cards", area.width, area.height, SMALLEST.0, SMALLEST.1);
        frame.render_widget(Line::raw(fit(&line, area.width, theme)), area);
        return;
    }
    let layout = Layout::of(state);
    let rows = state.processes();
    frame.render_widget(frame_parts::header(state, &layout, theme), layout.header);
    if let Some(notice) = state.notice() {
        // What happened to a wish is news and no alarm.
        let is_news = state.fresh_message() == Some(notice.as_str());
        let (sign, meaning) = if is_news { (" ", Meaning::Focus) } else { (" ! ", Meaning::Alarm) };
        let line = fit(&format!("{sign}{notice}"), layout.notice.width, theme);
        frame.render_widget(Line::raw(line).style(theme.style(meaning)), layout.notice);
    }
    match state.view {
        View::Overview => cards(state, &layout, theme, frame),
        View::Card => one(state, &layout, theme, frame),
        View::Processes => {}
        View::Timeline => timeline::draw(state, theme, layout.body, frame),
        View::Plan => plan::draw(state, theme, layout.body, frame),
    }
    if layout.processes.height > 0 {
        processes::draw(state, &rows, &layout, theme, frame);
    }
    if state.trouble().is_some() {
        // Old figures look old.
        frame.buffer_mut().set_style(layout.body, Style::new().add_modifier(Modifier::DIM));
    }
    frame.render_widget(frame_parts::footer(state, theme, layout.footer.width), layout.footer);
    if state.help {
        help::draw(theme, frame);
    }
}

/// The selected card alone.
fn one(state: &State, layout: &Layout, theme: &Theme, frame: &mut Frame<'_>) {
    match state.shown().cards.get(state.card) {
        Some(card) => one_card::draw(card, &look(state, card, true, theme), layout.grid.area, frame),
        None => nothing(state, layout.grid.area, theme, frame),
    }
}

fn look<'a>(state: &'a State, card: &'a WatchedCard, focused: bool, theme: &'a Theme) -> Look<'a> {
    Look {
        focused,
        now: state.shown_at(),
        theme,
        expected: state.expectation.as_deref().and_then(|plan| plan.card(&card.usage)),
        analysis: state.shown_analysis().card(card.usage.id),
        zoom: state.zoom,
        ..Look::plain(theme)
    }
}

/// Why there is no card to show.
fn nothing(state: &State, area: Rect, theme: &Theme, frame: &mut Frame<'_>) {
    let text = match state.shown().last_answer {
        Some(_) => "  the driver lists no card",
        None => "  waiting for the driver to answer",
    };
    frame.render_widget(Line::raw(text).style(theme.style(Meaning::Label)), area);
}

fn cards(state: &State, layout: &Layout, theme: &Theme, frame: &mut Frame<'_>) {
    let watch = state.shown();
    let grid = &layout.grid;
    if watch.cards.is_empty() {
        nothing(state, grid.area, theme, frame);
        return;
    }
    for place in grid.visible() {
        let focused = state.focus == Pane::Cards && place == state.card;
        let watched = &watch.cards[place];
        card(watched, &look(state, watched, focused, theme), grid.cell(place), frame);
    }
}

/// The first row of `area`; empty when there is none.
fn first_row(area: Rect) -> Rect {
    Rect { height: area.height.min(1), ..area }
}

/// `area` without its first `rows` rows.
fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}
