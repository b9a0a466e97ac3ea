//! The cards beside the work, where a screen asks for them itself.

use std::io;
use std::sync::mpsc::{Receiver, channel};

use crate::monitor::{Interval, Sample, Sampler};
use crate::probe::Probe;

/// A sampler, or nothing where the cards cannot be asked.
pub struct Samples(Option<(Sampler, Receiver<Sample>)>);

impl Samples {
    /// Begins to ask a probe.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(probe: Option<Box<dyn Probe + Send>>) -> io::Result<Self> {
        let Some(probe) = probe else { return Ok(Self(None)) };
        let (sink, samples) = channel();
        Ok(Self(Some((Sampler::start(probe, Interval::default(), sink, |sample| sample)?, samples))))
    }

    /// The samples that came since the last call.
    pub fn fresh(&self) -> impl Iterator<Item = Sample> + '_ {
        self.0.iter().flat_map(|(_, samples)| samples.try_iter())
    }
}
