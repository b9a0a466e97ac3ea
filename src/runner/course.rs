//! The course of a start: which stage comes next, told by many ranks at once.

use crate::profiles::oom::Stage;

/// How far a start is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Course {
    stage: Option<Stage>,
    /// Whether a line told of a stage by itself.
    is_told: bool,
}

impl Course {
    /// Takes in a line that begins a stage; whether the start gets there by it.
    pub fn told(&mut self, stage: Stage) -> bool {
        self.is_told = true;
        self.reach(stage)
    }

    /// Takes in a message that belongs to a stage, by which the stage is guessed as long as no line tells it.
    pub fn guessed(&mut self, stage: Stage) -> bool {
        !self.is_told && self.reach(stage)
    }

    /// Ranks that are slower than the first do not set a start back; an engine that serves and starts again does.
    fn reach(&mut self, stage: Stage) -> bool {
        let moves = match self.stage {
            None => true,
            Some(Stage::Serving) if stage == Stage::Startup => true,
            Some(present) => stage > present,
        };
        if moves {
            self.stage = Some(stage);
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_ranks_do_not_set_it_back() {
        let mut course = Course::default();
        let stages = [
            (Stage::Startup, true),
            (Stage::Weights, true),
            (Stage::Weights, false),
            (Stage::KvSizing, true),
            (Stage::Weights, false),
            (Stage::Serving, true),
            (Stage::KvSizing, false),
            // A supervisor started it again.
            (Stage::Startup, true),
            (Stage::Weights, true),
        ];
        for (stage, moves) in stages {
            assert_eq!(course.told(stage), moves, "{stage:?}");
        }
    }

    #[test]
    fn guesses_end_with_the_first_word() {
        let mut course = Course::default();
        assert!(course.guessed(Stage::Startup) && course.told(Stage::Weights));
        assert!(!course.guessed(Stage::Serving) && course.told(Stage::Profiling));
    }
}
