//! A load over time: how the cards fill, and how fast.

use super::colours::Hue;
use super::timeline::{Curve, Moment, Row, Timeline};
use crate::units::Bytes;

/// What was seen while a load ran. Whoever runs the load adds to it; [`LoadHistory::timeline`] makes the picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadHistory {
    /// What was loaded.
    pub title: String,
    /// Cards: name, what they can hold, what the plan puts there.
    pub cards: Vec<(String, Bytes, Bytes)>,
    /// Seconds since the begin, and what each card held then, in the order of the cards.
    pub samples: Vec<(f64, Vec<Bytes>)>,
    /// Seconds and name of each step that ended.
    pub steps: Vec<(f64, String)>,
}

/// Time over which speed is measured, in seconds.
const WINDOW: f64 = 1.0;

impl LoadHistory {
    /// The picture: memory of each card, and below it the bytes that arrive each second on all cards together.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        let end = self.samples.last().map_or(0.0, |(at, _)| *at);
        let placed = self.samples.last().map_or(Bytes::ZERO, |(_, held)| held.iter().sum());
        let mut rows: Vec<Row> = self.cards.iter().enumerate().map(|(place, card)| self.card(place, card)).collect();
        let speed = self.speed();
        let most = speed.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
        rows.push(Row {
            label: "speed".to_owned(),
            detail: "all cards together".to_owned(),
            curve: Curve { points: speed, hue: Hue::Purple },
            most: most * 1.05,
            unit: "GB/s",
            planned: None,
        });
        let mean = if end > 0.0 { placed.0 as f64 / 1e9 / end } else { 0.0 };
        Timeline {
            title: self.title.clone(),
            subtitle: format!(
                "{placed} placed in {end:.2} s, steps before and after included: {mean:.2} GB/s in the mean"
            ),
            rows,
            moments: self.steps.iter().map(|(at, text)| Moment { at: *at, text: text.clone(), bad: false }).collect(),
            from: 0.0,
            to: end,
        }
    }

    fn card(&self, place: usize, (name, capacity, planned): &(String, Bytes, Bytes)) -> Row {
        let points = self.samples.iter().map(|(at, held)| (*at, held.get(place).map(|bytes| bytes.as_gib())));
        Row {
            label: name.clone(),
            detail: String::new(),
            curve: Curve { points: points.collect(), hue: Hue::Blue },
            most: capacity.as_gib(),
            unit: "GiB",
            planned: Some(planned.as_gib()),
        }
    }

    /// Bytes that arrived over the last second, in units of 10^9 bytes.
    fn speed(&self) -> Vec<(f64, Option<f64>)> {
        let sums: Vec<(f64, f64)> =
            self.samples.iter().map(|(at, held)| (*at, held.iter().map(|b| b.0 as f64).sum())).collect();
        let mut first = 0;
        sums.iter()
            .map(|(at, sum)| {
                while first + 1 < sums.len() && sums[first + 1].0 <= at - WINDOW {
                    first += 1;
                }
                let (then, before) = sums[first];
                // Freeing is no arriving.
                let rate = (at - then > 0.0).then(|| ((sum - before) / (at - then) / 1e9).max(0.0));
                (*at, rate)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_of_the_last_second() {
        let history = LoadHistory {
            title: "m".to_owned(),
            cards: vec![("cuda:0".to_owned(), Bytes::gib(24), Bytes::gib(8))],
            samples: (0..=40)
                .map(|n| (f64::from(n) / 10.0, vec![Bytes(300_000_000 * u64::from(n.min(20u32)))]))
                .collect(),
            steps: vec![(2.0, "loaded".to_owned())],
        };
        let timeline = history.timeline();
        let speed = &timeline.rows[1].curve.points;
        assert_eq!(speed[0].1, None);
        assert!((speed[20].1.unwrap() - 3.0).abs() < 1e-6, "{:?}", speed[20]);
        assert!(speed[40].1.unwrap().abs() < 1e-6);
        assert_eq!(timeline.rows[0].planned, Some(8.0));
        assert_eq!(LoadHistory::default().timeline().rows.len(), 1);
    }
}
