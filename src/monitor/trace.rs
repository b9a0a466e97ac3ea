//! What one card did lately.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::Bytes;

/// One sample of a card; what the driver did not tell stays `None` and is drawn as a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When, from the start of the watch.
    pub at: Duration,
    /// Memory in use.
    pub used: Option<Bytes>,
    /// Share of time in which kernels ran, in percent.
    pub utilization: Option<u32>,
}

/// The latest points of one card, oldest first, never more than [`Trace::CAPACITY`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    points: VecDeque<Point>,
}

impl Trace {
    /// Points kept: as many as the widest graph shows (two a column of a 250-column screen), rounded up.
    pub const CAPACITY: usize = 512;

    /// Adds the newest point and forgets the oldest beyond the capacity.
    pub fn push(&mut self, point: Point) {
        if self.points.len() == Self::CAPACITY {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// The newest `count` points, oldest of them first.
    pub fn latest(&self, count: usize) -> impl Iterator<Item = &Point> {
        self.points.iter().skip(self.points.len().saturating_sub(count))
    }

    /// Time from the oldest of the newest `count` points to the newest.
    #[must_use]
    pub fn span(&self, count: usize) -> Duration {
        match (self.latest(count).next(), self.points.back()) {
            (Some(first), Some(last)) => last.at.saturating_sub(first.at),
            _ => Duration::ZERO,
        }
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether nothing was sampled yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_bounded_and_keeps_the_newest() {
        let mut trace = Trace::default();
        for second in 0..1000 {
            trace.push(Point { at: Duration::from_secs(second), used: Some(Bytes(second)), utilization: None });
        }
        assert_eq!(trace.len(), Trace::CAPACITY);
        let last: Vec<_> = trace.latest(3).map(|p| p.used).collect();
        assert_eq!(last, [Some(Bytes(997)), Some(Bytes(998)), Some(Bytes(999))]);
        assert_eq!(trace.span(3), Duration::from_secs(2));
        assert_eq!(trace.span(9999), Duration::from_secs(511));
        assert_eq!(Trace::default().span(5), Duration::ZERO);
    }
}
