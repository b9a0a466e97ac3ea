//! What is known of all cards so far.

use std::time::Duration;

use super::{CardUsage, Interval, Point, ProcessRow, Sample, Trace, usage::usages_of};

/// The cards as last seen, each with its history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// Driver version, once it was told.
    pub driver_version: Option<String>,
    /// Newest CUDA version the driver supports, once it was told.
    pub cuda_version: Option<String>,
    /// Cards in the driver's order; one that vanished keeps its place until it returns.
    pub cards: Vec<WatchedCard>,
    /// When the last sample that succeeded was taken.
    pub last_answer: Option<Duration>,
    /// Why the latest sample failed; `None` when it did not.
    pub trouble: Option<Trouble>,
}

/// Samples that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What the probe said last.
    pub message: String,
    /// When the first of the failures in a row was seen.
    pub since: Duration,
}

/// One card of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedCard {
    /// As last seen.
    pub usage: CardUsage,
    /// Lately.
    pub trace: Trace,
    /// When it was last seen.
    pub seen: Duration,
    /// Whether it still answers.
    pub presence: Presence,
}

/// Whether a card still answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It does; the figures are of the latest sample.
    Present,
    /// The driver lists it and says that it dropped off the bus.
    Lost,
    /// The driver does not list it any more: unbound, taken from this container, or an instance that was destroyed.
    Gone,
}

impl WatchedCard {
    /// Whether the figures are of the latest sample.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        matches!(self.presence, Presence::Present)
    }

    /// A card that was not seen before.
    fn new(usage: CardUsage, at: Duration) -> Self {
        let presence = if usage.lost { Presence::Lost } else { Presence::Present };
        let mut card = Self { usage, trace: Trace::default(), seen: at, presence };
        card.remember(at);
        card
    }

    /// Takes in what the card says now.
    fn follow(self, usage: CardUsage, at: Duration) -> Self {
        let mut next = if usage.lost {
            // What a lost card says is nothing; what it said before is worth keeping on the screen.
            Self { presence: Presence::Lost, ..self }
        } else {
            Self { usage, trace: self.trace, seen: at, presence: Presence::Present }
        };
        next.remember(at);
        next
    }

    /// Adds the moment to the history.
    fn remember(&mut self, at: Duration) {
        self.trace.push(match self.presence {
            Presence::Present => Point {
                at,
                used: self.usage.memory.known().map(|memory| memory.used),
                utilization: self.usage.utilization_percent.known(),
            },
            Presence::Lost | Presence::Gone => Point { at, used: None, utilization: None },
        });
    }
}

impl Watch {
    /// Vanished cards kept on the screen; MIG instances that are made and destroyed all day must not pile up.
    const MAX_VANISHED: usize = 16;

    /// Takes in a sample.
    pub fn absorb(&mut self, sample: Sample) {
        let snapshot = match sample.outcome {
            Ok(snapshot) => snapshot,
            Err(message) => {
                let since = self.trouble.as_ref().map_or(sample.at, |trouble| trouble.since);
                self.trouble = Some(Trouble { message, since });
                for card in &mut self.cards {
                    card.trace.push(Point { at: sample.at, used: None, utilization: None });
                }
                return;
            }
        };
        self.trouble = None;
        self.last_answer = Some(sample.at);
        self.driver_version = snapshot.driver_version.as_ref().known().cloned().or(self.driver_version.take());
        self.cuda_version = snapshot.cuda_version.as_ref().known().cloned().or(self.cuda_version.take());

        let mut before = std::mem::take(&mut self.cards);
        for usage in usages_of(snapshot) {
            // A card whose identity cannot be read (lost, mostly) is taken for the one that had its index.
            let same = |card: &WatchedCard| match &usage.key {
                Some(key) => card.usage.key.as_ref() == Some(key),
                None => card.usage.id == usage.id,
            };
            let known = before.iter().position(same).map(|place| before.remove(place));
            self.cards.push(match known {
                Some(card) => card.follow(usage, sample.at),
                None => WatchedCard::new(usage, sample.at),
            });
        }
        // What is left was there before and is not now.
        before.sort_by_key(|card| std::cmp::Reverse(card.seen));
        before.truncate(Self::MAX_VANISHED);
        for mut card in before {
            card.presence = Presence::Gone;
            card.trace.push(Point { at: sample.at, used: None, utilization: None });
            let place = self.cards.partition_point(|other| other.usage.id <= card.usage.id);
            self.cards.insert(place, card);
        }
    }

