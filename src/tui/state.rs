//! What the screen of `top` shows.

use std::time::Duration;

use crate::monitor::{CardId, Interval, ProcessRow, SortOrder, Watch, sort};

/// Columns and rows of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// The part of the screen that keys go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    /// The blocks of the cards.
    #[default]
    Cards,
    /// The list of processes.
    Processes,
}

/// The watch as it was when the screen was paused. Sampling goes on behind it, so that the history has no hole afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// What was known.
    pub watch: Watch,
    /// When.
    pub at: Duration,
}

/// Everything that decides what is painted, except how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where the figures come from, for the header: `driver`, or the name of a recording.
    pub source: String,
    /// Size of the terminal.
    pub size: Size,
    /// Time from the start of the watch.
    pub now: Duration,
    /// How often the cards are asked.
    pub interval: Interval,
    /// What is known.
    pub live: Watch,
    /// What is shown instead while paused.
    pub frozen: Option<Box<Frozen>>,
    /// Where keys go.
    pub focus: Pane,
    /// Whether the list of keys lies over the screen.
    pub help: bool,
    /// Place of the selected card.
    pub card: usize,
    /// Place of the selected process in the sorted list.
    pub process: usize,
    /// Which process that is, so that the selection follows it when the order changes.
    pub process_key: Option<(CardId, u32)>,
    /// Order of the processes.
    pub sort: SortOrder,
}

impl State {
    /// A screen before its first sample.
    #[must_use]
    pub fn new(source: String, size: Size, interval: Interval) -> Self {
        Self {
            source,
            size,
            now: Duration::ZERO,
            interval,
            live: Watch::default(),
            frozen: None,
            focus: Pane::default(),
            help: false,
            card: 0,
            process: 0,
            process_key: None,
            sort: SortOrder::default(),
        }
    }

    /// What is to be painted: the watch as it is, or as it was when paused.
    #[must_use]
    pub fn shown(&self) -> &Watch {
        self.frozen.as_ref().map_or(&self.live, |frozen| &frozen.watch)
    }

    /// The time to which ages on the screen refer.
    #[must_use]
    pub fn shown_at(&self) -> Duration {
        self.frozen.as_ref().map_or(self.now, |frozen| frozen.at)
    }

    /// The processes in the order of the list.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessRow> {
        let mut rows = self.shown().processes();
        sort(&mut rows, self.sort);
        rows
    }

    /// How old the figures are, when they are too old to be taken for the present.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        match &self.frozen {
            // Paused on purpose: old figures are what was asked for.
            Some(_) => None,
            None => self.live.stale_for(self.now, self.interval),
        }
    }

    /// One sentence when the figures cannot be trusted; `None` when all is well.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        let watch = self.shown();
        let age = watch.last_answer.map(|at| self.shown_at().saturating_sub(at).as_secs());
        match (&watch.trouble, age, self.stale_for()) {
            (Some(trouble), Some(age), _) => Some(format!("figures are {age} s old: {}", trouble.message)),
            (Some(trouble), None, _) => Some(trouble.message.clone()),
            (None, _, Some(age)) => {
                Some(format!("figures are {} s old: the driver has not answered since", age.as_secs()))
            }
            (None, _, None) => None,
        }
    }
}
