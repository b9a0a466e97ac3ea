//! When each line of an output came, so that what a line says can be set beside what the cards held then.

use std::time::Duration;

/// Marks kept: hours of an output that never rests.
const MOST: usize = 1 << 16;
/// Least time between two marks, which is how exactly a line's time is known.
const GRAIN: Duration = Duration::from_millis(100);

/// Times of lines, in bounded memory.
#[derive(Debug, Clone, Default)]
pub struct LineClock {
    /// Time, and how many lines had ended by then.
    marks: Vec<(Duration, u64)>,
    lines: u64,
    /// The last line whose time is known, once there is no room for further marks.
    last_known: Option<u64>,
}

impl LineClock {
    /// Takes in a piece of output that came at a time.
    pub fn push(&mut self, at: Duration, piece: &[u8]) {
        let is_due = self.marks.last().is_none_or(|(last, _)| at.saturating_sub(*last) >= GRAIN);
        match (is_due, self.marks.len() < MOST) {
            (true, true) => self.marks.push((at, self.lines)),
            (true, false) => self.last_known = self.last_known.or(Some(self.lines)),
            (false, _) => {}
        }
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
    }

    /// When a line came, counted from 1; `None` for lines that never came, or too late to be kept.
    #[must_use]
    pub fn at(&self, line: u64) -> Option<Duration> {
        if line == 0 || line > self.last_known.unwrap_or(self.lines.saturating_add(1)) {
            return None;
        }
        let after = self.marks.partition_point(|(_, lines)| *lines < line);
        self.marks.get(after.checked_sub(1)?).map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(clock: &LineClock, line: u64) -> Option<u64> {
        clock.at(line).map(|at| at.as_secs())
    }

    #[test]
    fn a_line_has_the_time_of_the_piece_that_ended_it() {
        let mut clock = LineClock::default();
        assert_eq!(seconds(&clock, 1), None);
        clock.push(Duration::from_secs(1), b"one\ntwo\nthr");
        clock.push(Duration::from_secs(5), b"ee\nfour\n");
        clock.push(Duration::from_secs(9), b"five\n");
        let times: Vec<_> = (0..=7).map(|line| seconds(&clock, line)).collect();
        // The third line came in two pieces; the sixth may still come.
        assert_eq!(times, [None, Some(1), Some(1), Some(5), Some(5), Some(9), Some(9), None]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut clock = LineClock::default();
        for n in 0..(MOST as u64 + 10) {
            clock.push(Duration::from_secs(n), b"line\n");
        }
        assert_eq!(clock.marks.len(), MOST);
        assert_eq!((seconds(&clock, MOST as u64), clock.at(MOST as u64 + 1)), (Some(MOST as u64 - 1), None));
    }
}
