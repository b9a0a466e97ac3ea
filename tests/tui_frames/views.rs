//! Snapshots of every view at three sizes, of a machine that is fine, one that is tight, one after an out-of-memory, and one whose driver
//! is gone.

use std::time::Duration;

use insta::assert_snapshot;
use shardfit::hardware::Reading;
use shardfit::monitor::recording::{Mark, MarkKind};
use shardfit::tui::{Action, Effect, Palette, Question, State, Symbols, Theme, View, update};
use shardfit::units::Bytes;

use super::cards::{self, snapshot};
use super::plans::plan;
use super::{frame, paint, size, text};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (250, 70)];

/// Four A10 that hold less than their plan.
fn fine() -> State {
    let mut state = cards::state(size(80, 24), &cards::fine());
    state.expectation = Some(plan(4, Bytes::mib(22_516), Bytes::gib(9), Bytes::gib(6)));
    state.judge();
    state
}

/// Eight H100 above their plan, with alarms.
fn tight() -> State {
    let rules = ["headroom<5%", "over-plan>1GiB", "imbalance>1GiB"].map(|rule| rule.parse().unwrap());
    let mut state = cards::state(size(80, 24), &cards::nearly_full()).with_rules(rules.to_vec());
    state.expectation = Some(plan(8, Bytes::mib(81_002), Bytes::gib(34), Bytes::gib(36)));
    state.judge();
    state
}

/// The same, after the worker of one card died.
fn out_of_memory() -> State {
    let mut state = tight();
    let mut machine = cards::nearly_full();
    machine[6].processes = Reading::Known(Vec::new());
    if let Reading::Known(memory) = &mut machine[6].memory {
        memory.free += memory.used;
        memory.used = Bytes::ZERO;
    }
    let at = Duration::from_secs(61);
    state.add_mark(Mark { at, kind: MarkKind::OutOfMemory, text: "rank 6: tried to allocate 448 MiB".to_owned() });
    update(&mut state, Action::Sample(shardfit::monitor::Sample { at, outcome: Ok(snapshot(machine)) }));
    state
}

fn driver_gone() -> State {
    let mut state = fine();
    cards::sample(&mut state, 70, Err("the NVIDIA driver is not loaded".to_owned()));
    state
}

#[test]
fn every_view_at_every_size_in_every_state() {
    type Make = fn() -> State;
    let states = [
        ("fine", fine as Make),
        ("tight", tight as Make),
        ("oom", out_of_memory as Make),
        ("gone", driver_gone as Make),
    ];
    for (name, make) in states {
        for (width, height) in SIZES {
            let mut state = make();
            update(&mut state, Action::Resize(size(width, height)));
            for view in View::ALL {
                update(&mut state, Action::Show(view));
                assert_snapshot!(format!("{name}-{}@{width}x{height}", view.label()), frame(&state));
            }
            update(&mut state, Action::ToggleHelp);
            assert_snapshot!(format!("{name}-help@{width}x{height}"), frame(&state));
        }
    }
}

/// No view panics, and none paints anything but ASCII where nothing else can be shown, at any size, with any number of cards.
#[test]
fn every_view_of_every_size_can_be_painted() {
    let theme = Theme { palette: Palette::Plain, symbols: Symbols::ASCII };
    for machine in [cards::fine(), cards::many(), cards::mig(), cards::denied(), Vec::new()] {
        let mut state = cards::state(size(80, 24), &machine);
        state.expectation = Some(plan(2, Bytes::gib(1), Bytes::gib(400), Bytes(1)));
        state.judge();
        for view in View::ALL {
            update(&mut state, Action::Show(view));
            for width in [0, 1, 12, 39, 40, 41, 60, 79, 157, 250, 300] {
                for height in [0, 1, 2, 7, 8, 9, 12, 25, 80] {
                    update(&mut state, Action::Resize(size(width, height)));
                    let painted = text(&paint(&state, &theme)).replace(['·', '×'], "?");
                    assert!(painted.is_ascii(), "{view:?} {width}x{height}: {painted}");
                }
            }
        }
    }
}

#[test]
fn a_filter_leaves_what_holds_it() {
    let mut state = fine();
    update(&mut state, Action::Filter);
    for letter in "vllm".chars() {
        update(&mut state, Action::Letter(letter));
    }
    assert!(frame(&state).contains("processes 4"), "{}", frame(&state));
    assert!(frame(&state).contains("/vllm_"));
    update(&mut state, Action::Accept);
    assert!(!state.typing && frame(&state).contains("/vllm "));
    for letter in "xyz".chars() {
        update(&mut state, Action::Letter(letter));
    }
    assert!(frame(&state).contains("none holds `vllmxyz`"));
    update(&mut state, Action::Close);
    assert!(frame(&state).contains("processes 8"));
}

#[test]
fn nothing_is_ended_without_the_flag_and_a_yes() {
    let mut state = fine();
    update(&mut state, Action::SwitchPane);
    assert_eq!(update(&mut state, Action::Kill), None);
    assert!(frame(&state).contains("--allow-kill"));
    state.may_kill = true;
    update(&mut state, Action::Kill);
    assert!(frame(&state).contains("end process 4103 (shardfit)?"), "{}", frame(&state));
    update(&mut state, Action::Reject);
    assert_eq!(state.question, None);
    update(&mut state, Action::Kill);
    assert_eq!(update(&mut state, Action::Accept), Some(Effect::Kill(4103)));
    // One that ended while the question stood there is left alone.
    state.question = Some(Question { pid: 77, name: "python3".to_owned() });
    assert_eq!(update(&mut state, Action::Accept), None);
    assert!(frame(&state).contains("process 77 has ended by itself"));
}

#[test]
fn an_alarm_rings_once() {
    let mut state = cards::state(size(120, 40), &cards::fine()).with_rules(vec!["headroom<20GiB".parse().unwrap()]);
    let sample = |state: &mut State, second| {
        let outcome = Ok(snapshot(cards::fine()));
        update(state, Action::Sample(shardfit::monitor::Sample { at: Duration::from_secs(second), outcome }))
    };
    let Some(Effect::Mark { marks, bell: true }) = sample(&mut state, 61) else { panic!("no bell") };
    assert_eq!(marks.len(), 4);
    assert!(frame(&state).contains(", and 3 more"), "{}", frame(&state));
    assert_eq!(sample(&mut state, 62), None);
}
