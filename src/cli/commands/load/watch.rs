//! What happens beside a load: bars while it runs, a journal of its steps, and the holding at its end.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::thread::{ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::cards::Backend;
use super::hold::Hold;
use super::nvml::Nvml;
use crate::loader::{LoadFailure, LoadOutcome, Observer, Phase, Progress, ProgressSnapshot};

/// Time between two looks at the progress: smooth to the eye, nothing to a core.
pub(super) const LOOK: Duration = Duration::from_millis(60);

/// When each step ended.
pub(super) struct Journal {
    pub(super) start: Instant,
    pub(super) ended: Mutex<Vec<(Duration, Phase)>>,
}

impl Journal {
    /// Time since the begin.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The steps so far.
    pub fn ended(&self) -> Vec<(Duration, Phase)> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, phase: Phase) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push((self.elapsed(), phase));
    }
}

/// Who looks on while a load goes its way: reads NVML between the steps and keeps the shards as long as was asked for.
pub(super) struct Bystander<'a> {
    /// NVML's account.
    pub nvml: &'a Nvml,
    /// When the steps ended.
    pub journal: &'a Journal,
    /// How long everything is held.
    pub hold: Option<Hold>,
    /// Ends the holding.
    pub stop: &'a AtomicBool,
    /// Whether the load has the whole terminal.
    pub screen: bool,
}

impl Observer for Bystander<'_> {
    fn reached(&self, phase: Phase) {
        self.journal.note(phase);
        self.nvml.read(phase);
    }

    fn holding(&self) {
        if let Some(hold) = self.hold {
            hold.wait(self.stop, self.screen);
        }
    }
}

/// The load on its thread.
pub(super) type Work<'scope> = ScopedJoinHandle<'scope, Result<LoadOutcome, Box<LoadFailure>>>;

/// Draws the progress of a load until it ends.
pub(super) struct Watcher<'a> {
    /// Counters that the load writes.
    pub progress: &'a Progress,
    /// Stops the load.
    pub cancel: &'a AtomicBool,
    /// What is loaded.
    pub title: &'a str,
    /// Where it goes.
    pub backend: &'a Backend,
}

impl Watcher<'_> {
    /// One bar a rank on stderr; nothing when that is no terminal.
    pub fn bars(&self, work: &Work<'_>, interactive: bool) -> io::Result<()> {
        if !interactive {
            return Ok(());
        }
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(
            "{prefix} {bar:32} {decimal_bytes:>10}/{decimal_total_bytes:10} {decimal_bytes_per_sec:>12} {msg}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let mut now = self.progress.snapshot();
        let per_rank: Vec<ProgressBar> = now
            .ranks
            .iter()
            .map(|rank| {
                let bar = bars.add(ProgressBar::new(rank.total.0).with_style(style.clone()));
                bar.set_prefix(format!("rank {} → {}", rank.rank, self.device(rank.device)));
                bar
            })
            .collect();
        while !work.is_finished() {
            now = self.progress.snapshot();
            for (bar, rank) in per_rank.iter().zip(&now.ranks) {
                bar.set_position(rank.placed.0);
                bar.set_message(phase_name(&now));
            }
            sleep(LOOK);
        }
        for bar in per_rank {
            bar.finish_and_clear();
        }
        Ok(())
    }

    /// A card's name.
    pub fn device(&self, index: usize) -> String {
        self.backend.cards().identity(index).map_or_else(|_| format!("card {index}"), |identity| identity.to_string())
    }
}

/// What is going on, by the step that ended last.
fn phase_name(now: &ProgressSnapshot) -> &'static str {
    match now.ended {
        None => "checking",
        Some(Phase::Checked) => "opening",
        Some(Phase::Opened) => "allocating",
        Some(Phase::Allocated) => "loading",
        Some(Phase::Loaded) => "verifying",
        Some(Phase::Verified | Phase::Pooled) => "pool",
        Some(Phase::Peak) => "holding",
        Some(Phase::Freed | Phase::Released) => "done",
    }
}
