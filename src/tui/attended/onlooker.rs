//! What the user sees beside the work, and how far they have scrolled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{LogLine, Question, Tone};
use crate::hardware::Reading;
use crate::monitor::alarm::{Limit, Rule, Watchman};
use crate::monitor::{Analysis, Expectation, Sample, Watch};
use crate::units::Bytes;

/// Cards, plan and scroll positions of a screen of work in progress.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Onlooker {
    /// The cards; empty where none can be asked.
    pub cards: Watch,
    /// What a plan predicts.
    pub expectation: Option<Arc<Expectation>>,
    /// Whether cards that the plan does not count on are left out.
    pub planned_only: bool,
    /// What the last minute says.
    pub analysis: Analysis,
    /// The card that must be visible, when not all fit: its place on the screen.
    pub card: usize,
    /// Lines that the log is scrolled back.
    pub back: usize,
    /// Lines that the ending is scrolled down.
    pub down: usize,
    /// What is worth a line in the log when it happens to a card.
    pub watchman: Watchman,
    /// Strangers that were told of, or were there from the begin; `None` before the first sample.
    pub strangers: Option<BTreeSet<(u32, u32)>>,
    /// What the user was asked.
    pub question: Option<Question>,
}

impl Onlooker {
    /// Time over which growth is judged.
    const WINDOW: Duration = Duration::from_secs(60);

    /// More than this above the plan is worth a line.
    const OVER_PLAN: Bytes = Bytes::gib(1);
    /// Less than this share of a card free is worth a line.
    const HEADROOM: f64 = 0.02;

    /// With a plan to lay over the cards.
    #[must_use]
    pub fn with_plan(expectation: Option<Expectation>) -> Self {
        let rules =
            vec![Rule::Headroom(Limit::Share(Self::HEADROOM)), Rule::OverPlan(Self::OVER_PLAN), Rule::Ecc, Rule::Lost];
        Self { expectation: expectation.map(Arc::new), watchman: Watchman::new(rules), ..Self::default() }
    }

    /// Takes in what the cards tell, and returns what is news of it.
    pub fn absorb(&mut self, sample: Sample) -> Vec<LogLine> {
        let at = sample.at;
        self.cards.absorb(sample);
        let plan = self.expectation.as_deref();
        self.analysis = Analysis::of(&self.cards, Self::WINDOW, plan);
        let raised = self.watchman.judge(&self.cards, &self.analysis, plan, at);
        raised.iter().map(|raised| LogLine::new(Tone::Warning, raised.to_string())).collect()
    }

    /// The same where the memory of some processes, and not of those that bear this tool's name, is the work's own.
    pub fn absorb_of(&mut self, sample: Sample, ours: &[u32]) -> Vec<LogLine> {
        let mut news = self.absorb(sample);
        news.extend(self.newcomers(ours));
        for card in &mut self.cards.cards {
            let (Reading::Known(memory), Reading::Known(processes)) = (&mut card.usage.memory, &card.usage.processes)
            else {
                continue;
            };
            let own = processes.iter().filter(|process| ours.contains(&process.pid));
            let own = own.fold(Reading::Known(Bytes::ZERO), |sum, process| {
                sum.and_then(|sum| process.used.map(|used| sum + used))
            });
            // The list and the total are two calls: what grew between them must not make the part larger than the whole.
            memory.own = own.map(|bytes| bytes.min(memory.used));
            memory.others = memory.own.map(|bytes| memory.used.saturating_sub(bytes));
        }
        news
    }

