//! Which rules are broken now, since when, and which were not a moment ago.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Limit, Rule};
use crate::hardware::Reading;
use crate::monitor::recording::{Mark, MarkKind};
use crate::monitor::{Analysis, CardId, Expectation, Presence, Watch, WatchedCard};
use crate::units::Bytes;

/// A critical error that the driver reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardEvent {
    /// When, from the start of the watch.
    pub at: Duration,
    /// NVML index of the card.
    pub card: u32,
    /// What happened.
    pub kind: CardEventKind,
}

/// What the driver reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardEventKind {
    /// An Xid with its number: 79 is "fallen off the bus", 31 a page fault, 48 a double-bit error
    /// (<https://docs.nvidia.com/deploy/xid-errors/>).
    Xid(u64),
    /// A memory error of two bits, which cannot be corrected.
    DoubleBitError,
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq)]
pub struct Raised {
    /// The rule.
    pub rule: Rule,
    /// Where; `None` when it is about all cards together.
    pub card: Option<CardId>,
    /// What was seen, in words.
    pub seen: String,
    /// Since when.
    pub since: Duration,
}

/// Watches over the rules. Each sample is judged once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watchman {
    rules: Vec<Rule>,
    raised: Vec<Raised>,
    events: Vec<CardEvent>,
    /// Processes of the first sample; later ones are others.
    first_processes: Option<BTreeSet<u32>>,
    /// Uncorrected errors of each card at the first sample.
    first_errors: Vec<(CardId, u64)>,
}