    /// The processes of the cards that are present, in no order.
    pub fn processes(&self) -> impl Iterator<Item = ProcessRow<'_>> {
        self.cards.iter().filter(|card| card.is_present()).flat_map(|card| ProcessRow::of(&card.usage))
    }

    /// How old the figures are at `now`, when they are older than the interval explains: three samples missed, and at least two seconds,
    /// so that one slow answer at a short interval is no alarm.
    #[must_use]
    pub fn stale_for(&self, now: Duration, interval: Interval) -> Option<Duration> {
        let age = now.saturating_sub(self.last_answer?);
        (age > Self::patience(interval)).then_some(age)
    }

    /// How long from `now` the figures count as fresh without another answer; `None` before the first.
    #[must_use]
    pub fn fresh_for(&self, now: Duration, interval: Interval) -> Option<Duration> {
        Some((self.last_answer? + Self::patience(interval)).saturating_sub(now))
    }

    fn patience(interval: Interval) -> Duration {
        (interval.time() * 3).max(Duration::from_secs(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{CardState, Reading, Snapshot};

    fn card(index: u32, uuid: &str) -> CardState {
        CardState {
            index,
            uuid: Reading::Known(uuid.to_owned()),
            name: Reading::Known("NVIDIA A10".to_owned()),
            pci_bus_id: Reading::Unsupported,
            compute_capability: Reading::Unsupported,
            memory: Reading::Denied,
            processes: Reading::Denied,
            mig: Reading::Unsupported,
            pcie: Reading::Unsupported,
            temperature_celsius: Reading::Unsupported,
            power_milliwatts: Reading::Unsupported,
            utilization_percent: Reading::Known(50),
            vitals: Default::default(),
        }
    }

    fn sample(second: u64, cards: Vec<CardState>) -> Sample {
        let snapshot =
            Snapshot { driver_version: Reading::Failed, cuda_version: Reading::Failed, cards, peers: Vec::new() };
        Sample { at: Duration::from_secs(second), outcome: Ok(snapshot) }
    }

    fn failure(second: u64) -> Sample {
        Sample { at: Duration::from_secs(second), outcome: Err("gone".to_owned()) }
    }

    #[test]
    fn a_card_that_vanishes_keeps_its_place_and_its_history() {
        let mut watch = Watch::default();
        watch.absorb(sample(0, vec![card(0, "a"), card(1, "b"), card(2, "c")]));
        // The driver renumbers what is left.
        watch.absorb(sample(1, vec![card(0, "a"), card(1, "c")]));
        let seen: Vec<_> =
            watch.cards.iter().map(|c| (c.usage.key.as_deref().unwrap_or("?"), c.is_present())).collect();
        assert_eq!(seen, [("a", true), ("c", true), ("b", false)]);
        watch.absorb(sample(2, vec![card(0, "a"), card(1, "b"), card(2, "c")]));
        let seen: Vec<_> = watch
            .cards
            .iter()
            .map(|c| (c.usage.key.as_deref().unwrap_or("?"), c.is_present(), c.trace.len()))
            .collect();
        assert_eq!(seen, [("a", true, 3), ("b", true, 3), ("c", true, 3)]);
        let gaps: Vec<_> = watch.cards[1].trace.latest(3).map(|p| p.utilization).collect();
        assert_eq!(gaps, [Some(50), None, Some(50)]);
    }

    #[test]
    fn a_lost_card_keeps_its_name_and_last_figures() {
        let mut watch = Watch::default();
        watch.absorb(sample(0, vec![card(0, "a"), card(1, "b")]));
        watch.absorb(sample(1, vec![card(0, "a"), CardState::unreadable(1, Reading::Lost)]));
        let lost = &watch.cards[1];
        assert_eq!((lost.usage.key.as_deref(), lost.presence), (Some("b"), Presence::Lost));
        assert_eq!((lost.seen, lost.trace.len()), (Duration::ZERO, 2));
        watch.absorb(sample(2, vec![card(0, "a"), card(1, "b")]));
        assert_eq!((watch.cards.len(), watch.cards[1].presence), (2, Presence::Present));

        // Lost from the start: there is nothing to keep, and still one row for it.
        let mut watch = Watch::default();
        watch.absorb(sample(0, vec![CardState::unreadable(0, Reading::Lost)]));
        watch.absorb(sample(1, vec![CardState::unreadable(0, Reading::Lost)]));
        assert_eq!((watch.cards.len(), watch.cards[0].presence), (1, Presence::Lost));
    }

    #[test]
    fn failures_keep_the_last_figures_and_count_from_the_first() {
        let mut watch = Watch::default();
        watch.absorb(sample(0, vec![card(0, "a")]));
        watch.absorb(failure(5));
        watch.absorb(failure(6));
        assert_eq!(watch.trouble, Some(Trouble { message: "gone".into(), since: Duration::from_secs(5) }));
        assert_eq!(watch.cards.len(), 1);
        assert_eq!(watch.last_answer, Some(Duration::ZERO));
        watch.absorb(sample(7, vec![card(0, "a")]));
        assert_eq!(watch.trouble, None);
    }

    #[test]
    fn vanished_instances_do_not_pile_up() {
        let mut watch = Watch::default();
        for second in 0..100 {
            watch.absorb(sample(second, vec![card(0, &format!("instance {second}"))]));
        }
        assert_eq!(watch.cards.len(), 1 + Watch::MAX_VANISHED);
        // The latest to go are the ones kept.
        assert!(watch.cards.iter().any(|card| card.usage.key.as_deref() == Some("instance 98")));
        assert!(!watch.cards.iter().any(|card| card.usage.key.as_deref() == Some("instance 5")));
    }

    #[test]
    fn figures_are_stale_after_three_missed_samples() {
        let mut watch = Watch::default();
        assert_eq!(watch.stale_for(Duration::from_secs(100), Interval::default()), None);
        watch.absorb(sample(10, vec![card(0, "a")]));
        let stale = |second, interval| watch.stale_for(Duration::from_secs(second), interval);
        assert_eq!(stale(13, Interval::default()), None);
        assert_eq!(stale(14, Interval::default()), Some(Duration::from_secs(4)));
        assert_eq!(stale(12, Interval::MIN), None);
        assert_eq!(stale(13, Interval::MIN), Some(Duration::from_secs(3)));
        assert_eq!(stale(180, Interval::MAX), None);
    }
}
