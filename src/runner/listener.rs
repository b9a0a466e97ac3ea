//! What output says while it comes: stages and failures, for whoever looks on. The diagnosis at the end reads all of it once more.

use std::time::Duration;

use crate::oom::{Patterns, Scanner};
use crate::profiles::oom::{Role, Stage};

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
    /// The words.
    pub text: String,
}

/// Reads output as it comes.
pub struct Listener<'p> {
    patterns: &'p Patterns,
    stage: Option<Stage>,
}

impl<'p> Listener<'p> {
    /// A listener that knows these messages.
    #[must_use]
    pub const fn new(patterns: &'p Patterns) -> Self {
        Self { patterns, stage: None }
    }

    /// Takes in some whole lines. A message that is wrapped over two calls is missed.
    pub fn hear(&mut self, lines: &[u8], at: Duration) -> Vec<Heard> {
        let mut scanner = Scanner::new(self.patterns);
        scanner.push(&lines[..lines.len().min(MOST)]);
        let events = scanner.finish().list.into_iter();
        events
            .map(|event| {
                let stage = event.stage.filter(|stage| self.stage != Some(*stage));
                self.stage = stage.or(self.stage);
                let line = usize::try_from(event.place.line.saturating_sub(1)).unwrap_or(usize::MAX);
                Heard { at, role: event.role, stage, line, text: event.text }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::oom::built_in_oom_patterns;

    #[test]
    fn stages_and_failures_are_heard_once() {
        let patterns = Patterns::new(built_in_oom_patterns().unwrap()).unwrap();
        let mut listener = Listener::new(&patterns);
        let mut heard = Vec::new();
        for (second, line) in
            (0..).zip(include_str!("../../examples/oom/case1-72b-on-one-card.log").split_inclusive('\n'))
        {
            heard.extend(listener.hear(line.as_bytes(), Duration::from_secs(second)));
        }
        let stages: Vec<_> = heard.iter().filter_map(|heard| heard.stage).collect();
        assert!(stages.contains(&Stage::Weights), "{stages:?}");
        assert!(stages.windows(2).all(|pair| pair[0] != pair[1]), "{stages:?}");
        assert!(heard.iter().any(|heard| heard.role == Role::Failure));
        assert!(heard.iter().map(|heard| heard.at).is_sorted());
        assert!(listener.hear(b"nothing of note\n", Duration::ZERO).is_empty());
    }

    #[test]
    fn a_line_is_found_again() {
        let patterns = Patterns::new(built_in_oom_patterns().unwrap()).unwrap();
        let text = b"one\ntwo\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.\nfour\n";
        let heard = Listener::new(&patterns).hear(text, Duration::ZERO);
        assert_eq!(heard.iter().map(|heard| heard.line).collect::<Vec<_>>(), [2]);
    }
}
