//! Where things are: a function of the state, so that a page down moves by what is really visible.

use std::ops::Range;

use ratatui::layout::Rect;

use super::{State, View};

/// The parts of the screen of `top`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// First row.
    pub header: Rect,
    /// Below it, when something is wrong; empty otherwise.
    pub notice: Rect,
    /// All between these and the footer.
    pub body: Rect,
    /// The cards; on the screen of one card, its place.
    pub grid: Grid,
    /// The processes, with title and column heads.
    pub processes: Rect,
    /// Last row.
    pub footer: Rect,
}

/// Cards in rows and columns, all cells of one height, scrolled by whole rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    /// All of it.
    pub area: Rect,
    /// Cells side by side; at least 1.
    pub columns: u16,
    /// Rows of the terminal that a cell takes; at least [`MIN_CELL`].
    pub cell_height: u16,
    /// Number of cards.
    cards: usize,
    /// Row of cells at the top.
    first_row: usize,
}

/// A cell needs its title and its bar.
const MIN_CELL: u16 = 2;
/// Taller than this, a graph tells no more.
const MAX_CELL: u16 = 12;
/// Narrower than this, the title of a cell loses figures.
const MIN_CELL_WIDTH: u16 = 78;
/// Title and column heads of the list.
const LIST_HEAD: u16 = 2;
/// Rows of the list that cards never take.
const MIN_LIST: u16 = 4;

impl Layout {
    /// The layout of a state.
    pub fn of(state: &State) -> Self {
        let screen = Rect::new(0, 0, state.size.width, state.size.height);
        let row = |y: u16, height: u16| Rect::new(0, y, screen.width, height).intersection(screen);
        let header = row(0, 1);
        let notice = row(1, u16::from(state.notice().is_some()));
        let footer = row(screen.height.saturating_sub(1).max(1), 1);
        let top = header.height + notice.height;
        let room = footer.y.saturating_sub(top);

        let body = row(top, room);
        let parts = |grid: u16, processes: u16| Self {
            header,
            notice,
            body,
            grid: Grid::new(row(top, grid), 0, 0),
            processes: row(top + grid, processes),
            footer,
        };
        match state.view {
            View::Overview => {}
            View::Card => {
                let list = (room / 4).clamp(LIST_HEAD + 1, 12).min(room);
                return parts(room - list, list);
            }
            View::Processes => return parts(0, room),
            View::Timeline | View::Plan => return parts(room, 0),
        }

        let processes = state.shown().processes().count();
        let wanted = LIST_HEAD.saturating_add(u16::try_from(processes.max(1)).unwrap_or(u16::MAX));
        // A long list gets a third of the room, a short one no more than it needs. When that would hide a card, the list gives way, down
        // to a few rows.
        let shortest = wanted.min(LIST_HEAD + MIN_LIST).min(room);
        let fair = wanted.min(room / 3).max(shortest);
        let cards = state.shown().cards.len();
        let least = if Grid::new(row(top, room - fair), cards, 0).hides_cards() { shortest } else { fair };
        let grid = Grid::new(row(top, room - least), cards, state.card);
        // What the cards leave over goes to the list.
        let grid_height = grid.height();
        let grid = Grid { area: row(top, grid_height), ..grid };
        Self { header, notice, body, grid, processes: row(top + grid_height, room - grid_height), footer }
    }

    /// Rows of processes that are visible.
    pub fn process_rows(&self) -> usize {
        usize::from(self.processes.height.saturating_sub(LIST_HEAD))
    }

    /// Which processes are visible when `selected` of `count` is to be among them.
    pub fn visible_processes(&self, selected: usize, count: usize) -> Range<usize> {
        window(selected, count, self.process_rows())
    }
}

impl Grid {
    /// As many columns as make the cells tallest, and no more.
    pub fn new(area: Rect, cards: usize, selected: usize) -> Self {
        let most = (area.width / MIN_CELL_WIDTH).max(1);
        let rows_with = |columns: u16| cards.div_ceil(usize::from(columns)).max(1);
        let height_with = |columns: u16| {
            let rows = u16::try_from(rows_with(columns)).unwrap_or(u16::MAX);
            (area.height / rows).clamp(MIN_CELL, MAX_CELL)
        };
        let columns = (1..=most).rev().max_by_key(|columns| height_with(*columns)).unwrap_or(1);
        let cell_height = height_with(columns);
        let visible_rows = usize::from(area.height / cell_height);
        let selected_row = selected / usize::from(columns);
        let first_row = window(selected_row, rows_with(columns), visible_rows).start;
        Self { area, columns, cell_height, cards, first_row }
    }

