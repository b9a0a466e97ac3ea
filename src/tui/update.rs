//! From what happened to what is shown.

use super::layout::Layout;
use super::{Action, Frozen, Pane, State};
use crate::monitor::{Interval, ProcessRow};

/// What the edge has to do after an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// End the program.
    Quit,
    /// Stop the process until it is continued.
    Suspend,
    /// Clear the terminal before the next frame.
    Repaint,
    /// Tell the sampler.
    SetInterval(Interval),
}

/// Applies an action to the state.
pub fn update(state: &mut State, action: Action) -> Option<Effect> {
    match action {
        Action::Quit => return Some(Effect::Quit),
        Action::Suspend => return Some(Effect::Suspend),
        Action::Repaint => return Some(Effect::Repaint),
        Action::ToggleHelp => state.help = !state.help,
        Action::Close => state.help = false,
        Action::SwitchPane => {
            state.focus = match state.focus {
                Pane::Cards => Pane::Processes,
                Pane::Processes => Pane::Cards,
            };
        }
        Action::Down => move_by(state, |step, place| place.saturating_add(step.row)),
        Action::Up => move_by(state, |step, place| place.checked_sub(step.row).unwrap_or(place)),
        Action::Left => move_by(state, |step, place| place.saturating_sub(step.column)),
        Action::Right => move_by(state, |step, place| place.saturating_add(step.column)),
        Action::PageDown => move_by(state, |step, place| place.saturating_add(step.page)),
        Action::PageUp => move_by(state, |step, place| place.saturating_sub(step.page)),
        Action::First => move_by(state, |_, _| 0),
        Action::Last => move_by(state, |_, _| usize::MAX),
        Action::Sort => {
            state.sort = state.sort.next();
            follow_selection(state);
        }
        Action::Pause => {
            state.frozen = match state.frozen {
                Some(_) => None,
                None => Some(Box::new(Frozen { watch: state.live.clone(), at: state.now })),
            };
            follow_selection(state);
        }
        Action::Longer => return set_interval(state, state.interval.longer()),
        Action::Shorter => return set_interval(state, state.interval.shorter()),
        Action::Resize(size) => state.size = size,
        Action::Sample(sample) => {
            state.now = state.now.max(sample.at);
            state.live.absorb(sample);
            follow_selection(state);
        }
        Action::Tick(now) => state.now = now,
    }
    None
}

fn set_interval(state: &mut State, interval: Interval) -> Option<Effect> {
    let changed = interval != state.interval;
    state.interval = interval;
    changed.then_some(Effect::SetInterval(interval))
}

/// How far keys go in the pane that has them.
struct Step {
    row: usize,
    column: usize,
    page: usize,
}

fn move_by(state: &mut State, to: impl Fn(Step, usize) -> usize) {
    let layout = Layout::of(state);
    match state.focus {
        Pane::Cards => {
            let columns = usize::from(layout.grid.columns);
            let step = Step { row: columns, column: 1, page: (layout.grid.visible_rows() * columns).max(1) };
            let last = state.shown().cards.len().saturating_sub(1);
            state.card = to(step, state.card).min(last);
        }
        Pane::Processes => {
            let step = Step { row: 1, column: 0, page: layout.process_rows().max(1) };
            let rows = state.processes();
            state.process = to(step, state.process).min(rows.len().saturating_sub(1));
            state.process_key = rows.get(state.process).map(ProcessRow::key);
        }
    }
}

/// After the list changed: stays with the selected process; when that is gone, with its place in the list.
fn follow_selection(state: &mut State) {
    let rows = state.processes();
    let place = rows.iter().position(|row| Some(row.key()) == state.process_key);
    state.process = place.unwrap_or(state.process).min(rows.len().saturating_sub(1));
    // Nobody chose a process yet: the top of the list stays selected, whoever is there.
    if state.process_key.is_some() {
        state.process_key = rows.get(state.process).map(ProcessRow::key);
    }
    state.card = state.card.min(state.shown().cards.len().saturating_sub(1));
}
