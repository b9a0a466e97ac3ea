//! What the user sees beside the work, and how far they have scrolled.

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
        let news = self.absorb(sample);
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
