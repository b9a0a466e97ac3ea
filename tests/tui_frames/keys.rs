//! What each key does.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use shardfit::monitor::{Interval, SortOrder};
use shardfit::tui::{Action, Effect, Pane, State, update};

use super::cards::{self, sample, snapshot, state};
use super::{frame, size};

fn press(state: &mut State, code: KeyCode) -> Option<Effect> {
    press_with(state, code, KeyModifiers::NONE)
}

fn press_with(state: &mut State, code: KeyCode, modifiers: KeyModifiers) -> Option<Effect> {
    Action::of(&Event::Key(KeyEvent::new(code, modifiers))).and_then(|action| update(state, action))
}

fn char(c: char) -> KeyCode {
    KeyCode::Char(c)
}

/// Where the selection stands after keys that follow one another.
#[test]
fn keys_that_move_the_cards() {
    use KeyCode::{Down, End, Home, Left, PageDown, PageUp, Right, Up};
    // 16 cards, one below the other; eight are visible at this size.
    let mut state = state(size(80, 24), &cards::many());
    let table = [
        (char('j'), 1),
        (Down, 2),
        (char('k'), 1),
        (Up, 0),
        (Up, 0),
        (PageDown, 8),
        (PageDown, 15),
        (Down, 15),
        (PageUp, 7),
        (char('g'), 0),
        (char('G'), 15),
        (Home, 0),
        (End, 15),
        (Left, 14),
        (Right, 15),
    ];
    for (step, (key, card)) in table.into_iter().enumerate() {
        assert_eq!(press(&mut state, key), None);
        assert_eq!(state.card, card, "step {step}: {key:?}");
        assert!(frame(&state).contains(&format!("▸{card} H100")), "the selected card is visible");
    }
}

#[test]
fn down_goes_to_the_card_below() {
    // Two columns at this size.
    let mut state = state(size(160, 40), &cards::many());
    let table = [(KeyCode::Right, 1), (KeyCode::Down, 3), (KeyCode::Left, 2), (KeyCode::Up, 0), (KeyCode::Up, 0)];
    for (key, card) in table {
        press(&mut state, key);
        assert_eq!(state.card, card, "{key:?}");
    }
}

#[test]
fn keys_go_to_the_pane_that_has_them() {
    let mut state = state(size(80, 24), &cards::many());
    press(&mut state, KeyCode::Tab);
    assert_eq!(state.focus, Pane::Processes);
    press(&mut state, char('j'));
    press(&mut state, char('j'));
    assert_eq!((state.card, state.process), (0, 2));
    assert!(frame(&state).contains("▸13       3013"));
    press(&mut state, KeyCode::PageDown);
    assert_eq!(state.process, 6, "four rows are visible");
    press(&mut state, char('G'));
    assert_eq!(state.process, 15);
    assert!(frame(&state).contains("▸0        3000"));
    press(&mut state, KeyCode::BackTab);
    press(&mut state, char('j'));
    assert_eq!((state.card, state.process), (1, 15));
}

#[test]
fn a_selected_process_stays_selected_through_sorting_and_samples() {
    let mut state = state(size(80, 24), &cards::fine());
    press(&mut state, KeyCode::Tab);
    press(&mut state, char('j'));
    let chosen = state.processes()[state.process].key();
    for _ in 0..5 {
        press(&mut state, char('s'));
        assert_eq!(state.processes()[state.process].key(), chosen, "{:?}", state.sort);
    }
    assert_eq!(state.sort, SortOrder::Memory);
    // When it ends, the selection keeps its place.
    let place = state.process;
    let mut machine = cards::fine();
    machine[chosen.0.index as usize].processes = shardfit::hardware::Reading::Known(vec![]);
    sample(&mut state, 61, Ok(snapshot(machine)));
    assert_eq!(state.process, place);
    assert!(state.process < state.processes().len());
}

#[test]
fn keys_that_leave() {
    let mut state = state(size(80, 24), &cards::fine());
    assert_eq!(press(&mut state, char('q')), Some(Effect::Quit));
    assert_eq!(press_with(&mut state, char('c'), KeyModifiers::CONTROL), Some(Effect::Quit));
    assert_eq!(press_with(&mut state, char('z'), KeyModifiers::CONTROL), Some(Effect::Suspend));
    assert_eq!(press_with(&mut state, char('l'), KeyModifiers::CONTROL), Some(Effect::Repaint));
}

#[test]
fn keys_that_help() {
    let mut state = state(size(80, 24), &cards::fine());
    for (key, shown) in [
        (char('?'), true),
        (char('?'), false),
        (char('h'), true),
        (KeyCode::Esc, false),
        (KeyCode::Esc, false),
        (KeyCode::F(1), true),
    ] {
        press(&mut state, key);
        assert_eq!(state.help, shown, "{key:?}");
    }
}

#[test]
fn keys_that_change_the_interval() {
    let mut state = state(size(80, 24), &cards::fine());
    let interval = |text: &str| text.parse::<Interval>().unwrap();
    assert_eq!(press(&mut state, char('+')), Some(Effect::SetInterval(interval("2s"))));
    assert_eq!(press(&mut state, char('-')), Some(Effect::SetInterval(interval("1s"))));
    state.interval = Interval::MIN;
    assert_eq!(press(&mut state, char('-')), None, "there is nothing to tell the sampler");
    assert_eq!(state.interval, Interval::MIN);
}

#[test]
fn pause_holds_the_figures_while_the_watch_goes_on() {
    let mut state = state(size(80, 24), &cards::fine());
    press(&mut state, char('p'));
    let held = frame(&state);
    assert!(held.contains(" paused "));
    sample(&mut state, 61, Ok(snapshot(cards::nearly_full())));
    update(&mut state, Action::Tick(std::time::Duration::from_secs(90)));
    assert_eq!(frame(&state), held);
    press(&mut state, char(' '));
    assert!(frame(&state).contains("8 cards"));
    assert_eq!(state.live.cards[0].trace.len(), 62, "the sample taken meanwhile is there");
}

#[test]
fn other_keys_and_releases_do_nothing() {
    let mut state = state(size(80, 24), &cards::fine());
    let before = state.clone();
    for key in [char('x'), char('y'), KeyCode::F(5), KeyCode::Delete] {
        assert_eq!(press(&mut state, key), None);
    }
    assert_eq!(press_with(&mut state, char('x'), KeyModifiers::CONTROL), None);
    let release = KeyEvent::new_with_kind(char('q'), KeyModifiers::NONE, KeyEventKind::Release);
    assert_eq!(Action::of(&Event::Key(release)), None);
    assert_eq!(state, before);
}
