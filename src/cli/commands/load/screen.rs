//! `load --tui`: ranks, cards under the plan's outline, notes as they come, and the verdict, on the whole terminal.
#![expect(clippy::disallowed_methods, reason = "measures the time that the screen shows")]

use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGTERM;
use signal_hook::low_level::raise;

use super::cards::Backend;
use super::hold::Hold;
use super::watch::{Journal, LOOK, Watcher, Work};
use crate::hardware::{CardState, MemoryState, ProcessState, Reading, Snapshot};
use crate::loader::device::DeviceKind;
use crate::loader::{Phase, ProgressSnapshot};
use crate::monitor::{Expectation, ExpectedCard, OWN_NAME, Sample};
use crate::placement::With;
use crate::probe::{NvmlProbe, Probe, Wanted};
use crate::report::{LoadReport, PlanReport};
use crate::tui::Theme;
use crate::tui::load::{Ending, LoadScreen, LoadView, LogLine, RankProgress, Step, Tone, Wish};
use crate::units::Bytes;

/// Time between two looks at cards that no driver has.
const HOST_LOOK: Duration = Duration::from_millis(500);

/// The open screen of a load.
pub(super) struct Screen<'a> {
    screen: LoadScreen,
    watcher: &'a Watcher<'a>,
    journal: &'a Journal,
    with: With,
    hold: Option<Hold>,
    view: LoadView,
    /// Notes of the begin, then what happened to the cards, each with its time.
    notes: Vec<(Duration, LogLine)>,
    host_seen: Option<Duration>,
    /// Whether the user ended the holding, and not the load.
    let_go: bool,
}

impl<'a> Screen<'a> {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn open(
        theme: Theme,
        watcher: &'a Watcher<'a>,
        journal: &'a Journal,
        plan: &PlanReport,
        with: With,
        hold: Option<Hold>,
    ) -> io::Result<Self> {
        let is_cuda = watcher.backend.cards().kind() == DeviceKind::Cuda;
        let probe = is_cuda.then(|| NvmlProbe::open(Wanted::CHANGING).ok()).flatten();
        let mut log = vec![LogLine::new(Tone::Quiet, format!("{}: {}", device_word(is_cuda), watcher.backend.reason))];
        if is_cuda && probe.is_none() {
            log.push(LogLine::new(Tone::Warning, "NVML does not answer: the cards are not shown"));
        }
        let warnings = watcher.backend.warnings.iter().chain(&plan.warnings);
        log.extend(warnings.map(|warning| LogLine::new(Tone::Warning, warning)));
        let probe = probe.map(|probe| Box::new(probe) as Box<dyn Probe + Send>);
        let screen = LoadScreen::open(theme, probe, Some(expectation(plan, watcher.backend)))?;
        let view = LoadView { title: watcher.title.to_owned(), ..LoadView::default() };
        let notes = log.into_iter().map(|line| (Duration::ZERO, line)).collect();
        Ok(Self { screen, watcher, journal, with, hold, view, notes, host_seen: None, let_go: false })
    }

    /// Paints until the load ends.
    ///
    /// # Errors
    /// When the terminal goes away.
    pub fn follow(&mut self, work: &Work<'_>) -> io::Result<()> {
        while !work.is_finished() {
            self.look();
            match self.screen.show(self.view.clone())? {
                Wish::GoOn | Wish::Leave => {}
                // Told once more, it ends at once: a driver that hangs must not hold whoever waits for it.
                Wish::Stop | Wish::Interrupt | Wish::Kill => {
                    self.let_go |= self.view.is_held;
                    self.view.was_told = true;
                    raise(SIGTERM)?;
                }
            }
            sleep(LOOK);
        }
        self.look();
        Ok(())
    }

    /// Shows the verdict until a key. Leaves at once when nobody looks, or when the load was told to stop.
    pub fn end(mut self, report: &LoadReport) {
        let stop = || self.watcher.cancel.load(Ordering::Relaxed);
        if !io::stdin().is_terminal() || (stop() && !self.let_go) {
            return;
        }
        self.watcher.cancel.store(false, Ordering::Relaxed);
        self.view.is_held = false;
        self.view.ending = Some(Ending::of_load(report));
        while !stop() {
            match self.screen.show(self.view.clone()) {
                Ok(Wish::Leave) | Err(_) => return,
                Ok(_) => sleep(LOOK),
            }
        }
    }

