//! Snapshots of the screen of a load.

use std::time::Duration;

use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use shardfit::monitor::Sample;
use shardfit::tui::Theme;
use shardfit::tui::load::{LoadState, LoadView, RankProgress, draw};
use shardfit::units::Bytes;

use super::{cards, text};

fn view(seconds: u64, ranks: u32) -> LoadView {
    let rank = |rank: u32| {
        let total = Bytes::mib(9_800);
        let done = Bytes(total.0.min(seconds * (700_000_000 - 40_000_000 * u64::from(rank % 8))));
        let phase = if done == total { "verify" } else { "weights" };
        RankProgress { rank, card: format!("cuda:{}", rank % 4), done, total, phase: phase.to_owned() }
    };
    LoadView {
        title: "Qwen2.5-72B-Instruct-AWQ   tensor parallel 4".to_owned(),
        elapsed: Duration::from_secs(seconds),
        ranks: (0..ranks).map(rank).collect(),
    }
}

fn state(ranks: u32, with_cards: bool) -> LoadState {
    let mut state = LoadState::default();
    for second in 0..=15 {
        state.follow(view(second, ranks));
        if with_cards {
            let outcome = Ok(cards::snapshot(cards::fine()));
            state.absorb(Sample { at: Duration::from_secs(second), outcome });
        }
    }
    state
}

fn frame(state: &LoadState, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, &Theme::default(), frame)).unwrap();
    text(terminal.backend().buffer())
}

#[test]
fn ranks_above_the_cards_they_fill() {
    assert_snapshot!("load@80x24", frame(&state(4, true), 80, 24));
    assert_snapshot!("load@120x40", frame(&state(4, true), 120, 40));
}

#[test]
fn more_ranks_than_rows_scroll() {
    let mut state = state(32, false);
    state.first_rank = 20;
    state.asking = true;
    assert_snapshot!("load_scrolled@80x24", frame(&state, 80, 24));
}

#[test]
fn every_size_can_be_painted() {
    for state in [LoadState::default(), state(1, true), state(64, true)] {
        for width in [1, 39, 40, 66, 67, 300] {
            for height in [1, 7, 8, 9, 30] {
                frame(&state, width, height);
            }
        }
    }
}
