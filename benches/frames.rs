//! How long the largest screen takes to paint, 16 cards on 250 columns and 70 rows: `cargo bench --bench frames`.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a measurement ends with what it meets, and uses its part of the machines"
)]

#[path = "../tests/tui_frames/cards.rs"]
mod cards;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use shardfit::tui::draw::draw;
use shardfit::tui::{Size, Theme};

fn main() {
    divan::main();
}

#[divan::bench]
fn sixteen_cards(bencher: divan::Bencher<'_, '_>) {
    let (width, height) = (250, 70);
    let state = cards::state(Size { width, height }, &cards::many());
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    bencher.bench_local(|| terminal.draw(|frame| draw(&state, &Theme::default(), frame)).map(drop).unwrap());
}
