//! The thread that asks.
#![expect(clippy::disallowed_methods, reason = "sampling is tied to the clock")]

use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Interval;
use crate::hardware::Snapshot;
use crate::probe::Probe;

/// One answer of a probe, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When the answer came, from the start of the watch.
    pub at: Duration,
    /// The cards, or one sentence on what went wrong.
    pub outcome: Result<Snapshot, String>,
}

/// Asks a probe again and again, on a thread of its own: a driver that hangs delays samples and nothing else.
///
/// Dropping the sampler asks the thread to end and does not wait for it, for the same reason.
pub struct Sampler {
    control: Arc<Control>,
    start: Instant,
}

struct Control {
    wish: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
struct Wish {
    interval: Interval,
    stop: bool,
}

impl Sampler {
    /// Longest wait after failures: long enough to spare a driver that is being reloaded, short enough to notice its return.
    const MAX_BACKOFF: Duration = Duration::from_secs(10);

    /// Starts sampling. Each sample goes through `wrap` into `sink`; when nobody listens any more, the thread ends.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<T: Send + 'static>(
        mut probe: Box<dyn Probe + Send>,
        interval: Interval,
        sink: Sender<T>,
        wrap: fn(Sample) -> T,
    ) -> io::Result<Self> {
        let control = Arc::new(Control { wish: Mutex::new(Wish { interval, stop: false }), changed: Condvar::new() });
        let start = Instant::now();
        let theirs = Arc::clone(&control);
        thread::Builder::new().name("sampler".to_owned()).spawn(move || {
            let mut failures = 0u32;
            loop {
                let asked = Instant::now();
                let outcome = probe.snapshot().map_err(|error| error.to_string());
                failures = if outcome.is_err() { failures.saturating_add(1) } else { 0 };
                if sink.send(wrap(Sample { at: start.elapsed(), outcome })).is_err() || !theirs.wait(asked, failures) {
                    return;
                }
            }
        })?;
        Ok(Self { control, start })
    }

    /// Changes the interval, also of the wait in progress.
    pub fn set_interval(&self, interval: Interval) {
        self.control.lock().interval = interval;
        self.control.changed.notify_all();
    }

    /// Time since the start of the watch: the clock that samples are stamped by.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.control.lock().stop = true;
        self.control.changed.notify_all();
    }
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, Wish> {
        // Two plain values: no state that a panic could leave half written.
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the next sample is due; false when the sampler is to end.
    fn wait(&self, asked: Instant, failures: u32) -> bool {
        let mut wish = self.lock();
        loop {
            if wish.stop {
                return false;
            }
            let due = pause(wish.interval, failures);
            let waited = asked.elapsed();
            if waited >= due {
                return true;
            }
            wish = self.changed.wait_timeout(wish, due - waited).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Time from one question to the next: the interval, doubled with each failure in a row up to a limit.
fn pause(interval: Interval, failures: u32) -> Duration {
    let backoff = interval.time().saturating_mul(1 << failures.min(10));
    backoff.min(Sampler::MAX_BACKOFF).max(interval.time())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::hardware::Reading;
    use crate::probe::ProbeError;

    /// A probe made of a closure.
    struct Scripted<F>(F);

    impl<F: FnMut() -> Result<Snapshot, ProbeError>> Probe for Scripted<F> {
        fn snapshot(&mut self) -> Result<Snapshot, ProbeError> {
            (self.0)()
        }
    }

    fn empty() -> Snapshot {
        Snapshot {
            driver_version: Reading::Unsupported,
            cuda_version: Reading::Unsupported,
            cards: Vec::new(),
            peers: Vec::new(),
        }
    }

    #[test]
    fn failures_slow_the_questions_down_to_a_limit() {
        let second = Interval::default();
        let seconds = |n| pause(second, n).as_secs();
        assert_eq!([seconds(0), seconds(1), seconds(2), seconds(3), seconds(4), seconds(99)], [1, 2, 4, 8, 10, 10]);
        assert_eq!(pause(Interval::MAX, 3), Duration::from_secs(60));
    }

    #[test]
    fn a_hung_probe_delays_samples_and_nothing_else() {
        let (release, hung) = channel::<()>();
        let (sink, samples) = channel();
        let probe = Scripted(move || {
            hung.recv().map_err(|error| ProbeError::Nvml(error.to_string()))?;
            Ok(empty())
        });
        let sampler = Sampler::start(Box::new(probe), Interval::MIN, sink, |sample| sample).unwrap();
        assert!(samples.try_recv().is_err());
        release.send(()).unwrap();
        assert_eq!(samples.recv().unwrap().outcome, Ok(empty()));
        // Whether the probe hangs again or the thread waits: neither a change of interval nor the end waits for it.
        sampler.set_interval(Interval::MAX);
        drop(sampler);
        drop(release);
        // The thread sees the wish to stop: it delivers at most what it was asked for and closes the channel.
        assert!(samples.iter().count() <= 1);
    }
}
