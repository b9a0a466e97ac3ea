//! The stages of an engine's start, as its output told of them.

use super::{KeptLog, LineClock};
use crate::oom::Events;
use crate::report::run::PhaseReport;

/// The stages in the order of the output, each with the time of the line that first told of it.
#[must_use]
pub fn phases(events: &Events, log: &KeptLog, clock: &LineClock) -> Vec<PhaseReport> {
    let mut phases: Vec<PhaseReport> = Vec::new();
    // The output is the first text that was scanned.
    for event in events.list.iter().filter(|event| event.place.file == 0) {
        let Some(stage) = event.stage else { continue };
        if phases.last().is_some_and(|last| last.phase == stage.name()) {
            continue;
        }
        let line = event.place.line;
        let at = if log.keeps_number(line) { clock.at(line) } else { None };
        phases.push(PhaseReport {
            phase: stage.name().to_owned(),
            seconds: at.map(|at| at.as_secs_f64()),
            text: event.text.clone(),
        });
    }
    phases
}
