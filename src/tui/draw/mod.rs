//! Painting: reads the state, changes nothing.

mod bar;
mod card;
mod frame_parts;
mod graph;
mod help;
mod processes;
mod text;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::layout::Layout;
use super::{Meaning, Pane, State, Theme};

pub(super) use bar::{Segment, bar};
pub(super) use card::{Look, draw as card};
pub(super) use text::{fit, left, right, rule, span, width};

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
        let line = fit(&format!(" ! {notice}"), layout.notice.width, theme);
        frame.render_widget(Line::raw(line).style(theme.style(Meaning::Alarm)), layout.notice);
    }
    cards(state, &layout, theme, frame);
    processes::draw(state, &rows, &layout, theme, frame);
    frame.render_widget(frame_parts::footer(state, theme, layout.footer.width), layout.footer);
    if state.help {
        help::draw(theme, frame);
    }
}

fn cards(state: &State, layout: &Layout, theme: &Theme, frame: &mut Frame<'_>) {
    let watch = state.shown();
    let grid = &layout.grid;
    if watch.cards.is_empty() {
        let text = match watch.last_answer {
            Some(_) => "  the driver lists no card",
            None => "  waiting for the driver to answer",
        };
        frame.render_widget(Line::raw(text).style(theme.style(Meaning::Label)), grid.area);
        return;
    }
    for place in grid.visible() {
        let look = Look { focused: state.focus == Pane::Cards && place == state.card, now: state.shown_at(), theme };
        card(&watch.cards[place], &look, grid.cell(place), frame);
    }
    if state.notice().is_some() {
        // Old figures look old.
        frame.buffer_mut().set_style(grid.area, Style::new().add_modifier(Modifier::DIM));
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
