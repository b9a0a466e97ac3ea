//! Painting a command that runs.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::FollowState;
use crate::monitor::clock;
use crate::tui::draw::{Look, card, fit, left, rule, span};
use crate::tui::layout::Grid;
use crate::tui::{Meaning, Theme};

/// Lines of output that cards never take.
const LEAST_LOG: u16 = 5;

/// Paints the screen of a command.
pub fn draw(state: &FollowState, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < 40 || area.height < 8 {
        frame.render_widget(Line::raw(fit(&state.view.phase, area.width, theme)), area);
        return;
    }
    let row = |y: u16| Rect { y, height: 1, ..area };
    frame.render_widget(header(state, theme, area.width), row(0));
    let mut top = 1;
    if let Some(finding) = &state.view.finding {
        let line = Line::raw(fit(&format!(" ! {finding}"), area.width, theme));
        frame.render_widget(line.style(theme.style(Meaning::Alarm)), row(top));
        top += 1;
    }
    let room = area.height.saturating_sub(top + 1);
    let cards = state.cards.cards.len();
    let wanted = u16::try_from(cards).unwrap_or(u16::MAX).saturating_mul(5);
    let for_cards = if cards == 0 { 0 } else { wanted.min(room.saturating_sub(LEAST_LOG + 1)) };
    let grid = Grid::new(Rect { y: top, height: for_cards, ..area }, cards, 0);
    for place in grid.visible().take_while(|_| for_cards > 1) {
        let watched = &state.cards.cards[place];
        let look = Look {
            now: state.cards.last_answer.unwrap_or_default(),
            expected: state.expectation.as_deref().and_then(|plan| plan.card(&watched.usage)),
            analysis: state.analysis.card(watched.usage.id),
            ..Look::plain(theme)
        };
        card(watched, &look, grid.cell(place), frame);
    }
    log(state, theme, Rect { y: top + for_cards, height: room - for_cards, ..area }, frame);
    frame.render_widget(footer(state, theme, area.width), row(area.height - 1));
}

fn header(state: &FollowState, theme: &Theme, columns: u16) -> Line<'static> {
    let name = span(" shardfit run", theme.style(Meaning::Focus));
    let right = format!("{}  {} ", state.view.phase, clock(state.view.elapsed));
    let right = span(fit(&right, columns / 2, theme), theme.style(Meaning::Label));
    let taken = u16::try_from(name.width() + right.width() + 4).unwrap_or(u16::MAX);
    let title = left(&state.view.title, columns.saturating_sub(taken), theme);
    Line::from(vec![name, Span::raw("   "), span(title, theme.style(Meaning::Plain)), Span::raw(" "), right])
}

fn log(state: &FollowState, theme: &Theme, area: Rect, frame: &mut Frame<'_>) {
    let row = |place: u16| Rect { y: area.y + place, height: 1, ..area }.intersection(area);
    let title = vec![span(" output", theme.style(Meaning::Title))];
    frame.render_widget(rule(title, Vec::new(), area.width, theme), row(0));
    let fitting = usize::from(area.height.saturating_sub(1));
    let lines = &state.view.log;
    for (place, line) in (1..).zip(&lines[lines.len().saturating_sub(fitting)..]) {
        let text = fit(&format!(" {line}"), area.width, theme);
        frame.render_widget(Line::raw(text).style(theme.style(Meaning::Plain)), row(place));
    }
}

fn footer(state: &FollowState, theme: &Theme, columns: u16) -> Line<'static> {
    if state.asking {
        let question = " end the command? y: send SIGTERM   any other key: go on";
        return Line::raw(fit(question, columns, theme)).style(theme.style(Meaning::Alarm));
    }
    Line::from(vec![span(" q", theme.style(Meaning::Focus)), span(" end the command", theme.style(Meaning::Label))])
}
