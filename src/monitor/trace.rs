//! What one card did lately, and with less detail for long before.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::Bytes;

/// One moment of a card, or a stretch of moments; what the driver did not tell stays `None` and is drawn as a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When, from the start of the watch; of a stretch, its end.
    pub at: Duration,
    /// Memory in use; of a stretch, the most.
    pub used: Option<Bytes>,
    /// Share of time in which kernels ran, in percent; of a stretch, the mean.
    pub utilization: Option<u32>,
}

impl Point {
    /// The stretch of `count` moments that this point is, and one more.
    #[must_use]
    pub fn joined(self, next: Self, count: u32) -> Self {
        let utilization = match (self.utilization, next.utilization) {
            (Some(mean), Some(last)) => {
                let sum = u64::from(mean) * u64::from(count) + u64::from(last);
                u32::try_from((sum + u64::from(count).div_ceil(2)) / (u64::from(count) + 1)).ok()
            }
            (one, other) => one.or(other),
        };
        Self { at: next.at, used: self.used.max(next.used), utilization }
    }
}

/// The latest points of one card at several zooms, oldest first, never more than [`Trace::CAPACITY`] each. At each zoom a point stands
/// for [`Trace::FACTOR`] points of the one before: the last zoom of a watch at 1 s goes back six days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    points: VecDeque<Point>,
    longer: [Stretches; Trace::ZOOMS as usize - 1],
}

/// One zoom beyond the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stretches {
    points: VecDeque<Point>,
    /// The stretch that is being filled, and how many points of the zoom before are in it.
    open: Option<(Point, u32)>,
}

impl Trace {
    /// Points kept at each zoom: as many as the widest graph shows (two a column of a 250-column screen), rounded up.
    pub const CAPACITY: usize = 512;
    /// Zooms, the finest included.
    pub const ZOOMS: u8 = 6;
    /// Points of one zoom in a point of the next.
    pub const FACTOR: u32 = 4;

    /// Adds the newest point and forgets the oldest beyond the capacity.
    pub fn push(&mut self, point: Point) {
        keep(&mut self.points, point);
        let mut whole = point;
        for stretches in &mut self.longer {
            let (stretch, count) = match stretches.open.take() {
                Some((open, count)) => (open.joined(whole, count), count + 1),
                None => (whole, 1),
            };
            if count < Self::FACTOR {
                stretches.open = Some((stretch, count));
                return;
            }
            keep(&mut stretches.points, stretch);
            whole = stretch;
        }
    }

    /// The newest `count` points, oldest of them first.
    pub fn latest(&self, count: usize) -> impl Iterator<Item = &Point> {
        self.points.iter().skip(self.points.len().saturating_sub(count))
    }

    /// The newest `count` points at a zoom, oldest of them first; the stretch that is not full yet is the newest.
    pub fn zoomed(&self, zoom: u8, count: usize) -> impl Iterator<Item = &Point> {
        let (points, open) = match zoom.checked_sub(1).and_then(|place| self.longer.get(usize::from(place))) {
            Some(stretches) => (&stretches.points, stretches.open.as_ref().map(|(point, _)| point)),
            None => (&self.points, None),
        };
        let length = points.len() + usize::from(open.is_some());
        points.iter().chain(open).skip(length.saturating_sub(count))
    }

    /// Points of the last `window` before the newest.
    pub fn within(&self, window: Duration) -> impl Iterator<Item = &Point> {
        let end = self.points.back().map_or(Duration::ZERO, |point| point.at);
        self.points.iter().filter(move |point| end.saturating_sub(point.at) <= window)
    }

    /// Time from the oldest of the newest `count` points to the newest.
    #[must_use]
    pub fn span(&self, count: usize) -> Duration {
        self.zoomed_span(0, count)
    }

    /// Time from the oldest of the newest `count` points at a zoom to the newest.
    #[must_use]
    pub fn zoomed_span(&self, zoom: u8, count: usize) -> Duration {
        match (self.zoomed(zoom, count).next(), self.points.back()) {
            (Some(first), Some(last)) => last.at.saturating_sub(first.at),
            _ => Duration::ZERO,
        }
    }

    /// Number of points at the finest zoom.
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

fn keep(points: &mut VecDeque<Point>, point: Point) {
    if points.len() == Trace::CAPACITY {
        points.pop_front();
    }
    points.push_back(point);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(seconds: u64) -> Trace {
        let mut trace = Trace::default();
        for second in 0..seconds {
            let utilization = Some(u32::try_from(second % 4).unwrap());
            trace.push(Point { at: Duration::from_secs(second), used: Some(Bytes(second)), utilization });
        }
        trace
    }

    #[test]
    fn a_trace_is_bounded_and_keeps_the_newest() {
        let trace = trace(1000);
        assert_eq!(trace.len(), Trace::CAPACITY);
        let last: Vec<_> = trace.latest(3).map(|p| p.used).collect();
        assert_eq!(last, [Some(Bytes(997)), Some(Bytes(998)), Some(Bytes(999))]);
        assert_eq!(trace.span(3), Duration::from_secs(2));
        assert_eq!(trace.span(9999), Duration::from_secs(511));
        assert_eq!(Trace::default().span(5), Duration::ZERO);
    }

    #[test]
    fn zooms_go_further_back_with_peaks_and_means() {
        let trace = trace(1002);
        // 250 whole stretches of four, and one of two.
        let points: Vec<_> = trace.zoomed(1, 999).copied().collect();
        assert_eq!(points.len(), 251);
        assert_eq!(points[0], Point { at: Duration::from_secs(3), used: Some(Bytes(3)), utilization: Some(2) });
        assert_eq!(points[250].used, Some(Bytes(1001)));
        assert_eq!(trace.zoomed(2, 2).map(|p| p.at.as_secs()).collect::<Vec<_>>(), [991, 999]);
        assert_eq!(trace.zoomed_span(1, 999), Duration::from_secs(998));
        assert_eq!(trace.zoomed(0, 5).count(), 5);
        assert_eq!(trace.zoomed(99, 5).count(), 5, "beyond the last zoom is the first");
    }

    #[test]
    fn a_window_holds_what_is_not_older() {
        let trace = trace(100);
        assert_eq!(trace.within(Duration::from_secs(9)).count(), 10);
        assert_eq!(trace.within(Duration::MAX).count(), 100);
    }
}
