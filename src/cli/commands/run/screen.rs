//! `run --tui`: the command under watch, on the whole terminal.
#![expect(clippy::disallowed_methods, reason = "measures the time that the screen shows")]

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::raise;

use super::tail::Tail;
use crate::probe::Probe;
use crate::profiles::oom::{Role, Stage};
use crate::report::run::RunReport;
use crate::runner::{Child, Heard, Listener, Notice, Options, Outcome, watch};
use crate::tui::follow::{Ending, FollowScreen, FollowView, LogLine, Step, Tone, Wish};

/// Time between two frames.
const LOOK: Duration = Duration::from_millis(100);
/// Lines of output that can be scrolled back to.
const LINES: usize = 2000;

/// The screen of a command.
pub(super) struct RunScreen<'p> {
    screen: FollowScreen,
    listener: Listener<'p>,
    view: FollowView,
    log: VecDeque<LogLine>,
}

impl<'p> RunScreen<'p> {
    /// A screen that was opened, for a command and what its plan says.
    pub fn new(screen: FollowScreen, title: String, plan: LogLine, listener: Listener<'p>) -> Self {
        let view = FollowView { title, plan: Some(plan), ..FollowView::default() };
        Self { screen, listener, view, log: VecDeque::new() }
    }

    /// Watches a command to its end and paints it meanwhile. A terminal that goes away meanwhile is no reason to end the command.
    ///
    /// # Errors
    /// As [`watch`].
    pub fn watch(
        &mut self,
        child: Child,
        probe: Option<Box<dyn Probe + Send>>,
        options: Options,
    ) -> io::Result<Outcome> {
        let tail = Tail::default();
        let sinks = tail.streams();
        let group = child.group();
        let (told, notices) = channel();
        let started = Instant::now();
        thread::scope(|scope| {
            let work = scope.spawn(move || {
                watch(child, sinks, probe, options, &mut |notice| {
                    // A screen that is gone misses nothing: what counts is in the outcome.
                    let _ = told.send(notice);
                })
            });
            let mut is_open = true;
            while !work.is_finished() {
                self.follow(&tail, &notices, started.elapsed());
                if is_open {
                    match self.screen.show(self.view.clone()) {
                        // The runner passes its own signals on to the command.
                        Ok(Wish::Interrupt) => raise(SIGINT)?,
                        Ok(Wish::Stop) => {
                            self.view.was_told = true;
                            raise(SIGTERM)?;
                        }
                        Ok(Wish::Kill) => group.kill(),
                        Ok(Wish::GoOn | Wish::Leave) => {}
                        Err(_) => is_open = false,
                    }
                }
                thread::sleep(LOOK);
            }
            self.follow(&tail, &notices, started.elapsed());
            work.join().unwrap_or_else(|_| Err(io::Error::other("the watching thread ended: a fault of the program")))
        })
    }

    /// Says how it ended, and stays until a key. Leaves at once when nobody looks, or when it was the user who ended the command.
    pub fn end(mut self, report: &RunReport, outcome: &Outcome) {
        let is_attended = io::stdin().is_terminal();
        let ended_it = self.view.was_told || matches!(outcome.passed_on, Some(SIGINT | SIGTERM | SIGHUP));
        if !is_attended || ended_it {
            return;
        }
        let leave = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if signal_hook::flag::register(signal, Arc::clone(&leave)).is_err() {
                return;
            }
        }
        self.view.ending = Some(Ending::of_run(report));
        self.view.elapsed = outcome.time;
        while !leave.load(Ordering::Relaxed) {
            match self.screen.show(self.view.clone()) {
                Ok(Wish::Leave) | Err(_) => return,
                Ok(_) => thread::sleep(LOOK / 2),
            }
        }
    }

    /// Takes in what came since the last look.
    fn follow(&mut self, tail: &Tail, notices: &Receiver<Notice>, elapsed: Duration) {
        for notice in notices.try_iter() {
            match notice {
                Notice::Sampled { sample, ours } => {
                    let news = self.screen.absorb(sample, &ours);
                    news.into_iter().for_each(|line| self.note(line.text));
                }
                Notice::Quiet(time) => self.note(format!("nothing was printed for {} s: it may hang", time.as_secs())),
                Notice::Blind(why) => self.note(format!("the cards cannot be read: {why}")),
            }
        }
        let fresh = tail.fresh();
        if !fresh.is_empty() {
            let heard = self.listener.hear((fresh.join("\n") + "\n").as_bytes(), elapsed);
            self.view.steps.extend(heard.iter().filter_map(step));
            self.log.extend(fresh.iter().enumerate().map(|(place, line)| said(line, place, &heard)));
        }
        self.log.drain(..self.log.len().saturating_sub(LINES));
        self.view.log = self.log.iter().cloned().collect();
        for line in tail.begun() {
            let stage = self.listener.glance(&line);
            self.view.steps.extend(stage.map(|stage| named(stage, elapsed)));
            self.view.log.push(LogLine::new(Tone::Quiet, plain(&line)));
        }
        self.view.elapsed = elapsed;
    }

    fn note(&mut self, text: String) {
        self.log.push_back(LogLine::new(Tone::Warning, format!("shardfit: {text}")));
    }
}

fn step(heard: &Heard) -> Option<Step> {
    heard.stage.map(|stage| named(stage, heard.at))
}

fn named(stage: Stage, at: Duration) -> Step {
    Step { name: stage.name().to_owned(), at: Some(at) }
}

/// A line of output in the tone that its words have.
fn said(line: &str, place: usize, heard: &[Heard]) -> LogLine {
    let here = || heard.iter().filter(|heard| heard.line == place);
    let text = plain(line);
    let tone = if here().any(|heard| heard.role == Role::Failure) {
        Tone::Fault
    } else if here().any(|heard| heard.role == Role::Suspicion) || warns(&text) {
        Tone::Warning
    } else if here().any(|heard| heard.stage.is_some()) {
        Tone::Step
    } else {
        Tone::Plain
    };
    LogLine { text, tone }
}

/// Whether a line says itself that it is a warning or an error: the level stands in front, behind times and names.
fn warns(line: &str) -> bool {
    let front: String = line.chars().take(60).collect();
    let levels = ["WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"];
    front.split(|c: char| !c.is_ascii_alphabetic()).any(|word| levels.contains(&word))
}

/// Without what only a terminal understands.
fn plain(line: &str) -> String {
    anstream::adapter::strip_str(line).to_string().replace('\t', "    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_tone_of_their_words() {
        let heard = |role, stage| [Heard { at: Duration::ZERO, role, stage, line: 1 }];
        assert_eq!(said("INFO ready", 0, &[]).tone, Tone::Plain);
        assert_eq!(said("(EngineCore pid=7) WARNING 09-01 slow", 0, &[]).tone, Tone::Warning);
        assert_eq!(said("no warning of mine", 0, &[]).tone, Tone::Plain);
        assert_eq!(said("x", 1, &heard(Role::Failure, None)).tone, Tone::Fault);
        assert_eq!(said("x", 0, &heard(Role::Failure, None)).tone, Tone::Plain);
        let stage = Some(Stage::Weights);
        assert_eq!(said("x", 1, &heard(Role::State, stage)).tone, Tone::Step);
        assert_eq!(said("\u{1b}[31mred\u{1b}[0m\tx", 0, &[]).text, "red    x");
    }
}