impl Watchman {
    /// Watches over `rules`.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// What is broken now, in the order of the rules.
    #[must_use]
    pub fn raised(&self) -> &[Raised] {
        &self.raised
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Takes in an event of the driver. It stays: a card that reported one is not well again by itself.
    pub fn report(&mut self, event: CardEvent) {
        self.events.push(event);
    }

    /// Judges the watch after a sample and returns what was raised by it and was not before.
    pub fn judge(
        &mut self,
        watch: &Watch,
        analysis: &Analysis,
        expectation: Option<&Expectation>,
        at: Duration,
    ) -> Vec<Raised> {
        self.remember(watch);
        let mut now: Vec<Raised> = Vec::new();
        for rule in &self.rules {
            for (card, seen) in self.broken(*rule, watch, analysis, expectation) {
                let before = self.raised.iter().find(|raised| raised.rule == *rule && raised.card == card);
                now.push(Raised { rule: *rule, card, seen, since: before.map_or(at, |raised| raised.since) });
            }
        }
        let fresh = now.iter().filter(|raised| {
            !self.raised.iter().any(|before| before.rule == raised.rule && before.card == raised.card)
        });
        let fresh = fresh.cloned().collect();
        self.raised = now;
        fresh
    }

    fn remember(&mut self, watch: &Watch) {
        if self.first_processes.is_none() && watch.last_answer.is_some() {
            self.first_processes = Some(watch.processes().map(|row| row.pid).collect());
        }
        for card in watch.cards.iter().filter(|card| card.is_present()) {
            if let Reading::Known(errors) = card.usage.vitals.uncorrected_errors
                && !self.first_errors.iter().any(|(id, _)| *id == card.usage.id)
            {
                self.first_errors.push((card.usage.id, errors));
            }
        }
    }

    fn broken(
        &self,
        rule: Rule,
        watch: &Watch,
        analysis: &Analysis,
        expectation: Option<&Expectation>,
    ) -> Vec<(Option<CardId>, String)> {
        let present = || watch.cards.iter().filter(|card| card.is_present());
        let each = |judge: &dyn Fn(&WatchedCard) -> Option<String>| {
            present().filter_map(|card| Some((Some(card.usage.id), judge(card)?))).collect::<Vec<_>>()
        };
        let all = |seen: Option<String>| seen.map(|seen| (None, seen)).into_iter().collect::<Vec<_>>();
        match rule {
            Rule::Headroom(limit) => each(&|card| {
                let memory = card.usage.memory.known()?;
                (memory.free < limit.of(memory.capacity)).then(|| format!("{} free", memory.free))
            }),
            Rule::Used(limit) => each(&|card| {
                let memory = card.usage.memory.known()?;
                (memory.used > limit.of(memory.capacity)).then(|| format!("{} in use", memory.used))
            }),
            Rule::OverPlan(limit) => each(&|card| {
                let over = card.usage.memory.known()?.used.delta(expectation?.card(&card.usage)?.total);
                (over.0 > i128::from(limit.0)).then(|| format!("{over} over the plan"))
            }),
            Rule::Growth(limit) => each(&|card| {
                let growth = analysis.card(card.usage.id)?.growth_per_minute?;
                (growth > limit.0 as f64).then(|| format!("grows {} a minute", Bytes(growth as u64)))
            }),
            Rule::Imbalance(limit) => all(match limit {
                Limit::Bytes(limit) => analysis
                    .memory_imbalance
                    .filter(|difference| *difference > limit)
                    .map(|difference| format!("{difference} between the fullest and the emptiest card")),
                Limit::Share(limit) => analysis
                    .memory_imbalance_share
                    .filter(|share| *share > limit)
                    .map(|share| format!("the emptiest card holds {:.0} % less than the fullest", share * 100.0)),
            }),
            Rule::UtilizationImbalance(limit) => all(analysis
                .utilization_imbalance
                .filter(|points| *points > limit)
                .map(|points| format!("{points:.0} points between the busiest and the idlest card"))),
            Rule::Idle(limit) => {
                let busy: Vec<f64> = analysis.cards.iter().filter_map(|card| card.mean_utilization).collect();
                let mean = busy.iter().sum::<f64>() / busy.len().max(1) as f64;
                all((!busy.is_empty() && mean < limit).then(|| format!("{mean:.0} % busy in the mean")))
            }
            Rule::OtherProcess => {
                let known = self.first_processes.as_ref();
                let new = watch.processes().filter(|row| !row.own && known.is_some_and(|k| !k.contains(&row.pid)));
                new.map(|row| {
                    let name = row.name.unwrap_or("not visible from here");
                    (Some(row.card), format!("process {} ({name})", row.pid))
                })
                .collect()
            }
            Rule::Xid => self
                .events
                .iter()
                .map(|event| (Some(CardId { index: event.card, instance: None }), event.kind.to_string()))
                .collect(),
            Rule::Ecc => each(&|card| {
                let errors = card.usage.vitals.uncorrected_errors.known()?;
                let (_, first) = self.first_errors.iter().find(|(id, _)| *id == card.usage.id)?;
                (errors > *first).then(|| format!("{} uncorrected memory errors since the watch began", errors - first))
            }),
            Rule::Lost => watch
                .cards
                .iter()
                .filter_map(|card| match card.presence {
                    Presence::Present => None,
                    Presence::Lost => Some((Some(card.usage.id), "off the bus".to_owned())),
                    Presence::Gone => Some((Some(card.usage.id), "not listed any more".to_owned())),
                })
                .collect(),
        }
    }
}

impl Raised {
    /// As a mark at the moment it was raised.
    #[must_use]
    pub fn mark(&self, at: Duration) -> Mark {
        let kind = match self.rule {
            Rule::Lost => MarkKind::Card,
            Rule::Xid => MarkKind::Xid,
            _ => MarkKind::Alarm,
        };
        Mark { at, kind, text: self.to_string() }
    }
}

impl CardEvent {
    /// As a mark.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { at: self.at, kind: MarkKind::Xid, text: format!("card {}: {}", self.card, self.kind) }
    }
}

/// `Xid 79`.
impl std::fmt::Display for CardEventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Xid(number) => write!(f, "Xid {number}"),
            Self::DoubleBitError => f.write_str("double-bit memory error"),
        }
    }
}

