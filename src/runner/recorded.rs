//! A probe whose answers are kept.
#![expect(clippy::disallowed_methods, reason = "stamps samples by the clock")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::hardware::Snapshot;
use crate::monitor::Sample;
use crate::monitor::recording::Recorder;
use crate::probe::{Probe, ProbeError};

/// Hands every answer of a probe to a recording on its way.
pub struct RecordingProbe {
    probe: Box<dyn Probe + Send>,
    recorder: Arc<Mutex<Recorder>>,
    start: Instant,
}

impl RecordingProbe {
    /// Records what a probe answers from now on; whoever shares the recorder may add marks.
    #[must_use]
    pub fn new(probe: Box<dyn Probe + Send>, recorder: Arc<Mutex<Recorder>>) -> Self {
        Self { probe, recorder, start: Instant::now() }
    }
}

impl Probe for RecordingProbe {
    fn snapshot(&mut self) -> Result<Snapshot, ProbeError> {
        let answer = self.probe.snapshot();
        let outcome = answer.as_ref().map(Clone::clone).map_err(ToString::to_string);
        let sample = Sample { at: self.start.elapsed(), outcome };
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner).sample(&sample);
        answer
    }
}
