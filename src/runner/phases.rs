//! The stages of an engine's start, as its output told of them.

use super::{Course, KeptLog, LineClock};
use crate::oom::Events;
use crate::profiles::oom::Stage;
use crate::profiles::stages::StageLines;
use crate::report::run::PhaseReport;

/// Characters kept of the line that told.
const QUOTED: usize = 400;

/// The stages in the order of the output, each with the time of the line with which it began.
#[must_use]
pub fn phases(events: &Events, stages: &StageLines, log: &KeptLog, clock: &LineClock) -> Vec<PhaseReport> {
    let text = log.text();
    // The output is the first text that was scanned.
    let own = events.list.iter().filter(|event| event.place.file == 0);
    let guesses = own.filter_map(|event| Some((event.place.line, false, event.stage?, event.text.clone())));
    let words = stages.find(&text).map(|(line, stage, words)| {
        let words = String::from_utf8_lossy(words).trim().chars().take(QUOTED).collect();
        (line, true, stage, words)
    });
    let mut told: Vec<(u64, bool, Stage, String)> = words.chain(guesses).collect();
    // Of a line that does both the word counts.
    told.sort_by_key(|(line, is_word, ..)| (*line, !is_word));
    let mut course = Course::default();
    let mut phases = Vec::new();
    for (line, is_word, stage, text) in told {
        let begins = if is_word { course.told(stage) } else { course.guessed(stage) };
        if begins {
            let at = if log.keeps_number(line) { clock.at(line) } else { None };
            let seconds = at.map(|at| at.as_secs_f64());
            phases.push(PhaseReport { phase: stage.name().to_owned(), seconds, text });
        }
    }
    phases
}