/// `card 2: 0.9 GiB free (headroom < 1 GiB)`.
impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(card) = self.card {
            write!(f, "card {card}: ")?;
        }
        write!(f, "{} ({})", self.seen, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{CardState, ProcessState};
    use crate::monitor::analysis::tests::{card, plan, sample};

    struct Judge {
        watch: Watch,
        man: Watchman,
        plan: Option<Expectation>,
        second: u64,
    }

    impl Judge {
        fn new(rule: &str) -> Self {
            let man = Watchman::new(vec![rule.parse().unwrap()]);
            Self { watch: Watch::default(), man, plan: None, second: 0 }
        }

        fn see(&mut self, cards: Vec<CardState>) -> Vec<String> {
            self.watch.absorb(sample(self.second, cards));
            let at = Duration::from_secs(self.second);
            self.second += 1;
            let analysis = Analysis::of(&self.watch, Duration::from_secs(60), self.plan.as_ref());
            let fresh = self.man.judge(&self.watch, &analysis, self.plan.as_ref(), at);
            fresh.iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn an_alarm_is_new_once_and_ends_by_itself() {
        let mut judge = Judge::new("headroom<1GiB");
        assert_eq!(judge.see(vec![card(0, Bytes::gib(70), 0)]), [""; 0]);
        assert_eq!(judge.see(vec![card(0, Bytes::mib(81_500), 0)]), ["card 0: 420 MiB free (headroom < 1.00 GiB)"]);
        assert_eq!(judge.see(vec![card(0, Bytes::mib(81_500), 0)]), [""; 0]);
        assert_eq!(judge.man.raised()[0].since, Duration::from_secs(1));
        judge.see(vec![card(0, Bytes::gib(1), 0)]);
        assert!(judge.man.raised().is_empty());
    }

    #[test]
    fn shares_are_of_each_card() {
        let mut judge = Judge::new("used>50%");
        assert_eq!(judge.see(vec![card(0, Bytes::gib(39), 0), card(1, Bytes::gib(41), 0)]).len(), 1);
    }

    #[test]
    fn memory_above_the_plan() {
        let mut judge = Judge::new("over-plan>500MiB");
        judge.plan = Some(plan(1, Bytes::gib(60)));
        assert_eq!(judge.see(vec![card(0, Bytes::gib(60) + Bytes::mib(499), 0)]), [""; 0]);
        assert_eq!(judge.see(vec![card(0, Bytes::gib(61), 0)]).len(), 1);
    }

    #[test]
    fn a_leak_is_growth_over_the_window() {
        let mut judge = Judge::new("growth>100MiB/min");
        let mut raised = Vec::new();
        for second in 0..30 {
            raised.extend(judge.see(vec![card(0, Bytes::gib(10) + Bytes::mib(second * 4), 0)]));
        }
        assert_eq!(raised, ["card 0: grows 240 MiB a minute (growth > 100 MiB/min)"]);
    }

    #[test]
    fn imbalance_of_memory_and_of_work() {
        let cards = || vec![card(0, Bytes::gib(40), 90), card(1, Bytes::gib(30), 20)];
        assert_eq!(Judge::new("imbalance>5GiB").see(cards()).len(), 1);
        assert_eq!(Judge::new("imbalance>30%").see(cards()).len(), 0);
        assert_eq!(Judge::new("imbalance>20%").see(cards()).len(), 1);
        assert_eq!(Judge::new("util-imbalance>60%").see(cards()).len(), 1);
        assert_eq!(Judge::new("util<60%").see(cards()).len(), 1);
    }

    #[test]
    fn processes_that_come_later_are_others() {
        let process = |pid| ProcessState {
            pid,
            used: Reading::Known(Bytes::gib(1)),
            name: Some("python3".to_owned()),
            command: None,
            user: None,
            orphan: false,
            gpu_instance: None,
        };
        let mut judge = Judge::new("other-process");
        let with = |pids: &[u32]| {
            let mut card = card(0, Bytes::gib(4), 0);
            card.processes = Reading::Known(pids.iter().map(|pid| process(*pid)).collect());
            vec![card]
        };
        assert_eq!(judge.see(with(&[7])), [""; 0]);
        assert_eq!(judge.see(with(&[7, 8])), ["card 0: process 8 (python3) (other-process)"]);
        judge.see(with(&[7]));
        assert!(judge.man.raised().is_empty());
    }

    #[test]
    fn errors_of_cards_are_told() {
        let mut judge = Judge::new("ecc");
        let with = |errors| {
            let mut card = card(0, Bytes::gib(4), 0);
            card.vitals.uncorrected_errors = Reading::Known(errors);
            vec![card]
        };
        assert_eq!(judge.see(with(3)), [""; 0]);
        assert_eq!(judge.see(with(5)).len(), 1);
        let mut judge = Judge::new("xid");
        judge.man.report(CardEvent { at: Duration::ZERO, card: 1, kind: CardEventKind::Xid(79) });
        assert_eq!(judge.see(with(0)), ["card 1: Xid 79 (xid)"]);
        let mut judge = Judge::new("lost");
        judge.see(vec![card(0, Bytes::gib(1), 0), card(1, Bytes::gib(1), 0)]);
        assert_eq!(judge.see(vec![card(0, Bytes::gib(1), 0)]), ["card 1: not listed any more (lost)"]);
    }
}
