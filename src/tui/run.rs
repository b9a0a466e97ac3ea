//! The main loop: input, data, and the passing of time.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crossterm::event;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

use super::session::{After, Session};
use super::{Action, Size, State, Terminal, Theme, draw::draw, update};
use crate::monitor::alarm::Rule;
use crate::monitor::recording::Replay;
use crate::monitor::{Expectation, Interval, Sample};
use crate::probe::{CardError, Probe};

/// What the screen of `top` is started with.
pub struct Options {
    /// Where the figures come from, for the header.
    pub source: String,
    /// How often to ask at first.
    pub interval: Interval,
    /// Time over which growth and imbalance are judged.
    pub window: Duration,
    /// How it looks.
    pub theme: Theme,
    /// What a plan predicts.
    pub expectation: Option<Arc<Expectation>>,
    /// What must not happen.
    pub rules: Vec<Rule>,
    /// Whether processes may be ended.
    pub may_kill: bool,
    /// Where to record from the start.
    pub record: Option<PathBuf>,
}

/// What is watched.
pub enum Source {
    /// Cards, asked again and again.
    Cards {
        /// Who is asked.
        probe: Box<dyn Probe + Send>,
        /// Whether the driver's own reports are waited for too.
        events: bool,
    },
    /// A recording.
    Recording {
        /// What was recorded.
        replay: Arc<Replay>,
        /// Seconds of it in a second.
        speed: f64,
    },
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
pub(super) enum Message {
    Input(event::Event),
    /// Input ended: the terminal is gone.
    NoInput(io::Error),
    Sample(Sample),
    /// What the driver reported, or that it reported nothing for a while.
    CardError(Option<CardError>),
    Signal(i32),
}

/// The size of a terminal that does not tell it.
const USUAL: Size = Size { width: 80, height: 24 };
/// How long the first frame waits for the first sample; a driver that takes longer is waited for on the screen.
const FIRST_SAMPLE: Duration = Duration::from_millis(300);

/// Shows cards or a recording until the user leaves.
///
/// # Errors
/// When the terminal refuses or goes away, or a recording cannot be begun.
pub fn run(source: Source, options: Options) -> io::Result<Ended> {
    let (sink, messages) = channel();
    // A terminal that does not know its size yet tells it with an event.
    let size = crossterm::terminal::size().map_or(USUAL, |(width, height)| Size { width, height });
    let mut state = State::new(options.source.clone(), size, options.interval).with_rules(options.rules.clone());
    state.window = options.window;
    state.expectation.clone_from(&options.expectation);
    state.may_kill = options.may_kill;
    let mut session = Session::start(source, &options, &mut state, &sink)?;

    // All of this goes on while the driver is asked for the first time.
    let signals = listen_to_signals(sink.clone())?;
    let mut terminal = Terminal::open()?;
    state.size = terminal.size().unwrap_or(USUAL);
    listen_to_input(sink.clone())?;
    let first = if session.is_replay() { None } else { messages.recv_timeout(FIRST_SAMPLE).ok() };
    if let Some(message) = first
        && let Next::End(ended) = apply(message, &messages, &mut session, &mut state, &mut terminal)?
    {
        signals.close();
        return Ok(ended);
    }
    terminal.draw(|frame| draw(&state, &options.theme, frame))?;
    session.listen_to_driver(&sink)?;
    let ended = loop {
        let woken = match messages.recv_timeout(session.patience(&state)) {
            Ok(message) => apply(message, &messages, &mut session, &mut state, &mut terminal)?,
            Err(RecvTimeoutError::Timeout) => {
                session.tick(&mut state);
                Next::Paint
            }
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("no thread is left to listen to")),
        };
        match woken {
            Next::Nothing => {}
            Next::Paint => terminal.draw(|frame| draw(&state, &options.theme, frame))?,
            Next::End(ended) => break ended,
        }
    };
    signals.close();
    Ok(ended)
}

/// What is to be done after a message.
enum Next {
    /// The screen is as it was.
    Nothing,
    Paint,
    End(Ended),
}

/// The thread ends when the handle is closed.
fn listen_to_signals(sink: Sender<Message>) -> io::Result<Handle> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let handle = signals.handle();
    let listen = move || {
        for signal in signals.forever() {
            let _ = sink.send(Message::Signal(signal));
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
    Ok(handle)
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

/// Applies a message, together with all that happened meanwhile: a held key must not queue up frames.
fn apply(
    message: Message,
    messages: &Receiver<Message>,
    session: &mut Session,
    state: &mut State,
    terminal: &mut Terminal,
) -> io::Result<Next> {
    session.tick(state);
    let mut next = Next::Nothing;
    let mut waiting = Some(message);
    while let Some(message) = waiting {
        let effect = match message {
            Message::Input(event) => match Action::in_mode(&event, state.mode()) {
                Some(action) => update(state, action),
                // A key that means nothing changes nothing.
                None => {
                    waiting = messages.try_recv().ok();
                    continue;
                }
            },
            Message::NoInput(error) => return Err(error),
            Message::Sample(sample) => session.sample(sample, state),
            Message::CardError(Some(error)) => session.card_error(error, state),
            // The thread only asks whether anybody listens.
            Message::CardError(None) => {
                waiting = messages.try_recv().ok();
                continue;
            }
            Message::Signal(signal) => return Ok(Next::End(Ended::Signal(signal))),
        };
        next = Next::Paint;
        if let Some(effect) = effect {
            match session.carry_out(effect, state, terminal)? {
                After::GoOn => {}
                After::Quit => return Ok(Next::End(Ended::Quit)),
                After::Suspend => terminal.lend(|| emulate_default_handler(SIGTSTP))?,
            }
        }
        waiting = messages.try_recv().ok();
    }
    Ok(next)
}