    /// Rows of the terminal that the visible cells take; some when there is no card, for the sentence that says so.
    fn height(&self) -> u16 {
        let rows = self.cards.div_ceil(usize::from(self.columns)).clamp(1, self.visible_rows().max(1));
        u16::try_from(rows).unwrap_or(u16::MAX).saturating_mul(self.cell_height).min(self.area.height)
    }

    /// Whether some cards have no room.
    fn hides_cards(&self) -> bool {
        self.visible().len() < self.cards
    }

    /// Rows of cells that are visible.
    pub fn visible_rows(&self) -> usize {
        usize::from(self.area.height / self.cell_height)
    }

    /// Which cards are visible.
    pub fn visible(&self) -> Range<usize> {
        let columns = usize::from(self.columns);
        let first = (self.first_row * columns).min(self.cards);
        first..(first + self.visible_rows() * columns).min(self.cards)
    }

    /// Where the visible card at `place` is painted.
    pub fn cell(&self, place: usize) -> Rect {
        let from_first = place.saturating_sub(self.visible().start);
        let columns = usize::from(self.columns);
        let column = u16::try_from(from_first % columns).unwrap_or(0);
        let row = u16::try_from(from_first / columns).unwrap_or(0);
        // Two columns of space between neighbours; the last takes what the division leaves.
        let width = self.area.width / self.columns;
        let gap = if self.columns > 1 && column + 1 < self.columns { 2 } else { 0 };
        let width_here = if column + 1 == self.columns { self.area.width - width * column } else { width - gap };
        Rect::new(self.area.x + width * column, self.area.y + row * self.cell_height, width_here, self.cell_height)
            .intersection(self.area)
    }
}

/// The window of `size` places over `count` that holds `selected` as near its middle as the ends allow.
pub(super) fn window(selected: usize, count: usize, size: usize) -> Range<usize> {
    let start = selected.saturating_sub(size / 2).min(count.saturating_sub(size));
    start..(start + size).min(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_is_selected() {
        for (count, size) in [(16, 5), (3, 5), (1, 1), (16, 16), (100, 7)] {
            for selected in 0..count {
                let window = window(selected, count, size);
                assert!(window.contains(&selected) && window.len() == size.min(count), "{selected} {count} {size}");
            }
        }
        assert_eq!(window(0, 0, 5), 0..0);
        assert_eq!(window(3, 9, 0), 3..3);
    }

    #[test]
    fn cells_are_tall_where_there_is_room() {
        let grid = |width, height, cards| Grid::new(Rect::new(0, 1, width, height), cards, 0);
        let shape = |g: Grid| (g.columns, g.cell_height, g.visible().len());
        assert_eq!(shape(grid(80, 16, 4)), (1, 4, 4));
        assert_eq!(shape(grid(80, 16, 8)), (1, 2, 8));
        assert_eq!(shape(grid(80, 16, 16)), (1, 2, 8));
        assert_eq!(shape(grid(160, 36, 8)), (2, 9, 8));
        assert_eq!(shape(grid(250, 50, 16)), (3, 8, 16));
        assert_eq!(shape(grid(250, 50, 1)), (1, 12, 1));
    }

    #[test]
    fn cells_stay_inside_and_apart() {
        for (width, height, cards) in [(80, 16, 16), (250, 50, 16), (161, 30, 5), (10, 3, 2), (1, 1, 1), (0, 0, 4)] {
            for selected in 0..cards {
                let grid = Grid::new(Rect::new(0, 1, width, height), cards, selected);
                let cells: Vec<Rect> = grid.visible().map(|place| grid.cell(place)).collect();
                for (i, a) in cells.iter().enumerate() {
                    assert_eq!(a.intersection(grid.area), *a);
                    assert!(cells[i + 1..].iter().all(|b| !a.intersects(*b)));
                }
            }
        }
    }
}
