//! What the last minute says: growth, headroom, imbalance, drift from a plan.

use std::time::Duration;

use super::{CardId, Expectation, Trace, Watch, WatchedCard};
use crate::units::{ByteDelta, Bytes};

/// Judgement over a window of time that ends at the latest sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// Cards that are present, in the order of the watch.
    pub cards: Vec<CardAnalysis>,
    /// Most memory less least, of the window's means, over the cards that work together.
    pub memory_imbalance: Option<Bytes>,
    /// The same as a share of the fullest card, 0 to 1.
    pub memory_imbalance_share: Option<f64>,
    /// Most utilisation less least, of the window's means, in percentage points.
    pub utilization_imbalance: Option<f64>,
    /// The card with the least free memory, and how much.
    pub headroom: Option<(CardId, Bytes)>,
}

/// One card over the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CardAnalysis {
    /// Which.
    pub id: CardId,
    /// Mean of the memory in use.
    pub mean_used: Option<Bytes>,
    /// Mean utilisation in percent.
    pub mean_utilization: Option<f64>,
    /// Bytes a minute by which memory grows (a line through the window's samples), zero when that does not stand out of the noise; `None`
    /// before there are enough samples.
    pub growth_per_minute: Option<f64>,
    /// Time until the card is full if it goes on growing so; `None` when it does not grow.
    pub full_in: Option<Duration>,
    /// Memory in use now less what the plan expects.
    pub drift: Option<ByteDelta>,
}

/// Growth below this a minute is noise: allocators take memory in blocks of 2 MiB.
const NOISE: f64 = (4 << 20) as f64;
/// A line needs some points, over some time.
const FEWEST_POINTS: usize = 5;
/// A card with less than this share of the fullest in use does not work with the others.
const IDLE: f64 = 0.02;

impl Analysis {
    /// Judges what a watch saw in the last `window`.
    #[must_use]
    pub fn of(watch: &Watch, window: Duration, expectation: Option<&Expectation>) -> Self {
        let present: Vec<&WatchedCard> = watch.cards.iter().filter(|card| card.is_present()).collect();
        let cards: Vec<_> = present.iter().map(|card| analyse(card, window, expectation)).collect();
        // Cards that work together: those of the plan, else all whole cards that hold something.
        let most = cards.iter().filter_map(|card| card.mean_used).max().unwrap_or_default();
        let together: Vec<&CardAnalysis> = present
            .iter()
            .zip(&cards)
            .filter(|(card, analysis)| match expectation {
                Some(plan) => plan.card(&card.usage).is_some(),
                None => {
                    card.usage.id.instance.is_none()
                        && analysis.mean_used.is_some_and(|used| used.0 as f64 >= most.0 as f64 * IDLE)
                }
            })
            .map(|(_, analysis)| analysis)
            .collect();
        let used: Vec<Bytes> = together.iter().filter_map(|card| card.mean_used).collect();
        let busy: Vec<f64> = together.iter().filter_map(|card| card.mean_utilization).collect();
        let memory_imbalance = spread(&used).map(|(least, most)| most.saturating_sub(least));
        let free = present.iter().filter_map(|card| Some((card.usage.id, card.usage.memory.known()?.free)));
        Self {
            memory_imbalance,
            memory_imbalance_share: memory_imbalance
                .zip(used.iter().max())
                .filter(|(_, most)| most.0 > 0)
                .map(|(difference, most)| difference.0 as f64 / most.0 as f64),
            utilization_imbalance: (busy.len() > 1)
                .then(|| busy.iter().fold(f64::MIN, |a, b| a.max(*b)) - busy.iter().fold(f64::MAX, |a, b| a.min(*b))),
            headroom: free.min_by_key(|(_, free)| *free),
            cards,
        }
    }

    /// The judgement on a card.
    #[must_use]
    pub fn card(&self, id: CardId) -> Option<&CardAnalysis> {
        self.cards.iter().find(|card| card.id == id)
    }
}

/// Least and most of at least two.
fn spread(values: &[Bytes]) -> Option<(Bytes, Bytes)> {
    if values.len() < 2 {
        return None;
    }
    Some((*values.iter().min()?, *values.iter().max()?))
}

