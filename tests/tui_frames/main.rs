//! The live screens as they are painted, and what each key does to them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking")]

mod cards;
mod follow;
mod frames;
mod keys;
mod load;
mod pictures;
mod plans;
mod views;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use shardfit::tui::draw::draw;
use shardfit::tui::{Size, State, Theme};

/// What is painted, as a buffer.
fn paint(state: &State, theme: &Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.size.width, state.size.height)).unwrap();
    terminal.draw(|frame| draw(state, theme, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// A buffer as text, one line a row, without the spaces at the end.
fn text(buffer: &Buffer) -> String {
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..buffer.area.height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

fn frame(state: &State) -> String {
    text(&paint(state, &Theme::default()))
}

fn size(width: u16, height: u16) -> Size {
    Size { width, height }
}
