//! Snapshots of the screen of a load.

use std::time::Duration;

use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use shardfit::monitor::Sample;
use shardfit::tui::load::{Ending, LoadState, LoadView, LogLine, Onlooker, Question, RankProgress, Step, Tone, draw};
use shardfit::tui::{Palette, Symbols, Theme};
use shardfit::units::Bytes;

use super::{cards, plans, text};

const TOTAL: Bytes = Bytes::mib(9_800);

fn view(seconds: u64, ranks: u32, phase: &str) -> LoadView {
    let rank = |rank: u32| {
        let done = Bytes(TOTAL.0.min(seconds * (700_000_000 - 40_000_000 * u64::from(rank % 8))));
        RankProgress { rank, card: format!("cuda:{rank}"), done, total: TOTAL, phase: phase.to_owned() }
    };
    let step = |name: &str, at: f64| Step { name: name.to_owned(), at: Some(Duration::from_secs_f64(at)) };
    LoadView {
        title: "Qwen2.5-72B-Instruct-AWQ".to_owned(),
        elapsed: Duration::from_secs(seconds),
        ranks: (0..ranks).map(rank).collect(),
        steps: vec![step("checking", 0.0), step("opening", 0.3), step("allocating", 1.1), step("loading", 1.2)],
        log: vec![
            LogLine::new(Tone::Quiet, "cuda: the CUDA driver shows 4 cards"),
            LogLine::new(Tone::Warning, "vLLM 0.11.0 is planned by formula (checked exactly: 0.11.2)"),
            LogLine::new(Tone::Step, "   0.31 s  files and memory checked"),
            LogLine::new(Tone::Step, "   1.08 s  cards opened"),
            LogLine::new(Tone::Step, "   1.21 s  arenas allocated"),
        ],
        ..LoadView::default()
    }
}

/// A load of so many ranks after so many seconds, each second sampled.
pub fn state(ranks: u32, seconds: u64) -> LoadState {
    let plan = plans::plan(ranks, Bytes::mib(22_516), TOTAL, Bytes::gib(6));
    let onlooker = Onlooker { planned_only: true, expectation: Some(plan), ..Onlooker::default() };
    let mut state = LoadState { onlooker, ..LoadState::default() };
    for second in 0..=seconds {
        state.follow(view(second, ranks, "loading"));
        let arrived: Vec<Bytes> = state.view.ranks.iter().map(|rank| rank.done).collect();
        let outcome = Ok(cards::snapshot(cards::filling(&arrived)));
        state.onlooker.absorb(Sample { at: Duration::from_secs(second), outcome });
    }
    state
}

/// Little is left on one of the cards while the user is asked.
fn tight() -> LoadState {
    let mut state = state(4, 14);
    let mut machine = cards::filling(&state.view.ranks.iter().map(|rank| rank.done).collect::<Vec<_>>());
    cards::crowd(&mut machine[2], Bytes::mib(21_900));
    let outcome = Ok(cards::snapshot(machine));
    state.onlooker.absorb(Sample { at: Duration::from_secs(15), outcome });
    state.onlooker.question = Some(Question::Stop);
    state
}

/// One card was full before its shard was there.
pub fn failed() -> LoadState {
    let mut state = tight();
    state.onlooker.question = None;
    state.view.steps.push(Step { name: "freed".to_owned(), at: Some(Duration::from_secs(15)) });
    state.view.ending = Some(Ending {
        is_good: false,
        headline: "not confirmed: rank 2: cuda:2 is out of memory: 9.57 GiB asked for, 0.31 GiB free".to_owned(),
        lines: vec![
            LogLine::new(Tone::Fault, "failed at: rank 2, cuda:2, 27.4 GiB were on the cards"),
            LogLine::new(
                Tone::Warning,
                "finding: cuda:2: process 8123 (python3) came while the load ran and holds 12.71 GiB: the plan had counted on that memory",
            ),
            LogLine::new(Tone::Quiet, "verified: nothing was compared"),
            LogLine::new(Tone::Quiet, "the plan for serving: fits: 4.01 GiB to spare on card 0"),
        ],
    });
    state
}

/// All is where the plan wants it.
fn done() -> LoadState {
    let mut state = state(4, 20);
    let line = |text: &str| LogLine::new(Tone::Plain, text);
    state.view.ending = Some(Ending {
        is_good: true,
        headline: "confirmed: every shard is on its card (38.3 GiB placed)".to_owned(),
        lines: vec![
            line("cuda:0 weights as constructed: predicted 9.57 GiB, observed 9.57 GiB (+2.00 MiB), agrees"),
            line("cuda:1 weights as constructed: predicted 9.57 GiB, observed 9.57 GiB (+2.00 MiB), agrees"),
            line("read 38.3 GiB once in 17.11 s at 2.40 GB/s"),
            line("verified (sample): 1.20 GiB read back and equal"),
        ],
    });
    state
}

pub fn painted(state: &LoadState, theme: &Theme, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, theme, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn frame(state: &LoadState, width: u16, height: u16) -> String {
    text(&painted(state, &Theme::default(), (width, height)))
}

#[test]
fn every_state_at_three_sizes() {
    for (name, state) in [("running", state(4, 9)), ("tight", tight()), ("failed", failed()), ("done", done())] {
        for (width, height) in [(80, 24), (120, 40), (250, 70)] {
            assert_snapshot!(format!("{name}@{width}x{height}"), frame(&state, width, height));
        }
    }
}

#[test]
fn more_ranks_than_rows_scroll() {
    let mut state = state(16, 9);
    state.first_rank = 12;
    state.onlooker.card = 12;
    let painted = frame(&state, 80, 24);
    assert_snapshot!("scrolled@80x24", painted);
    assert!(painted.contains("of 16"), "{painted}");
}

#[test]
fn one_rank_without_cards() {
    let mut state = LoadState::default();
    state.follow(view(9, 1, "loading"));
    assert_snapshot!("no_cards@80x24", frame(&state, 80, 24));
}

#[test]
fn ascii_and_no_colour() {
    let theme = Theme { palette: Palette::Plain, symbols: Symbols::ASCII };
    for state in [tight(), failed()] {
        let painted = painted(&state, &theme, (100, 30));
        assert!(text(&painted).is_ascii(), "{}", text(&painted));
        assert!(painted.content.iter().all(|cell| cell.fg == ratatui::style::Color::Reset));
    }
}

#[test]
fn every_size_can_be_painted() {
    for state in [LoadState::default(), state(1, 3), state(64, 3), failed(), done()] {
        for width in [1, 39, 40, 66, 67, 300] {
            for height in [1, 7, 8, 9, 12, 30] {
                frame(&state, width, height);
            }
        }
    }
}
