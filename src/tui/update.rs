//! From what happened to what is shown.

use std::time::Duration;

use super::layout::Layout;
use super::{Action, Frozen, Mode, Pane, Question, Seek, State, View};
use crate::monitor::recording::{Mark, MarkKind};
use crate::monitor::{Interval, ProcessRow, Trace};

/// What the edge has to do after an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// End the program.
    Quit,
    /// Stop the process until it is continued.
    Suspend,
    /// Clear the terminal before the next frame.
    Repaint,
    /// Tell the sampler.
    SetInterval(Interval),
    /// Begin a recording, or end the one in progress.
    ToggleRecording,
    /// Write marks into the recording; with `bell`, ring.
    Mark {
        /// What happened.
        marks: Vec<Mark>,
        /// Whether it is an alarm.
        bell: bool,
    },
    /// Ask the system to end a process.
    Kill(u32),
    /// Show another moment of the replay.
    Seek(Duration),
}

/// What stands for the name of a process of another container.
const INVISIBLE: &str = "not visible from here";

/// Longest filter.
const LONGEST_FILTER: usize = 200;

/// Applies an action to the state.
pub fn update(state: &mut State, action: Action) -> Option<Effect> {
    match action {
        Action::Quit => return Some(Effect::Quit),
        Action::Suspend => return Some(Effect::Suspend),
        Action::Repaint => return Some(Effect::Repaint),
        Action::ToggleHelp => state.help = !state.help,
        Action::Close => close(state),
        Action::SwitchPane => switch_pane(state),
        Action::Show(view) => show(state, view),
        Action::Open => match (state.view, state.pane()) {
            (View::Overview | View::Timeline | View::Plan, Pane::Cards) => show(state, View::Card),
            (View::Overview, Pane::Processes) => show(state, View::Processes),
            _ => {}
        },
        Action::Left => return sideways(state, false),
        Action::Right => return sideways(state, true),
        Action::Down => move_by(state, |step, place| place.saturating_add(step.row)),
        Action::Up => move_by(state, |step, place| place.checked_sub(step.row).unwrap_or(place)),
        Action::PageDown => move_by(state, |step, place| place.saturating_add(step.page)),
        Action::PageUp => move_by(state, |step, place| place.saturating_sub(step.page)),
        Action::First => move_by(state, |_, _| 0),
        Action::Last => move_by(state, |_, _| usize::MAX),
        Action::Sort => {
            state.sort = state.sort.next();
            follow_selection(state);
        }
        Action::Pause => pause(state),
        Action::Longer => return longer(state, true),
        Action::Shorter => return longer(state, false),
        Action::ZoomIn => state.zoom = state.zoom.saturating_sub(1),
        Action::ZoomOut => state.zoom = (state.zoom + 1).min(Trace::ZOOMS - 1),
        Action::Record if state.playback.is_some() => state.say("this is a recording already"),
        Action::Record => return Some(Effect::ToggleRecording),
        Action::Note => return note(state),
        Action::Filter => state.typing = true,
        Action::Kill => ask_to_kill(state),
        Action::Letter(letter) => {
            if state.filter.len() < LONGEST_FILTER && !letter.is_control() {
                state.filter.push(letter);
            }
            follow_selection(state);
        }
        Action::Erase => {
            state.filter.pop();
            follow_selection(state);
        }
        Action::Accept => return accept(state),
        Action::Reject => reject(state),
        Action::Seek(seek) => return jump(state, seek),
        Action::Resize(size) => state.size = size,
        Action::Sample(sample) => {
            state.now = state.now.max(sample.at);
            state.live.absorb(sample);
            follow_selection(state);
            let marks = state.judge();
            return (!marks.is_empty()).then_some(Effect::Mark { marks, bell: true });
        }
        Action::Event(event) => {
            let mark = event.mark();
            state.add_mark(mark.clone());
            state.watchman.report(event);
            return Some(Effect::Mark { marks: vec![mark], bell: false });
        }
        Action::Tick(now) => {
            state.now = now;
            if let Some(playback) = &mut state.playback {
                playback.position = now;
            }
        }
    }
    None
}

fn close(state: &mut State) {
    if state.help {
        state.help = false;
    } else if !state.filter.is_empty() {
        state.filter.clear();
        follow_selection(state);
    } else {
        show(state, View::Overview);
    }
}

fn show(state: &mut State, view: View) {
    state.view = view;
    state.help = false;
    follow_selection(state);
}

fn switch_pane(state: &mut State) {
    state.focus = match state.focus {
        Pane::Cards => Pane::Processes,
        Pane::Processes => Pane::Cards,
    };
}

