//! Snapshots of the screen of a command that runs.

use std::time::Duration;

use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use shardfit::monitor::Sample;
use shardfit::tui::follow::{Ending, FollowState, FollowView, LogLine, Onlooker, Question, Step, Tone, draw};
use shardfit::tui::{Palette, Symbols, Theme};
use shardfit::units::Bytes;

use super::{cards, plans, text};

fn view(seconds: u64) -> FollowView {
    let step = |name: &str, at: u64| Step { name: name.to_owned(), at: Some(Duration::from_secs(at)) };
    let plain = |text: &str| LogLine::new(Tone::Plain, text);
    FollowView {
        title: "vllm serve Qwen/Qwen2.5-72B-Instruct-AWQ --tensor-parallel-size 4 --max-model-len 32768".to_owned(),
        plan: Some(plain("fits: 4.01 GiB to spare on card 0 (A10)")),
        steps: vec![step("start-up", 2), step("loading weights", 9), step("the start-up profile", 41)],
        elapsed: Duration::from_secs(seconds),
        log: vec![
            plain("INFO 09-21 14:02:11 [api_server.py:1839] vLLM API server version 0.11.0"),
            plain("INFO 09-21 14:02:13 [model.py:1510] Using max model len 32768"),
            LogLine::new(
                Tone::Warning,
                "WARNING 09-21 14:02:13 [__init__.py:2900] awq quantization is not fully optimized yet",
            ),
            LogLine::new(
                Tone::Step,
                "(Worker_TP0 pid=4100) INFO 09-21 14:02:20 [gpu_model_runner.py:2602] Starting to load model",
            ),
            plain(
                "(Worker_TP0 pid=4100) INFO 09-21 14:02:51 [default_loader.py:267] Loading weights took 30.91 seconds",
            ),
            LogLine::new(
                Tone::Step,
                "(Worker_TP0 pid=4100) INFO 09-21 14:02:52 [gpu_model_runner.py:2653] Model loading took 9.0960 GiB and 32.1 seconds",
            ),
            LogLine::new(Tone::Quiet, "Loading safetensors checkpoint shards: 100% 11/11 [00:30<00:00,  2.81s/it]"),
        ],
        ..FollowView::default()
    }
}

/// A command some time after its start; every process is its own but those of the server beside it.
pub fn state(machine: fn() -> Vec<shardfit::hardware::CardState>) -> FollowState {
    let count = u32::try_from(machine().len()).unwrap();
    let plan = plans::plan(count, Bytes::mib(22_516), Bytes::mib(9_314), Bytes::gib(6));
    let onlooker = Onlooker { expectation: Some(plan), ..Onlooker::default() };
    let mut state = FollowState { view: view(52), onlooker };
    for second in 0..=52 {
        let outcome = Ok(cards::snapshot(machine()));
        state.onlooker.absorb_of(Sample { at: Duration::from_secs(second), outcome }, &[4100, 4101, 4102, 4103]);
    }
    state
}

/// Little is left on a card, and the user is about to end it.
fn tight() -> FollowState {
    let mut state = state(cards::nearly_full);
    state.view.plan =
        Some(LogLine::new(Tone::Warning, "tight: fits at expected demand, 1.20 GiB short at high demand on card 3"));
    state.view.log.push(LogLine::new(Tone::Warning, "shardfit: nothing was printed for 600 s: it may hang"));
    state.view.was_told = true;
    state.onlooker.question = Some(Question::Kill);
    state
}

/// Out of memory, with the diagnosis.
pub fn failed() -> FollowState {
    let mut state = state(cards::fine);
    let fault = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 448.00 MiB. GPU 0 has a total capacity of 21.98 GiB of which 310.00 MiB is free.";
    state.view.log.push(LogLine::new(Tone::Fault, fault));
    state.view.ending = Some(Ending {
        is_good: false,
        headline: "the command ended with exit code 1 after 52.3 s".to_owned(),
        lines: vec![
            LogLine::new(Tone::Fault, "other_process_on_gpu on card 0, during the start-up profile (high confidence)"),
            LogLine::new(
                Tone::Plain,
                "  a server of somebody else holds 6.00 GiB of the card, and 0.14 GiB more were needed",
            ),
            LogLine::new(Tone::Quiet, format!("  <output>:812 {fault}")),
            LogLine::new(
                Tone::Step,
                "  repair: `--gpu-memory-utilization 0.62` (a smaller share): 1.10 GiB to spare; price: 9,216 tokens of KV",
            ),
            LogLine::new(
                Tone::Plain,
                "    vllm serve Qwen/Qwen2.5-72B-Instruct-AWQ --tensor-parallel-size 4 --max-model-len 32768 --gpu-memory-utilization 0.62",
            ),
            LogLine::new(Tone::Step, "  or: end process 2200 (python3): 6.00 GiB to spare; price: that server"),
            LogLine::new(
                Tone::Quiet,
                "card 0: at most 21.68 GiB of 21.98 GiB in use, of that 15.60 GiB its own, at 50 s",
            ),
        ],
    });
    state
}

/// It went well.
fn done() -> FollowState {
    let mut state = state(cards::fine);
    state.view.ending = Some(Ending {
        is_good: true,
        headline: "the command ended well after 3605.0 s".to_owned(),
        lines: vec![LogLine::new(
            Tone::Quiet,
            "card 0: at most 18.20 GiB of 21.98 GiB in use, of that 12.10 GiB its own, at 1204 s",
        )],
    });
    state
}

pub fn painted(state: &FollowState, theme: &Theme, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, theme, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn frame(state: &FollowState, width: u16, height: u16) -> String {
    text(&painted(state, &Theme::default(), (width, height)))
}

#[test]
fn every_state_at_three_sizes() {
    let states = [("running", state(cards::fine)), ("tight", tight()), ("failed", failed()), ("done", done())];
    for (name, state) in states {
        for (width, height) in [(80, 24), (120, 40), (250, 70)] {
            assert_snapshot!(format!("{name}@{width}x{height}"), frame(&state, width, height));
        }
    }
}

#[test]
fn sixteen_cards_scroll() {
    let mut state = state(cards::many);
    state.onlooker.card = 15;
    let painted = frame(&state, 80, 24);
    assert!(painted.contains("of 16") && painted.contains("15 H100"), "{painted}");
    assert_snapshot!("scrolled@80x24", painted);
}

#[test]
fn an_ending_scrolls() {
    let mut state = failed();
    let top = frame(&state, 60, 16);
    assert!(top.contains("exit code 1") && top.contains("more rows below"), "{top}");
    state.onlooker.down = 1000;
    let bottom = frame(&state, 60, 16);
    assert!(bottom.contains("at 50 s") && !bottom.contains("more rows below"), "{bottom}");
}

#[test]
fn a_log_scrolls_back() {
    let mut state = FollowState { view: view(9), ..FollowState::default() };
    state.view.log = (0..100).map(|n| LogLine::new(Tone::Plain, format!("line {n}"))).collect();
    assert!(frame(&state, 80, 24).contains("line 99"));
    state.onlooker.back = 50;
    let back = frame(&state, 80, 24);
    assert!(back.contains("line 49") && !back.contains("line 50") && back.contains("50 newer below"), "{back}");
    state.onlooker.back = 100_000;
    assert!(frame(&state, 80, 24).contains("line 0"));
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
    for state in [FollowState::default(), state(cards::fine), state(cards::many), failed(), done()] {
        for width in [1, 39, 40, 66, 67, 300] {
            for height in [1, 7, 8, 9, 12, 30] {
                frame(&state, width, height);
            }
        }
    }
}
