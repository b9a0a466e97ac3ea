//! `run --tui`: the command under watch, on the whole terminal.
#![expect(clippy::disallowed_methods, reason = "measures the time that the screen shows")]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGTERM;
use signal_hook::low_level::raise;

use crate::monitor::Expectation;
use crate::probe::{NvmlProbe, Probe, Wanted};
use crate::runner::{Child, Notice, Options, Outcome, watch};
use crate::tui::Theme;
use crate::tui::follow::{FollowScreen, FollowView};
use crate::tui::load::Wish;

/// Time between two frames.
const LOOK: Duration = Duration::from_millis(100);

/// The last lines of an output, for the screen; the runner keeps its own for the diagnosis.
#[derive(Debug, Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    const LINES: usize = 200;
    /// Longest line kept; progress bars never end theirs.
    const COLUMNS: usize = 1000;

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn say(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(line.chars().take(Self::COLUMNS).collect());
        if lines.len() > Self::LINES {
            lines.pop_front();
        }
    }
}

/// One of the two streams.
struct Stream {
    tail: Tail,
    begun: Vec<u8>,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            // A carriage return begins the line anew: only what stands in the end counts.
            match byte {
                b'\n' => {
                    self.tail.say(&String::from_utf8_lossy(&self.begun));
                    self.begun.clear();
                }
                b'\r' => self.begun.clear(),
                byte if self.begun.len() < Tail::COLUMNS * 4 => self.begun.push(*byte),
                _ => {}
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Watches a command to its end and paints it meanwhile.
///
/// # Errors
/// As [`watch`]. A terminal that refuses is said on stderr, and the command goes on.
pub(super) fn watch_on_screen(
    child: Child,
    title: String,
    probe: Option<Box<dyn Probe + Send>>,
    options: Options,
    expectation: Option<Expectation>,
) -> io::Result<Outcome> {
    let tail = Tail::default();
    let stream = || Box::new(Stream { tail: tail.clone(), begun: Vec::new() }) as Box<dyn Write + Send>;
    let sinks = (stream(), stream());
    let notes = tail.clone();
    let started = Instant::now();
    thread::scope(|scope| {
        let work = scope.spawn(move || {
            watch(child, sinks, probe, options, &mut |notice| match notice {
                Notice::Quiet(time) => {
                    notes.say(&format!("shardfit: nothing was printed for {} s: it may hang", time.as_secs()));
                }
                Notice::Blind(why) => notes.say(&format!("shardfit: the cards cannot be read: {why}")),
            })
        });
        let cards = NvmlProbe::open(Wanted::CHANGING).ok().map(|probe| Box::new(probe) as Box<dyn Probe + Send>);
        let mut screen = FollowScreen::open(Theme::default(), cards, expectation).ok();
        while !work.is_finished() {
            let (elapsed, log) = (started.elapsed(), tail.lines());
            let view = FollowView { title: title.clone(), phase: "running".to_owned(), elapsed, log, finding: None };
            match screen.as_mut().map(|screen| screen.show(view)) {
                // The runner passes its own signals on to the command.
                Some(Ok(Wish::Stop)) => raise(SIGTERM)?,
                Some(Err(_)) => screen = None,
                Some(Ok(Wish::GoOn)) | None => {}
            }
            thread::sleep(LOOK);
        }
        drop(screen);
        work.join().unwrap_or_else(|_| Err(io::Error::other("the watching thread ended: a fault of the program")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_and_progress_bars_replace_theirs() {
        let tail = Tail::default();
        let mut stream = Stream { tail: tail.clone(), begun: Vec::new() };
        stream.write_all(b"one\n10 %\r20 %\r30 %\nhalf").unwrap();
        assert_eq!(tail.lines(), ["one", "30 %"]);
        for n in 0..500 {
            stream.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        assert_eq!((tail.lines().len(), tail.lines()[199].as_str()), (200, "499"));
        stream.write_all(&vec![b'x'; 1 << 20]).unwrap();
        stream.write_all(b"\n").unwrap();
        assert_eq!(tail.lines()[199].len(), 1000);
    }
}