    /// Processes of others that hold memory now and did not before.
    fn newcomers(&mut self, ours: &[u32]) -> Vec<LogLine> {
        if self.cards.last_answer.is_none() {
            return Vec::new();
        }
        let is_first = self.strangers.is_none();
        let known = self.strangers.get_or_insert_default();
        let mut news = Vec::new();
        for card in self.cards.cards.iter().filter(|card| card.is_present()) {
            let processes = card.usage.processes.as_ref().known().map(Vec::as_slice).unwrap_or_default();
            for process in processes.iter().filter(|process| !ours.contains(&process.pid)) {
                if !known.insert((card.usage.id.index, process.pid)) || is_first {
                    continue;
                }
                let name = process.name.as_deref().unwrap_or("not visible from here");
                let held = process.used.known().map_or_else(String::new, |bytes| format!(" with {bytes:.2}"));
                let text = format!("process {} ({name}) came to card {}{held}", process.pid, card.usage.id);
                news.push(LogLine::new(Tone::Warning, text));
            }
        }
        news
    }

    /// Places of the cards as they are shown: those of the plan first.
    #[must_use]
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.cards.cards.len()).collect();
        if let Some(plan) = &self.expectation {
            let is_planned = |place: &usize| plan.card(&self.cards.cards[*place].usage).is_some();
            order.sort_by_key(|place| !is_planned(place));
            if self.planned_only && order.iter().any(is_planned) {
                order.retain(is_planned);
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{CardState, MemoryState, ProcessState, Snapshot};

    fn sample(second: u64, processes: &[(u32, u64)]) -> Sample {
        let process = |(pid, gib): &(u32, u64)| ProcessState {
            pid: *pid,
            used: Reading::Known(Bytes::gib(*gib)),
            name: Some("python3".to_owned()),
            command: None,
            user: None,
            orphan: false,
            gpu_instance: None,
        };
        let used = Bytes::gib(processes.iter().map(|(_, gib)| gib).sum());
        let mut card = CardState::unreadable(0, Reading::Unsupported);
        card.memory = Reading::Known(MemoryState {
            total: Bytes::gib(24),
            reserved: Reading::Known(Bytes::ZERO),
            used,
            free: Bytes::gib(24).saturating_sub(used),
        });
        card.processes = Reading::Known(processes.iter().map(process).collect());
        let (driver_version, cuda_version) = (Reading::Denied, Reading::Denied);
        let snapshot = Snapshot { driver_version, cuda_version, cards: vec![card], peers: Vec::new() };
        Sample { at: Duration::from_secs(second), outcome: Ok(snapshot) }
    }

    #[test]
    fn own_memory_is_that_of_the_named_processes() {
        let mut onlooker = Onlooker::default();
        onlooker.absorb_of(sample(0, &[(7, 4), (8, 5), (9, 1)]), &[7, 9]);
        let memory = onlooker.cards.cards[0].usage.memory.known().unwrap();
        assert_eq!((memory.own.known(), memory.others.known()), (Some(Bytes::gib(5)), Some(Bytes::gib(5))));
    }

    #[test]
    fn strangers_are_told_of_once_and_not_those_that_were_there() {
        let mut onlooker = Onlooker::default();
        let mut told = |second, processes: &[(u32, u64)]| {
            let news = onlooker.absorb_of(sample(second, processes), &[7]);
            news.into_iter().map(|line| line.text).collect::<Vec<_>>()
        };
        assert_eq!(told(0, &[(8, 2)]), Vec::<String>::new());
        assert_eq!(told(1, &[(8, 2), (7, 3)]), Vec::<String>::new());
        assert_eq!(told(2, &[(8, 2), (7, 3), (9, 4)]), ["process 9 (python3) came to card 0 with 4.00 GiB"]);
        assert_eq!(told(3, &[(8, 2), (7, 3), (9, 4)]), Vec::<String>::new());
    }

    #[test]
    fn a_card_that_fills_up_is_told_of_once() {
        let mut onlooker = Onlooker::with_plan(None);
        let mut count = |second, gib| onlooker.absorb(sample(second, &[(7, gib)])).len();
        assert_eq!([count(0, 4), count(1, 24), count(2, 24), count(3, 4), count(4, 24)], [0, 1, 0, 0, 1]);
    }
}
