//! What the screen of `top` shows.

use std::sync::Arc;
use std::time::Duration;

use super::{Mode, Playback, View};
use crate::monitor::alarm::{Rule, Watchman};
use crate::monitor::recording::Mark;
use crate::monitor::{Analysis, CardId, Expectation, Interval, ProcessRow, SortOrder, Watch, sort};

/// Columns and rows of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// The part of the overview that keys go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    /// The blocks of the cards.
    #[default]
    Cards,
    /// The list of processes.
    Processes,
}

/// The watch as it was when the screen was paused. Sampling goes on behind it, so that the history has no hole afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    /// What was known.
    pub watch: Watch,
    /// What was made of it.
    pub analysis: Analysis,
    /// When.
    pub at: Duration,
}

/// A recording in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingNote {
    /// Name of the file.
    pub name: String,
    /// Bytes written so far.
    pub bytes: u64,
    /// Why nothing is written any more.
    pub failure: Option<String>,
}

/// A process that the user wants to end, waiting for a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// Everything that decides what is painted, except how it looks.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Where the figures come from, for the header: `driver`, or the name of a recording.
    pub source: String,
    /// Size of the terminal.
    pub size: Size,
    /// Time from the start of the watch.
    pub now: Duration,
    /// How often the cards are asked.
    pub interval: Interval,
    /// Time over which growth and imbalance are judged.
    pub window: Duration,
    /// What is known.
    pub live: Watch,
    /// What the last window says.
    pub analysis: Analysis,
    /// What a plan predicts.
    pub expectation: Option<Arc<Expectation>>,
    /// What must not happen.
    pub watchman: Watchman,
    /// Moments with a name, the latest [`State::MAX_MARKS`].
    pub marks: Vec<Mark>,
    /// What is shown instead while paused.
    pub frozen: Option<Box<Frozen>>,
    /// A recording on the screen in place of the cards.
    pub playback: Option<Playback>,
    /// A recording that is being written.
    pub recording: Option<RecordingNote>,
    /// The screen.
    pub view: View,
    /// Where keys go in the overview.
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
    /// What processes must contain to be listed.
    pub filter: String,
    /// Whether the filter is being typed.
    pub typing: bool,
    /// How far the graphs go back: each zoom four times as far as the one before.
    pub zoom: u8,
    /// Whether processes may be ended.
    pub may_kill: bool,
    /// A question that waits for its answer.
    pub question: Option<Question>,
    /// What happened to the last wish, and when it was said.
    pub message: Option<(String, Duration)>,
}

impl State {
    /// Marks kept.
    pub const MAX_MARKS: usize = 512;
    /// How long a message stays.
    const MESSAGE: Duration = Duration::from_secs(5);

    /// A screen before its first sample.
    #[must_use]
    pub fn new(source: String, size: Size, interval: Interval) -> Self {
        Self {
            source,
            size,
            now: Duration::ZERO,
            interval,
            window: Duration::from_secs(60),
            live: Watch::default(),
            analysis: Analysis::default(),
            expectation: None,
            watchman: Watchman::default(),
            marks: Vec::new(),
            frozen: None,
            playback: None,
            recording: None,
            view: View::default(),
            focus: Pane::default(),
            help: false,
            card: 0,
            process: 0,
            process_key: None,
            sort: SortOrder::default(),
            filter: String::new(),
            typing: false,
            zoom: 0,
            may_kill: false,
            question: None,
            message: None,
        }
    }

    /// The same with rules to watch over.
    #[must_use]
    pub fn with_rules(mut self, rules: Vec<Rule>) -> Self {
        self.watchman = Watchman::new(rules);
        self
    }

    /// What is to be painted: the watch as it is, or as it was when paused.
    #[must_use]
    pub fn shown(&self) -> &Watch {
        self.frozen.as_ref().map_or(&self.live, |frozen| &frozen.watch)
    }

    /// The judgement on what is painted.
    #[must_use]
    pub fn shown_analysis(&self) -> &Analysis {
        self.frozen.as_ref().map_or(&self.analysis, |frozen| &frozen.analysis)
    }

    /// The time to which ages on the screen refer.
    #[must_use]
    pub fn shown_at(&self) -> Duration {
        self.frozen.as_ref().map_or(self.now, |frozen| frozen.at)
    }

