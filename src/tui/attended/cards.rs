//! The cards of the work, as many as there is room for.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::Onlooker;
use crate::tui::Theme;
use crate::tui::draw::{Look, card};
use crate::tui::layout::Grid;

/// Paints the cards and returns the rows that they took. `own` is what the memory of the work is called.
pub fn cards(onlooker: &Onlooker, own: &str, theme: &Theme, area: Rect, frame: &mut Frame<'_>) -> u16 {
    let order = onlooker.order();
    let grid = Grid::new(area, order.len(), onlooker.card);
    let mut bottom = area.y;
    for place in grid.visible() {
        let watched = &onlooker.cards.cards[order[place]];
        let expected = onlooker.expectation.as_deref().and_then(|plan| plan.card(&watched.usage));
        // Growth towards what is planned is what a start looks like, and no leak.
        let is_planned = expected.zip(watched.usage.memory.known()).is_some_and(|(plan, now)| now.used <= plan.total);
        let look = Look {
            own,
            now: onlooker.cards.last_answer.unwrap_or_default(),
            expected,
            analysis: onlooker.analysis.card(watched.usage.id).filter(|_| !is_planned),
            ..Look::plain(theme)
        };
        let cell = grid.cell(place);
        card(watched, &look, cell, frame);
        bottom = bottom.max(cell.bottom());
    }
    bottom - area.y
}

/// `cards 1-7 of 16`, when not all are visible in `area`.
pub(super) fn shown(onlooker: &Onlooker, area: Rect) -> Option<String> {
    let count = onlooker.order().len();
    let visible = Grid::new(area, count, onlooker.card).visible();
    (visible.len() < count).then(|| match visible.is_empty() {
        true => format!("{count} cards: no room"),
        false => format!("cards {}-{} of {count}", visible.start + 1, visible.end),
    })
}
