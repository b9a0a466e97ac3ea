//! Snapshots of the overview: three sizes, and the states that people meet.

use std::time::Duration;

use insta::assert_snapshot;
use ratatui::style::{Color, Modifier};
use shardfit::hardware::{CardState, MemoryState, Reading};
use shardfit::tui::{Action, Palette, Pane, State, Symbols, Theme, update};

use shardfit::units::Bytes;

use super::cards::{self, sample, snapshot, state};
use super::{frame, paint, size, text};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (250, 70)];

/// Snapshots a state at all sizes, as `name@80x24`.
fn at_all_sizes(name: &str, cards: &[CardState], then: impl Fn(&mut State)) {
    for (width, height) in SIZES {
        let mut state = state(size(width, height), cards);
        then(&mut state);
        assert_snapshot!(format!("{name}@{width}x{height}"), frame(&state));
    }
}

#[test]
fn fine() {
    at_all_sizes("fine", &cards::fine(), |_| {});
}

#[test]
fn nearly_full() {
    at_all_sizes("nearly_full", &cards::nearly_full(), |_| {});
}

#[test]
fn driver_gone() {
    at_all_sizes("driver_gone", &cards::fine(), |state| {
        sample(state, 61, Err("the NVIDIA library is installed, but the driver is not loaded".to_owned()));
        sample(state, 72, Err("the NVIDIA library is installed, but the driver is not loaded".to_owned()));
    });
}

#[test]
fn partitioned() {
    at_all_sizes("mig", &cards::mig(), |_| {});
}

#[test]
fn sixteen_cards_scroll() {
    at_all_sizes("many", &cards::many(), |state| {
        update(state, Action::Last);
    });
}

#[test]
fn a_hung_driver_shows_the_age_of_its_figures() {
    let mut state = state(size(80, 24), &cards::fine());
    update(&mut state, Action::Tick(Duration::from_secs(63)));
    assert!(!frame(&state).contains("figures are"), "three samples late is not yet stale");
    update(&mut state, Action::Tick(Duration::from_secs(75)));
    assert_snapshot!("hung", frame(&state));
    let dim = paint(&state, &Theme::default())[(10, 3)].style();
    assert!(dim.add_modifier.contains(Modifier::DIM), "old figures look old");
}

/// As long as a frame is said to last, it does: whatever moment within that time is painted, it is the same frame.
#[test]
fn a_frame_lasts_as_long_as_it_says() {
    let mut state = state(size(80, 24), &cards::fine());
    let mut now = state.now;
    let mut lasting = Vec::new();
    for _ in 0..6 {
        let before = frame(&state);
        let lasts = state.lasts();
        for share in [0.3, 0.9, 0.99] {
            update(&mut state, Action::Tick(now + lasts.mul_f64(share)));
            assert_eq!(frame(&state), before, "{share} of {lasts:?} after {now:?}");
        }
        now += lasts;
        update(&mut state, Action::Tick(now));
        assert_ne!(frame(&state), before, "after {lasts:?}");
        lasting.push(lasts.as_secs());
    }
    // First until the figures are stale, then for each second of their age.
    assert_eq!(lasting, [3, 1, 1, 1, 1, 1]);
    state.say("records");
    sample(&mut state, 100, Ok(snapshot(cards::fine())));
    state.now = Duration::from_secs(100);
    state.say("records into a file");
    assert_eq!(state.lasts().as_secs(), 3, "stale before the message is old");
    update(&mut state, Action::Pause);
    assert_eq!(state.lasts().as_secs(), 5, "paused: nothing but the message changes");
}

#[test]
fn cards_that_vanish_keep_their_place() {
    let mut state = state(size(80, 24), &cards::fine());
    let mut left = cards::fine();
    left.remove(2);
    left[1] = CardState::unreadable(1, Reading::Lost);
    sample(&mut state, 65, Ok(snapshot(left)));
    update(&mut state, Action::Tick(Duration::from_secs(67)));
    assert_snapshot!("vanished", frame(&state));
    sample(&mut state, 68, Ok(snapshot(cards::fine())));
    assert!(!frame(&state).contains("gone") && !frame(&state).contains("lost"));
}

