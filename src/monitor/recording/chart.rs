//! A recording as a picture.

use std::time::Duration;

use super::{MarkKind, Replay, Series};
use crate::monitor::{Expectation, Point, clock};
use crate::report::render::chart::{Curve, Hue, Moment, Row, Timeline};
use crate::units::Bytes;

/// Memory of each card over the whole recording, with the plan's levels and the marks.
#[must_use]
pub fn timeline(replay: &Replay, expectation: Option<&Expectation>) -> Timeline {
    let (begin, end) = (replay.begin(), replay.end());
    let cards = replay.series().len();
    let moments = replay.marks().iter().map(|mark| Moment {
        at: mark.at.as_secs_f64(),
        text: format!("{}: {}", mark.kind.label(), mark.text),
        bad: matches!(mark.kind, MarkKind::Alarm | MarkKind::Xid | MarkKind::OutOfMemory | MarkKind::Card),
    });
    let title = expectation.map_or_else(|| "Memory of the cards".to_owned(), |plan| plan.title.clone());
    Timeline {
        title,
        subtitle: format!(
            "memory in use on {cards} {}, {} samples over {}",
            if cards == 1 { "card" } else { "cards" },
            replay.samples(),
            clock(end.saturating_sub(begin))
        ),
        rows: replay.series().iter().map(|series| row(series, expectation, replay)).collect(),
        moments: moments.collect(),
        from: begin.as_secs_f64(),
        to: end.as_secs_f64(),
    }
}

fn row(series: &Series, expectation: Option<&Expectation>, replay: &Replay) -> Row {
    let expected = expectation.and_then(|plan| plan.of_identity(&series.id, series.uuid.as_deref()));
    let most = series.points.iter().filter_map(|point| point.used).max().unwrap_or_default();
    let name = series.name.as_deref().unwrap_or("unknown card");
    let ranks = expected.map_or_else(String::new, |card| {
        let ranks: Vec<_> = card.ranks.iter().map(ToString::to_string).collect();
        format!(" · rank {}", ranks.join(", "))
    });
    Row {
        label: format!("card {}{ranks}", series.id),
        detail: name.trim_start_matches("NVIDIA ").to_owned(),
        curve: Curve { points: points(&series.points, replay.sample_time()), hue: Hue::Blue },
        most: series.capacity.unwrap_or(most).as_gib(),
        unit: "GiB",
        planned: expected.map(|card| card.total.as_gib()),
    }
}

/// Points with a gap where nothing was sampled for a while.
fn points(points: &[Point], sample_time: Duration) -> Vec<(f64, Option<f64>)> {
    let mut out = Vec::with_capacity(points.len());
    let mut before: Option<Duration> = None;
    // Points of a long recording stand for several samples: what is usual between them is no gap.
    let mean = match (points.first(), points.last()) {
        (Some(first), Some(last)) if points.len() > 1 => {
            last.at.saturating_sub(first.at) / u32::try_from(points.len() - 1).unwrap_or(u32::MAX)
        }
        _ => sample_time,
    };
    let gap = mean.max(sample_time).saturating_mul(4);
    for point in points {
        if before.is_some_and(|before| point.at.saturating_sub(before) > gap) {
            out.push((point.at.as_secs_f64(), None));
        }
        out.push((point.at.as_secs_f64(), point.used.map(Bytes::as_gib)));
        before = Some(point.at);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_a_gap() {
        let point =
            |second| Point { at: Duration::from_secs(second), used: Some(Bytes::gib(second)), utilization: None };
        let seconds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 60, 61];
        let all: Vec<_> = seconds.map(point).to_vec();
        let drawn = points(&all, Duration::from_secs(1));
        assert_eq!(drawn.len(), seconds.len() + 1);
        assert_eq!(drawn[10], (60.0, None));
    }
}