    fn look(&mut self) {
        let now = self.watcher.progress.snapshot();
        let elapsed = self.journal.elapsed();
        let steps = self.journal.ended();
        let mut news = self.screen.look();
        let is_due = self.host_seen.is_none_or(|seen| elapsed.saturating_sub(seen) >= HOST_LOOK);
        if self.watcher.backend.cards().kind() == DeviceKind::Host && is_due {
            self.host_seen = Some(elapsed);
            news.extend(self.screen.absorb(Sample { at: elapsed, outcome: Ok(host_cards(self.watcher, &now)) }));
        }
        self.notes.extend(news.into_iter().map(|line| (elapsed, timed(elapsed, line.tone, &line.text))));
        let steps_told = steps.iter().map(|(at, phase)| (*at, timed(*at, Tone::Step, super::history::step(*phase))));
        let mut log: Vec<(Duration, LogLine)> = self.notes.iter().cloned().chain(steps_told).collect();
        log.sort_by_key(|(at, _)| *at);
        self.view.log = log.into_iter().map(|(_, line)| line).collect();
        self.view.steps = self.steps(&steps);
        self.view.is_held = self.hold.is_some() && now.ended == Some(Phase::Peak);
        self.view.elapsed = elapsed;
        let phase = self.view.steps.last().map_or_else(String::new, |step| step.name.clone());
        self.view.ranks = now
            .ranks
            .iter()
            .map(|rank| RankProgress {
                rank: rank.rank,
                card: self.watcher.device(rank.device),
                done: rank.placed,
                total: rank.total,
                phase: phase.clone(),
            })
            .collect();
    }

    /// The steps that began; those without anything to do are left out.
    fn steps(&self, ended: &[(Duration, Phase)]) -> Vec<Step> {
        let begin = std::iter::once((Duration::ZERO, "checking"));
        let mut steps: Vec<Step> = Vec::new();
        for (at, name) in begin.chain(ended.iter().map(|(at, phase)| (*at, self.after(*phase)))) {
            if steps.last().is_none_or(|last| last.name != name) {
                steps.push(Step { name: name.to_owned(), at: Some(at) });
            }
        }
        steps
    }

    /// What is going on once a step has ended.
    fn after(&self, phase: Phase) -> &'static str {
        let on_cards = if self.hold.is_some() { "held" } else { "freeing" };
        match (phase, self.with) {
            (Phase::Checked, _) => "opening",
            (Phase::Opened, _) => "allocating",
            (Phase::Allocated, _) => "loading",
            (Phase::Loaded, _) => "verifying",
            (Phase::Verified, With::Kv | With::All) => "KV pool",
            (Phase::Pooled, With::All) => "workspace",
            (Phase::Verified | Phase::Pooled | Phase::Peak, _) => on_cards,
            (Phase::Freed | Phase::Released, _) => "freed",
        }
    }
}

/// A line with its time.
fn timed(at: Duration, tone: Tone, text: &str) -> LogLine {
    LogLine::new(tone, format!("{:>7.2} s  {text}", at.as_secs_f64()))
}

const fn device_word(is_cuda: bool) -> &'static str {
    if is_cuda { "cuda" } else { "host" }
}

/// The plan by the load's cards: ranks that share one are added up.
fn expectation(plan: &PlanReport, backend: &Backend) -> Expectation {
    let Expectation { title, verdict, cards: planned } = Expectation::of(plan);
    let mut cards: Vec<ExpectedCard> = Vec::new();
    for card in planned {
        let device = backend.device_of_rank.get(card.place as usize).copied().unwrap_or_default();
        let place = u32::try_from(device).unwrap_or(u32::MAX);
        match cards.iter_mut().find(|known| known.place == place) {
            None => cards.push(ExpectedCard { place, ..card }),
            Some(known) => {
                for part in card.parts {
                    match known.parts.iter_mut().find(|other| other.part == part.part) {
                        Some(other) => other.bytes += part.bytes,
                        None => known.parts.push(part),
                    }
                }
                known.ranks.extend(card.ranks);
                known.total += card.total;
                known.high += card.high;
            }
        }
    }
    Expectation { title, verdict, cards }
}

/// Host memory that stands in for cards, as a driver would tell of it: what has arrived is what is in use.
fn host_cards(watcher: &Watcher<'_>, now: &ProgressSnapshot) -> Snapshot {
    let mut devices: Vec<usize> = now.ranks.iter().map(|rank| rank.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let is_freed = matches!(now.ended, Some(Phase::Freed | Phase::Released));
    let card = |device: usize| {
        let held = now.ranks.iter().filter(|rank| rank.device == device && !is_freed).map(|rank| rank.placed);
        let used: Bytes = held.sum();
        let identity = watcher.backend.cards().identity(device);
        let total = identity.as_ref().map_or(used, |identity| identity.total);
        let mut state = CardState::unreadable(u32::try_from(device).unwrap_or(u32::MAX), Reading::Unsupported);
        state.name = Reading::Known("host memory".to_owned());
        state.memory = Reading::Known(MemoryState {
            total,
            reserved: Reading::Known(Bytes::ZERO),
            used,
            free: total.saturating_sub(used),
        });
        state.processes = Reading::Known(vec![ProcessState {
            pid: std::process::id(),
            used: Reading::Known(used),
            name: Some(OWN_NAME.to_owned()),
            command: None,
            user: None,
            orphan: false,
            gpu_instance: None,
        }]);
        state
    };
    let (driver_version, cuda_version) = (Reading::Unsupported, Reading::Unsupported);
    Snapshot { driver_version, cuda_version, cards: devices.into_iter().map(card).collect(), peers: Vec::new() }
}

impl Journal {
    /// Begins now.
    pub fn start() -> Self {
        Self { start: Instant::now(), ended: std::sync::Mutex::default() }
    }
}
