//! What output says while it comes: stages and failures, for whoever looks on. The diagnosis at the end reads all of it once more.

use std::time::Duration;

use super::Course;
use crate::oom::{Patterns, Scanner};
use crate::profiles::oom::{Role, Stage};
use crate::profiles::stages::StageLines;

/// Most bytes of one piece that are listened to: a command that floods its output is not slowed down.
const MOST: usize = 1 << 20;

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// When, from the start.
    pub at: Duration,
    /// What it is to a diagnosis.
    pub role: Role,
    /// The stage that it tells of, where that is another than before.
    pub stage: Option<Stage>,
    /// Which line of the piece it stood in, counted from 0.
    pub line: usize,
}

/// Reads output as it comes.
pub struct Listener<'p> {
    patterns: &'p Patterns,
    stages: &'p StageLines,
    course: Course,
}

impl<'p> Listener<'p> {
    /// A listener that knows these messages.
    #[must_use]
    pub fn new(patterns: &'p Patterns, stages: &'p StageLines) -> Self {
        Self { patterns, stages, course: Course::default() }
    }

    /// Takes in some whole lines. A message that is wrapped over two calls is missed.
    pub fn hear(&mut self, lines: &[u8], at: Duration) -> Vec<Heard> {
        let lines = &lines[..lines.len().min(MOST)];
        let mut scanner = Scanner::new(self.patterns);
        scanner.push(lines);
        let words = self.stages.find(lines).map(|(line, stage, _)| (line, true, Role::State, Some(stage)));
        let messages = scanner.finish().list;
        let messages = messages.iter().map(|event| (event.place.line, false, event.role, event.stage));
        let mut all: Vec<(u64, bool, Role, Option<Stage>)> = words.chain(messages).collect();
        all.sort_by_key(|(line, is_word, ..)| (*line, !is_word));
        let course = &mut self.course;
        let mut heard = |(line, is_word, role, stage): (u64, bool, Role, Option<Stage>)| {
            let begins = |stage: &Stage| if is_word { course.told(*stage) } else { course.guessed(*stage) };
            let line = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
            Heard { at, role, stage: stage.filter(begins), line }
        };
        all.into_iter().map(&mut heard).collect()
    }

    /// Takes in a line that has not ended, as a progress bar that draws over itself: the stage that begins with it.
    pub fn glance(&mut self, line: &str) -> Option<Stage> {
        let course = &mut self.course;
        self.stages.find(line.as_bytes()).map(|(_, stage, _)| stage).find(|stage| course.told(*stage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::oom::built_in_oom_patterns;

    #[test]
    fn stages_and_failures_are_heard_once() {
        let patterns = Patterns::new(built_in_oom_patterns().unwrap()).unwrap();
        let stages = StageLines::built_in().unwrap();
        let mut listener = Listener::new(&patterns, &stages);
        let mut heard = Vec::new();
        for (second, line) in
            (0..).zip(include_str!("../../examples/oom/case1-72b-on-one-card.log").split_inclusive('\n'))
        {
            heard.extend(listener.hear(line.as_bytes(), Duration::from_secs(second)));
        }
        let stages: Vec<_> = heard.iter().filter_map(|heard| heard.stage).collect();
        assert_eq!(stages, [Stage::Startup, Stage::Weights]);
        assert!(heard.iter().any(|heard| heard.role == Role::Failure));
        assert!(heard.iter().map(|heard| heard.at).is_sorted());
        assert!(listener.hear(b"nothing of note\n", Duration::ZERO).is_empty());
    }

    #[test]
    fn a_bar_that_has_not_ended_tells_its_stage_once() {
        let patterns = Patterns::new(built_in_oom_patterns().unwrap()).unwrap();
        let stages = StageLines::built_in().unwrap();
        let mut listener = Listener::new(&patterns, &stages);
        let bar = |percent| format!("Loading safetensors checkpoint shards: {percent} % Completed");
        assert_eq!(listener.glance(&bar(10)), Some(Stage::Weights));
        assert_eq!(listener.glance(&bar(20)), None);
        assert_eq!(listener.glance("half a wo"), None);
    }

    #[test]
    fn a_line_is_found_again() {
        let patterns = Patterns::new(built_in_oom_patterns().unwrap()).unwrap();
        let text = b"one\ntwo\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.\nfour\n";
        let stages = StageLines::built_in().unwrap();
        let heard = Listener::new(&patterns, &stages).hear(text, Duration::ZERO);
        assert_eq!(heard.iter().map(|heard| heard.line).collect::<Vec<_>>(), [2]);
    }
}
