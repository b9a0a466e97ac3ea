//! Painting a command that runs.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{FollowState, FollowView};
use crate::tui::Theme;
use crate::tui::attended::{self, Division, Key};
use crate::tui::draw::fit;

/// Paints the screen of a command.
pub fn draw(state: &FollowState, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let FollowState { view, onlooker } = state;
    if area.width < 40 || area.height < 8 {
        frame.render_widget(Line::raw(fit(doing(view), area.width, theme)), area);
        return;
    }
    let row = |y: u16| Rect { y, height: 1, ..area };
    let header = attended::header("shardfit run", &view.title, doing(view), view.elapsed, area.width, theme);
    frame.render_widget(header, row(0));
    let mut top = 1;
    // Rows that say nothing are given to the cards.
    if let Some(plan) = &view.plan {
        let text = fit(&format!(" plan   {}", plan.text), area.width, theme);
        frame.render_widget(Line::raw(text).style(theme.style(plan.tone.meaning())), row(top));
        top += 1;
    }
    if !view.steps.is_empty() {
        frame.render_widget(attended::steps(&view.steps, view.ending.is_some(), area.width, theme), row(top));
        top += 1;
    }
    let room = area.height.saturating_sub(top + 1);
    let wanted = view.ending.as_ref().map(|ending| ending.height(area.width));
    let parts = Division::of(room, area.width, onlooker.order().len(), room / 3, wanted);
    let cards = Rect { y: top, height: parts.cards, ..area };
    let below = top + attended::cards(onlooker, "command", theme, cards, frame);
    if let Some(ending) = &view.ending {
        let place = Rect { y: below, height: parts.ending, ..area };
        attended::ending(ending, onlooker.down, theme, place, frame);
    }
    let log = Rect { y: below + parts.ending, height: (area.height - 1).saturating_sub(below + parts.ending), ..area };
    attended::log("output", &view.log, onlooker.back, theme, log, frame);
    frame.render_widget(
        attended::footer(onlooker, &keys(view, theme), QUESTIONS, cards, area.width, theme),
        row(area.height - 1),
    );
}

/// What the command is doing, in a word or three.
fn doing(view: &FollowView) -> &str {
    match (&view.ending, view.steps.last()) {
        (Some(_), _) => "ended",
        (None, _) if view.was_told => "told to end",
        (None, Some(step)) => &step.name,
        (None, None) => "running",
    }
}

const QUESTIONS: [&str; 2] =
    ["end the command? y: send SIGTERM", "it was told to end and has not: y: kill it (SIGKILL)"];

fn keys(view: &FollowView, theme: &Theme) -> Vec<Key> {
    let cards = (theme.symbols.arrows, "cards");
    if view.ending.is_some() {
        return vec![("any key", "leave"), ("PgUp/PgDn", "scroll"), cards];
    }
    vec![("q", "end the command"), ("^C", "interrupt it"), ("PgUp/PgDn", "output"), cards]
}
