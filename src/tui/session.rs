//! What the main loop holds besides the state: where samples come from, where they are written.
#![expect(clippy::disallowed_methods, reason = "names new recordings by the time of day")]

use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};

use super::player::Player;
use super::run::{Message, Options, Source};
use super::{Action, Effect, Playback, RecordingNote, State, Terminal, update};
use crate::monitor::alarm::{CardEvent, CardEventKind};
use crate::monitor::recording::{Header, Recorder};
use crate::monitor::{Sample, Sampler, stamp};
use crate::probe::{CardError, wait_for_errors};

/// Where samples come from.
enum Feed {
    Cards(Sampler),
    Recording(Player),
}

/// A running screen.
pub(super) struct Session {
    feed: Feed,
    recorder: Option<Recorder>,
    header: Header,
    /// Whether the driver's own reports are wanted.
    events: bool,
}

/// What the loop does after an effect.
pub(super) enum After {
    GoOn,
    Quit,
    Suspend,
}

impl Session {
    /// Starts sampling, or a replay.
    pub fn start(source: Source, options: &Options, state: &mut State, sink: &Sender<Message>) -> io::Result<Self> {
        let header = Header::now(&options.source, options.expectation.as_deref().cloned());
        let mut wants_events = false;
        let feed = match source {
            Source::Cards { probe, events } => {
                wants_events = events;
                Feed::Cards(Sampler::start(probe, options.interval, sink.clone(), Message::Sample)?)
            }
            Source::Recording { replay, speed } => {
                state.playback = Some(Playback::new(replay, speed));
                match Player::start(state) {
                    Some(player) => Feed::Recording(player),
                    None => return Err(io::Error::other("there is nothing to replay")),
                }
            }
        };
        let mut session = Self { feed, recorder: None, header, events: wants_events };
        if let Some(path) = &options.record {
            session.recorder = Some(Recorder::create(path, &session.header)?);
            session.note(state);
        }
        Ok(session)
    }

    /// Whether a recording is shown.
    pub const fn is_replay(&self) -> bool {
        matches!(self.feed, Feed::Recording(_))
    }

    /// Waits for the driver's own reports too. It is asked for them over a connection of its own, which takes time to open and can wait
    /// until the first frame stands.
    pub fn listen_to_driver(&self, sink: &Sender<Message>) -> io::Result<()> {
        if !self.events {
            return Ok(());
        }
        let sink = sink.clone();
        wait_for_errors(move |error| sink.send(Message::CardError(error)).is_ok())
    }

    /// How long the screen stays as it is when nothing happens.
    pub fn patience(&self, state: &State) -> Duration {
        const MOVING: Duration = Duration::from_millis(100);
        match (&self.feed, &state.playback) {
            (Feed::Recording(_), Some(playback)) if playback.playing => MOVING,
            _ => state.lasts(),
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, state: &mut State) {
        match &mut self.feed {
            Feed::Cards(sampler) => {
                update(state, Action::Tick(sampler.now()));
            }
            Feed::Recording(player) => player.go_on(state),
        }
    }

    /// Takes in a sample.
    pub fn sample(&mut self, sample: Sample, state: &mut State) -> Option<Effect> {
        if let Some(recorder) = &mut self.recorder {
            recorder.sample(&sample);
        }
        self.note(state);
        update(state, Action::Sample(sample))
    }

    /// Takes in what the driver reported by itself.
    pub fn card_error(&self, error: CardError, state: &mut State) -> Option<Effect> {
        let kind = error.xid.map_or(CardEventKind::DoubleBitError, CardEventKind::Xid);
        update(state, Action::Event(CardEvent { at: state.now, card: error.card, kind }))
    }

    /// Carries out an effect.
    pub fn carry_out(&mut self, effect: Effect, state: &mut State, terminal: &mut Terminal) -> io::Result<After> {
        match effect {
            Effect::Quit => return Ok(After::Quit),
            Effect::Suspend => return Ok(After::Suspend),
            Effect::Repaint => terminal.clear()?,
            Effect::SetInterval(interval) => {
                if let Feed::Cards(sampler) = &self.feed {
                    sampler.set_interval(interval);
                }
            }
            Effect::ToggleRecording => self.toggle_recording(state),
            Effect::Mark { marks, bell } => {
                if let Some(recorder) = &mut self.recorder {
                    marks.iter().for_each(|mark| recorder.mark(mark));
                }
                if bell && matches!(self.feed, Feed::Cards(_)) {
                    terminal.ring()?;
                }
            }
            Effect::Kill(pid) => state.say(kill(pid)),
            Effect::Seek(to) => {
                if let Feed::Recording(player) = &mut self.feed {
                    player.seek(state, to);
                }
            }
        }
        Ok(After::GoOn)
    }

    fn toggle_recording(&mut self, state: &mut State) {
        if let Some(recorder) = self.recorder.take() {
            let path = recorder.path().display().to_string();
            drop(recorder);
            state.say(format!("recorded into {path}"));
            state.recording = None;
            return;
        }
        let name = format!(
            "shardfit-{}.watch",
            stamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
        );
        match Recorder::create(Path::new(&name), &self.header) {
            Ok(recorder) => {
                state.say(format!("records into {name}"));
                self.recorder = Some(recorder);
                self.note(state);
            }
            Err(error) => state.say(format!("`{name}` cannot be written: {error}")),
        }
    }

    /// Tells the screen how the recording does.
    fn note(&self, state: &mut State) {
        state.recording = self.recorder.as_ref().map(|recorder| RecordingNote {
            name: recorder.path().display().to_string(),
            bytes: recorder.bytes(),
            failure: recorder.failure(),
        });
    }
}

/// Asks a process to end, in words.
fn kill(pid: u32) -> String {
    // The first process, and those that signals would take for a group, are nobody's to end from here.
    let Some(target) = i32::try_from(pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw) else {
        return format!("process {pid} is not ended from here");
    };
    // The number is looked up once more, so that one that was given anew since the last sample is noticed where the system tells.
    if fs::metadata("/proc").is_ok() && fs::metadata(format!("/proc/{pid}")).is_err() {
        return format!("process {pid} has ended by itself, or is not visible from here");
    }
    match kill_process(target, Signal::TERM) {
        Ok(()) => format!("asked process {pid} to end"),
        Err(error) => format!("process {pid} cannot be ended: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_processes_are_never_ended() {
        for pid in [0, 1, u32::MAX] {
            assert!(kill(pid).contains("not ended from here"), "{pid}");
        }
        assert!(kill(i32::MAX as u32).contains("has ended"));
    }
}