#[test]
fn what_the_driver_does_not_tell_is_said() {
    assert_snapshot!("denied", frame(&state(size(80, 24), &cards::denied())));
}

#[test]
fn before_the_first_answer() {
    let mut state = State::new("live".to_owned(), size(80, 24), "1s".parse().unwrap());
    assert_snapshot!("waiting", frame(&state));
    sample(&mut state, 1, Err("the NVIDIA management library fails: unknown".to_owned()));
    assert!(frame(&state).contains("! the NVIDIA management library fails: unknown"));
}

#[test]
fn help_lies_over_the_cards() {
    let mut state = state(size(80, 24), &cards::fine());
    update(&mut state, Action::ToggleHelp);
    assert_snapshot!("help", frame(&state));
}

#[test]
fn ascii_is_ascii_whatever_processes_are_called() {
    let mut machine = cards::fine();
    if let Reading::Known(processes) = &mut machine[0].processes {
        processes[0].command = Some("模型\u{1b}[2J".to_owned());
        processes[0].user = Some("änne".to_owned());
    }
    let theme = Theme { palette: Palette::Plain, symbols: Symbols::ASCII };
    let mut state = state(size(100, 40), &machine);
    for help in [false, true] {
        state.help = help;
        let frame = text(&paint(&state, &theme));
        assert!(frame.is_ascii(), "{frame}");
    }
    state.help = false;
    assert_snapshot!("ascii", text(&paint(&state, &theme)));
}

#[test]
fn without_colour_no_cell_has_one_and_the_selection_still_shows() {
    let theme = Theme { palette: Palette::Plain, symbols: Symbols::UNICODE };
    let mut state = state(size(80, 24), &cards::nearly_full());
    state.focus = Pane::Processes;
    let buffer = paint(&state, &theme);
    for cell in buffer.content() {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
    let reversed = |y: u16| buffer[(0, y)].modifier.contains(Modifier::REVERSED);
    let selected: Vec<u16> = (0..24).filter(|y| reversed(*y)).collect();
    assert_eq!(selected.len(), 1);
    assert_eq!(buffer[(0, selected[0])].symbol(), "▸");
}

/// Sizes at the end of the range, and names that try to steer a terminal, are painted and do no harm.
#[test]
fn hostile_figures_do_no_harm() {
    let mut machine = cards::mig();
    for card in &mut machine {
        let most = Bytes(u64::MAX);
        card.memory =
            Reading::Known(MemoryState { total: most, reserved: Reading::Known(most), used: most, free: most });
        card.name = Reading::Known("x\u{1b}[2J\r\n\u{7}".to_owned());
        card.utilization_percent = Reading::Known(u32::MAX);
        card.temperature_celsius = Reading::Known(u32::MAX);
        card.power_milliwatts = Reading::Known(u32::MAX);
    }
    for (width, height) in SIZES {
        let frame = frame(&state(size(width, height), &machine));
        assert!(!frame.contains(['\u{1b}', '\r', '\u{7}']), "{frame}");
    }
}

#[test]
fn every_size_can_be_painted() {
    let machines = [cards::fine(), cards::many(), cards::mig(), cards::denied(), Vec::new()];
    for machine in &machines {
        let mut state = state(size(80, 24), machine);
        for width in [0, 1, 5, 39, 40, 41, 60, 79, 157, 200, 300] {
            for height in [0, 1, 2, 7, 8, 9, 12, 25, 80] {
                update(&mut state, Action::Resize(size(width, height)));
                state.help = height % 2 == 0;
                paint(&state, &Theme::default());
            }
        }
    }
}

#[test]
fn a_terminal_resized_before_the_event_is_painted_at_its_true_size() {
    let mut state = state(size(80, 24), &cards::fine());
    let expected = frame(&state);
    let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(80, 24)).unwrap();
    state.size = size(250, 70);
    terminal.draw(|frame| shardfit::tui::draw::draw(&state, &Theme::default(), frame)).unwrap();
    assert_eq!(text(terminal.backend().buffer()), expected);
}
