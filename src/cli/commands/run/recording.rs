//! The recording of the cards that a command keeps when it fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcetera::BaseStrategy;

use crate::cli::{Output, Problem};
use crate::monitor::Expectation;
use crate::monitor::recording::{Header, Mark, MarkKind, Recorder};
use crate::probe::Probe;
use crate::runner::{Account, Outcome, RecordingProbe};

/// An open recording, or none where nobody named one and none can be made.
pub(super) struct Recording {
    recorder: Option<Arc<Mutex<Recorder>>>,
    path: Option<PathBuf>,
    is_named: bool,
}

impl Recording {
    /// Begins to record what a probe answers: into the file that was named, else into the user's state folder.
    ///
    /// # Errors
    /// When the file that was named cannot be made.
    pub fn of(
        probe: Box<dyn Probe + Send>,
        named: Option<&Path>,
        expectation: Option<Expectation>,
        output: &mut Output,
    ) -> Result<(Box<dyn Probe + Send>, Self), Problem> {
        let header = Header::now("run", expectation);
        let made = match named {
            Some(path) => Recorder::create(path, &header),
            None => own_place().and_then(|path| Recorder::create(&path, &header)),
        };
        match (made, named) {
            (Ok(recorder), _) => {
                let path = Some(recorder.path().to_owned());
                let recorder = Arc::new(Mutex::new(recorder));
                let probe = Box::new(RecordingProbe::new(probe, Arc::clone(&recorder)));
                Ok((probe, Self { recorder: Some(recorder), path, is_named: named.is_some() }))
            }
            (Err(error), Some(path)) => {
                Err(Problem::usage(format!("the recording `{}` cannot be written: {error}", path.display()))
                    .hint("name a new file: recordings are never written over"))
            }
            (Err(error), None) => {
                output.talk(&format!("shardfit: the cards are not recorded: {error}"));
                Ok((probe, Self::none()))
            }
        }
    }

    /// No recording.
    pub const fn none() -> Self {
        Self { recorder: None, path: None, is_named: false }
    }

    /// Marks what the output told of, so that a replay shows it beside the memory.
    pub fn mark(&self, account: &Account, outcome: &Outcome) {
        let Some(recorder) = &self.recorder else { return };
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        for phase in &account.phases {
            if let Some(at) = phase.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
                recorder.mark(&Mark { at, kind: MarkKind::Phase, text: phase.phase.clone() });
            }
        }
        for seen in &account.observed {
            recorder.mark(&Mark { at: seen.at, kind: MarkKind::Alarm, text: seen.text.clone() });
        }
        for finding in account.diagnosis.as_ref().map(|diagnosis| diagnosis.findings.as_slice()).unwrap_or_default() {
            // Where the line is not to be timed, the failure is that of the end.
            let said = finding.evidence.iter().find(|evidence| evidence.file == super::account::OUTPUT);
            let line = said.map(|evidence| evidence.line);
            let line = line.filter(|line| outcome.log.keeps_number(*line));
            let at = line.and_then(|line| outcome.clock.at(line)).unwrap_or(outcome.time);
            recorder.mark(&Mark { at, kind: MarkKind::OutOfMemory, text: finding.cause.to_string() });
        }
    }

    /// Ends the recording. That of a command that went well goes, unless somebody named it.
    pub fn close(self, went_well: bool, output: &mut Output) {
        drop(self.recorder);
        match self.path {
            Some(path) if self.is_named || !went_well => {
                output.talk(&format!("shardfit: the cards were recorded: `shardfit top --replay {}`", path.display()));
            }
            Some(path) => drop(std::fs::remove_file(path)),
            None => {}
        }
    }
}

/// A new file in the user's state folder.
fn own_place() -> io::Result<PathBuf> {
    let base = etcetera::base_strategy::Xdg::new().map_err(io::Error::other)?;
    let folder = base.state_dir().unwrap_or_else(|| base.data_dir()).join("shardfit");
    std::fs::create_dir_all(&folder)?;
    let seconds = std::time::UNIX_EPOCH.elapsed().map_err(io::Error::other)?.as_secs();
    Ok(folder.join(format!("run-{seconds}-{}.rec", std::process::id())))
}