/// To the card beside; on the timeline of a replay, through time.
fn sideways(state: &mut State, right: bool) -> Option<Effect> {
    if state.view == View::Timeline && state.playback.is_some() {
        return jump(state, Seek::Hundredths(if right { 1 } else { -1 }));
    }
    let to = |step: Step, place: usize| {
        if right { place.saturating_add(step.column) } else { place.saturating_sub(step.column) }
    };
    if state.view == View::Card {
        let last = state.shown().cards.len().saturating_sub(1);
        state.card = to(Step { row: 1, column: 1, page: 1 }, state.card).min(last);
        follow_selection(state);
    } else {
        move_by(state, to);
    }
    None
}

fn pause(state: &mut State) {
    if let Some(playback) = &mut state.playback {
        playback.playing = !playback.playing;
        return;
    }
    state.frozen = match state.frozen {
        Some(_) => None,
        None => {
            let (watch, analysis) = (state.live.clone(), state.analysis.clone());
            Some(Box::new(Frozen { watch, analysis, at: state.now }))
        }
    };
    follow_selection(state);
}

fn longer(state: &mut State, longer: bool) -> Option<Effect> {
    if let Some(playback) = &mut state.playback {
        playback.speed = playback.other_speed(longer);
        return None;
    }
    let interval = if longer { state.interval.longer() } else { state.interval.shorter() };
    let changed = interval != state.interval;
    state.interval = interval;
    changed.then_some(Effect::SetInterval(interval))
}

fn note(state: &mut State) -> Option<Effect> {
    if state.playback.is_some() {
        state.say("a recording that is replayed takes no marks");
        return None;
    }
    let mark = Mark { at: state.now, kind: MarkKind::Note, text: "marked by hand".to_owned() };
    state.add_mark(mark.clone());
    state.say("marked");
    Some(Effect::Mark { marks: vec![mark], bell: false })
}

fn ask_to_kill(state: &mut State) {
    if !state.may_kill || state.playback.is_some() {
        state.say("processes are ended only under `--allow-kill`");
    } else if state.pane() != Pane::Processes {
        state.say("choose a process first: Tab goes to the list");
    } else if let Some(row) = state.processes().get(state.process) {
        let name = row.name.unwrap_or(INVISIBLE).to_owned();
        state.question = Some(Question { pid: row.pid, name });
    }
}

fn accept(state: &mut State) -> Option<Effect> {
    match (state.mode(), state.question.take()) {
        (_, Some(question)) => {
            // It may have ended while the question stood there, and its number may be another's now.
            let there = state
                .live
                .processes()
                .any(|row| row.pid == question.pid && row.name.unwrap_or(INVISIBLE) == question.name);
            if there {
                return Some(Effect::Kill(question.pid));
            }
            state.say(format!("process {} has ended by itself", question.pid));
        }
        (Mode::Typing, None) => state.typing = false,
        _ => {}
    }
    None
}

fn reject(state: &mut State) {
    if state.question.take().is_none() {
        state.typing = false;
        state.filter.clear();
        follow_selection(state);
    }
}

fn jump(state: &mut State, seek: Seek) -> Option<Effect> {
    let playback = state.playback.as_mut()?;
    let target = playback.target(seek);
    playback.position = target;
    Some(Effect::Seek(target))
}

/// How far keys go in the pane that has them.
struct Step {
    row: usize,
    column: usize,
    page: usize,
}

fn move_by(state: &mut State, to: impl Fn(Step, usize) -> usize) {
    let layout = Layout::of(state);
    match state.pane() {
        Pane::Cards => {
            let step = if state.view == View::Overview {
                let columns = usize::from(layout.grid.columns);
                Step { row: columns, column: 1, page: (layout.grid.visible_rows() * columns).max(1) }
            } else {
                Step { row: 1, column: 0, page: 4 }
            };
            let last = state.shown().cards.len().saturating_sub(1);
            state.card = to(step, state.card).min(last);
        }
        Pane::Processes => {
            let step = Step { row: 1, column: 0, page: layout.process_rows().max(1) };
            let rows = state.processes();
            let place = to(step, state.process).min(rows.len().saturating_sub(1));
            let key = rows.get(place).map(ProcessRow::key);
            (state.process, state.process_key) = (place, key);
        }
    }
}

/// After the list changed: stays with the selected process; when that is gone, with its place in the list.
fn follow_selection(state: &mut State) {
    state.card = state.card.min(state.shown().cards.len().saturating_sub(1));
    // Nobody chose a process yet: the top of the list stays selected, whoever is there.
    if state.process == 0 && state.process_key.is_none() {
        return;
    }
    let rows = state.processes();
    let found = rows.iter().position(|row| Some(row.key()) == state.process_key);
    let place = found.unwrap_or(state.process).min(rows.len().saturating_sub(1));
    let key = rows.get(place).map(ProcessRow::key);
    state.process = place;
    if state.process_key.is_some() {
        state.process_key = key;
    }
}
