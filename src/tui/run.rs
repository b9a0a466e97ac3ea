//! The main loop: input, data, and the passing of time.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crossterm::event;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::{Action, Effect, State, Terminal, Theme, draw::draw, update};
use crate::monitor::{Interval, Sample, Sampler};
use crate::probe::Probe;

/// What the screen of `top` is started with.
pub struct Options {
    /// Where the figures come from, for the header.
    pub source: String,
    /// How often to ask at first.
    pub interval: Interval,
    /// How it looks.
    pub theme: Theme,
}

/// Why the screen closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The user left.
    Quit,
    /// A signal asked the process to end; the terminal is as before.
    Signal(i32),
}

/// From the threads to the loop.
enum Message {
    Input(event::Event),
    /// Input ended: the terminal is gone.
    NoInput(io::Error),
    Sample(Sample),
    Signal(i32),
}

/// Ages on the screen are in whole seconds.
const TICK: Duration = Duration::from_secs(1);
/// How long the first frame waits for the first sample; a driver that takes longer is waited for on the screen.
const FIRST_SAMPLE: Duration = Duration::from_millis(300);

/// Shows the cards until the user leaves.
///
/// # Errors
/// When the terminal refuses or goes away.
pub fn run(probe: Box<dyn Probe + Send>, options: Options) -> io::Result<Ended> {
    let (sink, messages) = channel();
    let sampler = Sampler::start(probe, options.interval, sink.clone(), Message::Sample)?;
    let mut first = messages.recv_timeout(FIRST_SAMPLE).ok();

    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let closing = signals.handle();
    let mut terminal = Terminal::open()?;
    listen_to_input(sink.clone())?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let _ = sink.send(Message::Signal(signal));
        }
    })?;

    let mut state = State::new(options.source, terminal.size()?, options.interval);
    let ended = loop {
        if let Some(ended) = next(&messages, first.take(), &sampler, &mut state, &mut terminal)? {
            break ended;
        }
        terminal.draw(|frame| draw(&state, &options.theme, frame))?;
    };
    closing.close();
    Ok(ended)
}

/// The thread ends with the process: a read from the terminal cannot be called off.
fn listen_to_input(sink: Sender<Message>) -> io::Result<()> {
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            loop {
                let message = event::read().map_or_else(Message::NoInput, Message::Input);
                let last = matches!(message, Message::NoInput(_));
                if sink.send(message).is_err() || last {
                    return;
                }
            }
        })
        .map(|_| ())
}

/// Waits until something happens and applies it, together with all that happened meanwhile: a held key must not queue up frames.
fn next(
    messages: &Receiver<Message>,
    first: Option<Message>,
    sampler: &Sampler,
    state: &mut State,
    terminal: &mut Terminal,
) -> io::Result<Option<Ended>> {
    let mut waiting = match first {
        Some(message) => Some(message),
        None => match messages.recv_timeout(TICK) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("no thread is left to listen to")),
        },
    };
    update(state, Action::Tick(sampler.now()));
    while let Some(message) = waiting {
        let action = match message {
            Message::Input(event) => Action::of(&event),
            Message::NoInput(error) => return Err(error),
            Message::Sample(sample) => Some(Action::Sample(sample)),
            Message::Signal(signal) => return Ok(Some(Ended::Signal(signal))),
        };
        match action.and_then(|action| update(state, action)) {
            Some(Effect::Quit) => return Ok(Some(Ended::Quit)),
            Some(Effect::Suspend) => terminal.lend(|| emulate_default_handler(SIGTSTP))?,
            Some(Effect::Repaint) => terminal.clear()?,
            Some(Effect::SetInterval(interval)) => sampler.set_interval(interval),
            None => {}
        }
        waiting = messages.try_recv().ok();
    }
    Ok(None)
}
