//! Carries a load out, with what looks on: bars or a screen, NVML, the picture.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cards::Backend;
use super::nvml::Nvml;
use super::screen::Screen;
use super::watch::{Bystander, Journal, Watcher};
use super::{LoadArgs, VerifyChoice, history};
use crate::cli::{Output, Problem, picture};
use crate::loader::reader::{Disk, Storage};
use crate::loader::{Generated, LoadFailure, LoadOptions, LoadOutcome, Progress, Verify, load};
use crate::placement::Placement;
use crate::report::{LoadReport, PlanReport};

/// What a load did, or why it failed.
pub(super) type LoadResult = Result<LoadOutcome, Box<LoadFailure>>;

/// A load that is ready to be carried out.
pub(super) struct Work<'a> {
    /// As typed.
    pub args: &'a LoadArgs,
    /// Its cards.
    pub backend: &'a Backend,
    /// Which byte goes where.
    pub placement: &'a Placement,
    /// Stops it.
    pub cancel: &'a Arc<AtomicBool>,
    /// Whether it has the whole terminal.
    pub on_screen: bool,
}

impl Work<'_> {
    fn options(&self) -> LoadOptions {
        LoadOptions {
            staging: self.args.staging,
            workers: self.args.readers.map(NonZero::get),
            pack_below: self.backend.pack_below(),
            verify: match self.args.verify {
                VerifyChoice::None => Verify::None,
                VerifyChoice::Sample => Verify::Sample,
                VerifyChoice::Full => Verify::Full,
                VerifyChoice::Checksum => Verify::Checksum,
            },
            cancel: Arc::clone(self.cancel),
            ..LoadOptions::default()
        }
    }

    /// Runs the load on a thread of its own while this one draws. A screen stays until its user has seen the report.
    pub fn execute(
        &self,
        plan: PlanReport,
        output: &mut Output,
        report: impl FnOnce(PlanReport, &LoadResult, &Nvml) -> LoadReport,
    ) -> Result<(LoadResult, LoadReport), Problem> {
        let Self { args, backend, placement, cancel, on_screen } = *self;
        let options = self.options();
        let progress = Progress::new(placement);
        let nvml = Nvml::open(backend);
        let journal = Journal::start();
        let disk = Disk { io: args.io };
        let generated = args.synthetic.then(|| Generated::new(&placement.files));
        let storage: &dyn Storage = generated.as_ref().map_or(&disk, |generated| generated);
        let bystander = Bystander { nvml: &nvml, journal: &journal, hold: args.hold, stop: cancel, screen: on_screen };
        let title = plan.model.id.clone().unwrap_or_else(|| plan.model.architecture.clone());
        let watcher = Watcher { progress: &progress, cancel, title: &title, backend };
        let failed = |error: io::Error| Problem::cannot_tell(format!("the terminal fails: {error}"));
        let mut screen = if on_screen {
            let theme = args.screen.theme()?;
            Some(Screen::open(theme, &watcher, &journal, &plan, args.with.into(), args.hold).map_err(failed)?)
        } else {
            None
        };
        let done = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            let work = scope.spawn(|| load(placement, backend.cards(), storage, &options, &progress, &bystander));
            let (done, plan) = (&done, &plan);
            let chronicle =
                args.chart.is_some().then(|| scope.spawn(|| history::follow(&progress, backend, plan, done)));
            let drawn = match &mut screen {
                Some(screen) => screen.follow(&work),
                None => watcher.bars(&work, output.interactive),
            };
            let ended = work.join();
            done.store(true, Ordering::Relaxed);
            if let (Some(path), Some(Ok(history))) = (&args.chart, chronicle.map(std::thread::ScopedJoinHandle::join)) {
                picture::write(&history.timeline(), path, args.dark)?;
            }
            match (ended, drawn) {
                (Ok(result), Ok(())) => Ok(result),
                (Ok(_), Err(error)) => Err(failed(error)),
                (Err(_), _) => {
                    Err(Problem::cannot_tell("the loading thread ended unexpectedly: this is a fault of the program"))
                }
            }
        })?;
        let report = report(plan, &result, &nvml);
        if let Some(screen) = screen {
            screen.end(&report);
        }
        Ok((result, report))
    }
}
