//! How fast bytes arrive, and how long the rest takes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::Bytes;

/// Bytes over the last seconds. The mean since the start would hide that a load slowed down, and its estimate of the end with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Speed {
    marks: VecDeque<(Duration, Bytes)>,
}

impl Speed {
    /// Time over which speed is measured.
    const WINDOW: Duration = Duration::from_secs(5);
    /// Two marks closer than this are one: frames come faster than progress means anything.
    const STEP: Duration = Duration::from_millis(200);

    /// Notes that `done` bytes had arrived at `at`.
    pub fn mark(&mut self, at: Duration, done: Bytes) {
        match self.marks.back() {
            // A new phase counts from zero again.
            Some((_, before)) if *before > done => self.marks.clear(),
            Some((last, _)) if at.saturating_sub(*last) < Self::STEP && self.marks.len() > 1 => {
                self.marks.pop_back();
            }
            _ => {}
        }
        self.marks.push_back((at, done));
        // The newest mark older than the window stays: it is what the window is measured from.
        while self.marks.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= Self::WINDOW) {
            self.marks.pop_front();
        }
    }

    /// Bytes per second; `None` until there are two marks some time apart.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        let ((start, first), (end, last)) = (self.marks.front()?, self.marks.back()?);
        let seconds = end.saturating_sub(*start).as_secs_f64();
        (seconds >= Self::STEP.as_secs_f64()).then(|| last.saturating_sub(*first).0 as f64 / seconds)
    }

    /// Time until `rest` has arrived at this speed; `None` when nothing moves.
    #[must_use]
    pub fn time_for(&self, rest: Bytes) -> Option<Duration> {
        let speed = self.per_second().filter(|speed| *speed > 0.0)?;
        Duration::try_from_secs_f64(rest.0 as f64 / speed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn speed_follows_the_last_seconds() {
        let mut speed = Speed::default();
        assert_eq!(speed.per_second(), None);
        for second in 0..=10 {
            speed.mark(ms(second * 1000), Bytes(second * 100));
        }
        assert_eq!(speed.per_second(), Some(100.0));
        assert_eq!(speed.time_for(Bytes(450)), Some(ms(4500)));
        for second in 11..=20 {
            speed.mark(ms(second * 1000), Bytes(1000));
        }
        assert_eq!(speed.per_second(), Some(0.0));
        assert_eq!(speed.time_for(Bytes(1)), None);
    }

    #[test]
    fn many_frames_are_few_marks() {
        let mut speed = Speed::default();
        for frame in 0..10_000 {
            speed.mark(ms(frame), Bytes(frame * 1000));
        }
        assert!(speed.marks.len() < 40, "{}", speed.marks.len());
        assert!((speed.per_second().unwrap() - 1e6).abs() < 1e3);
    }

    #[test]
    fn a_phase_that_starts_over_starts_the_measure_over() {
        let mut speed = Speed::default();
        speed.mark(ms(0), Bytes(0));
        speed.mark(ms(1000), Bytes(500));
        speed.mark(ms(2000), Bytes(0));
        assert_eq!(speed.per_second(), None);
        speed.mark(ms(3000), Bytes(250));
        assert_eq!(speed.per_second(), Some(250.0));
    }
}