fn analyse(card: &WatchedCard, window: Duration, expectation: Option<&Expectation>) -> CardAnalysis {
    let memory = card.usage.memory.known();
    let growth_per_minute = growth(&card.trace, window);
    let full_in = growth_per_minute
        .filter(|growth| *growth > NOISE)
        .zip(memory)
        .and_then(|(growth, memory)| Duration::try_from_secs_f64(memory.free.0 as f64 / growth * 60.0).ok());
    let expected = expectation.and_then(|plan| plan.card(&card.usage));
    CardAnalysis {
        id: card.usage.id,
        mean_used: mean(card.trace.within(window).filter_map(|point| point.used.map(|used| used.0 as f64)))
            .map(|mean| Bytes(mean as u64)),
        mean_utilization: mean(card.trace.within(window).filter_map(|point| point.utilization.map(f64::from))),
        growth_per_minute,
        full_in,
        drift: expected.zip(memory).map(|(expected, memory)| expected.drift(memory.used)),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Slope of the least-squares line through the memory in use, in bytes a minute; zero when it does not stand out of the noise around the
/// line, which the first seconds of a watch would otherwise make a leak of.
fn growth(trace: &Trace, window: Duration) -> Option<f64> {
    /// How many standard errors a slope must be from zero.
    const SIGNIFICANT: f64 = 3.0;
    let points: Vec<(f64, f64)> = trace
        .within(window)
        .filter_map(|point| point.used.map(|used| (point.at.as_secs_f64(), used.0 as f64)))
        .collect();
    let points = &points[after_last_fall(&points)..];
    if points.len() < FEWEST_POINTS {
        return None;
    }
    let count = points.len() as f64;
    let mean_time = points.iter().map(|(time, _)| time).sum::<f64>() / count;
    let mean_used = points.iter().map(|(_, used)| used).sum::<f64>() / count;
    let above: f64 = points.iter().map(|(time, used)| (time - mean_time) * (used - mean_used)).sum();
    let below: f64 = points.iter().map(|(time, _)| (time - mean_time).powi(2)).sum();
    if below <= 0.0 {
        return None;
    }
    let slope = above / below;
    let off_the_line = |(time, used): &(f64, f64)| (used - mean_used - slope * (time - mean_time)).powi(2);
    let error = (points.iter().map(off_the_line).sum::<f64>() / (count - 2.0) / below).sqrt();
    Some(if slope.abs() > SIGNIFICANT * error { slope * 60.0 } else { 0.0 })
}

/// Where the samples since the last fall begin: what was freed at once, by a process that ended, says nothing about growth.
fn after_last_fall(points: &[(f64, f64)]) -> usize {
    const FALL: f64 = 0.9;
    points.windows(2).rposition(|pair| pair[1].1 < pair[0].1 * FALL).map_or(0, |place| place + 1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::hardware::{CardState, MemoryState, Reading, Snapshot};
    use crate::monitor::{ExpectedCard, Sample};

    /// A card of 80 GiB with so much in use.
    pub fn card(index: u32, used: Bytes, busy: u32) -> CardState {
        let mut card = CardState::unreadable(index, Reading::Unsupported);
        card.uuid = Reading::Known(format!("GPU-{index}"));
        card.processes = Reading::Known(Vec::new());
        card.utilization_percent = Reading::Known(busy);
        card.memory = Reading::Known(MemoryState {
            total: Bytes::gib(80),
            reserved: Reading::Known(Bytes::ZERO),
            used,
            free: Bytes::gib(80).saturating_sub(used),
        });
        card
    }

    pub fn sample(second: u64, cards: Vec<CardState>) -> Sample {
        let (driver_version, cuda_version) = (Reading::Denied, Reading::Denied);
        let snapshot = Snapshot { driver_version, cuda_version, cards, peers: Vec::new() };
        Sample { at: Duration::from_secs(second), outcome: Ok(snapshot) }
    }

    #[test]
    fn growth_tells_when_a_card_is_full() {
        let mut watch = Watch::default();
        for second in 0..=60 {
            // One GiB a minute on the first, noise on the second.
            let leak = Bytes::gib(70) + Bytes(Bytes::gib(1).0 / 60 * second);
            watch.absorb(sample(second, vec![card(0, leak, 50), card(1, Bytes::gib(70) + Bytes::mib(second % 2), 50)]));
        }
        let analysis = Analysis::of(&watch, Duration::from_secs(60), None);
        let growth = analysis.cards[0].growth_per_minute.unwrap();
        assert!((growth / Bytes::gib(1).0 as f64 - 1.0).abs() < 0.01, "{growth}");
        assert_eq!(analysis.cards[0].full_in.unwrap().as_secs() / 60, 9);
        assert_eq!(analysis.cards[1].full_in, None);
        assert_eq!(analysis.headroom.map(|(id, _)| id.index), Some(0));
    }

    /// Allocators that take and give memory all the time are no leak, however few samples there are.
    #[test]
    fn noise_is_no_growth() {
        let mut watch = Watch::default();
        for (second, blocks) in [3, 9, 1, 8, 11, 2, 10, 7, 12, 4, 6, 5, 9, 11, 3, 8].into_iter().enumerate() {
            watch.absorb(sample(second as u64, vec![card(0, Bytes::gib(70) + Bytes::mib(blocks * 20), 50)]));
            let analysis = Analysis::of(&watch, Duration::from_secs(60), None);
            assert_eq!(analysis.cards[0].full_in, None, "after {second} s");
        }
    }

    #[test]
    fn a_process_that_ended_is_no_growth() {
        let mut watch = Watch::default();
        for second in 0..=60 {
            let used = if second < 58 { Bytes::mib(1000 * second) } else { Bytes::mib(8) };
            watch.absorb(sample(second, vec![card(0, used, 50)]));
        }
        let analysis = Analysis::of(&watch, Duration::from_secs(60), None);
        assert_eq!((analysis.cards[0].growth_per_minute, analysis.cards[0].full_in), (None, None));
    }

    #[test]
    fn imbalance_is_between_cards_that_work_together() {
        let mut watch = Watch::default();
        for second in 0..10 {
            let cards = vec![card(0, Bytes::gib(40), 90), card(1, Bytes::gib(30), 50), card(2, Bytes::mib(8), 0)];
            watch.absorb(sample(second, cards));
        }
        let analysis = Analysis::of(&watch, Duration::from_secs(60), None);
        assert_eq!(analysis.memory_imbalance, Some(Bytes::gib(10)));
        assert_eq!(analysis.memory_imbalance_share, Some(0.25));
        assert_eq!(analysis.utilization_imbalance, Some(40.0));
        // A plan that counts on the idle card makes it part of the judgement.
        let plan = plan(3, Bytes::gib(35));
        let analysis = Analysis::of(&watch, Duration::from_secs(60), Some(&plan));
        assert!(analysis.memory_imbalance > Some(Bytes::gib(39)));
        assert_eq!(analysis.cards[0].drift, Some(ByteDelta(i128::from(Bytes::gib(5).0))));
        assert_eq!(analysis.cards[1].drift, Some(ByteDelta(-i128::from(Bytes::gib(5).0))));
    }

    #[test]
    fn too_little_is_no_judgement() {
        let mut watch = Watch::default();
        assert_eq!(Analysis::of(&watch, Duration::MAX, None), Analysis::default());
        watch.absorb(sample(0, vec![card(0, Bytes::gib(1), 1)]));
        let analysis = Analysis::of(&watch, Duration::MAX, None);
        assert_eq!((analysis.memory_imbalance, analysis.utilization_imbalance), (None, None));
        assert_eq!(analysis.cards[0].growth_per_minute, None);
    }

    pub fn plan(cards: u32, total: Bytes) -> Expectation {
        let card = |place| ExpectedCard {
            place,
            uuid: None,
            label: "A100".to_owned(),
            capacity: Bytes::gib(80),
            ranks: vec![place],
            parts: Vec::new(),
            total,
            high: total,
        };
        Expectation { title: String::new(), verdict: String::new(), cards: (0..cards).map(card).collect() }
    }
}