    /// What keys mean now.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match (&self.question, self.typing) {
            (Some(_), _) => Mode::Asking,
            (None, true) => Mode::Typing,
            (None, false) => Mode::Commands,
        }
    }

    /// The pane that keys go to.
    #[must_use]
    pub const fn pane(&self) -> Pane {
        match self.view {
            View::Overview => self.focus,
            View::Card | View::Processes => Pane::Processes,
            View::Timeline | View::Plan => Pane::Cards,
        }
    }

    /// The processes in the order of the list: those of the screen's card, those that the filter leaves.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessRow<'_>> {
        let mut rows: Vec<_> = self.shown().processes().collect();
        if self.view == View::Card {
            let card = self.shown().cards.get(self.card).map(|card| card.usage.id);
            rows.retain(|row| Some(row.card) == card);
        }
        if !self.filter.is_empty() {
            let wanted = self.filter.to_lowercase();
            rows.retain(|row| row.contains(&wanted));
        }
        sort(&mut rows, self.sort);
        rows
    }

    /// How old the figures are, when they are too old to be taken for the present.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        // Paused or replayed on purpose: old figures are what was asked for.
        if self.frozen.is_some() || self.playback.is_some() {
            return None;
        }
        self.live.stale_for(self.now, self.interval)
    }

    /// How long all that is shown stays true when nothing happens: until figures are stale, and then as long as their age is told in
    /// whole seconds; until a message is no news any more.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        const SECOND: Duration = Duration::from_secs(1);
        const LONG: Duration = Duration::from_secs(3600);
        let message = match &self.message {
            Some((_, at)) if self.fresh_message().is_some() => (*at + Self::MESSAGE).saturating_sub(self.now),
            _ => LONG,
        };
        let figures = if self.frozen.is_some() || self.playback.is_some() {
            LONG
        } else if self.trouble().is_some() {
            let age = self.now.saturating_sub(self.live.last_answer.unwrap_or_default());
            SECOND - Duration::from_nanos(u64::from(age.subsec_nanos()))
        } else {
            self.live.fresh_for(self.now, self.interval).unwrap_or(SECOND)
        };
        // A moment later, so that it is over by then.
        figures.min(message) + Duration::from_millis(1)
    }

    /// One sentence when the figures cannot be trusted; `None` when they can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
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

    /// The line below the header: trouble first, then alarms, then what happened to the last wish.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        if let Some(trouble) = self.trouble() {
            return Some(trouble);
        }
        if let Some(failure) = self.recording.as_ref().and_then(|recording| recording.failure.as_ref()) {
            return Some(format!("the recording ends here: {failure}"));
        }
        if let Some((first, rest)) = self.watchman.raised().split_first() {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            return Some(format!("{first}{more}"));
        }
        self.fresh_message().map(str::to_owned)
    }

    /// What happened to the last wish, while it is news.
    #[must_use]
    pub fn fresh_message(&self) -> Option<&str> {
        let (text, at) = self.message.as_ref()?;
        (self.now.saturating_sub(*at) <= Self::MESSAGE).then_some(text)
    }

    /// Says something for a few seconds.
    pub fn say(&mut self, text: impl Into<String>) {
        self.message = Some((text.into(), self.now));
    }

    /// Judges the watch anew and returns the marks of what was raised by its latest sample.
    pub fn judge(&mut self) -> Vec<Mark> {
        let expectation = self.expectation.as_deref();
        self.analysis = Analysis::of(&self.live, self.window, expectation);
        let fresh = self.watchman.judge(&self.live, &self.analysis, expectation, self.now);
        let marks: Vec<Mark> = fresh.iter().map(|raised| raised.mark(self.now)).collect();
        marks.iter().cloned().for_each(|mark| self.add_mark(mark));
        marks
    }

    /// Keeps a mark, and forgets the oldest beyond the limit.
    pub fn add_mark(&mut self, mark: Mark) {
        if self.marks.len() == Self::MAX_MARKS {
            self.marks.remove(0);
        }
        self.marks.push(mark);
    }

    /// Marks for the timeline: of the recording that is replayed, else of this watch.
    #[must_use]
    pub fn shown_marks(&self) -> &[Mark] {
        self.playback.as_ref().map_or(&self.marks, |playback| playback.replay.marks())
    }
}
