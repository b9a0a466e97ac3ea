//! The loop in which output, samples, signals and the end of the command meet.
#![expect(clippy::disallowed_methods, reason = "waits for a command by the clock")]

use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

use super::relay::relay;
use super::{
    CardTrace, Child, Ended, Family, KeptLog, LineClock, Neighbour, Neighbours, PoolTrace, absorb, host, pools,
};
use crate::hardware::Snapshot;
use crate::monitor::{Interval, Sample, Sampler};
use crate::probe::Probe;
use crate::units::Bytes;

/// What happens.
pub(super) enum Event {
    Said(Vec<u8>),
    Closed,
    Sampled(Sample),
    Signalled(i32),
    Ended(io::Result<Ended>),
}

/// How to watch.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Time between two samples of the cards.
    pub interval: Interval,
    /// After how long without output or a change of memory the command is said to hang; `None` for never.
    pub quiet: Option<Duration>,
}

/// What whoever shows the command should know while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The cards were asked.
    Sampled {
        /// What they answered.
        sample: Sample,
        /// The command's processes among those that hold memory.
        ours: Vec<u32>,
    },
    /// Nothing was printed and no card's memory changed for this long.
    Quiet(Duration),
    /// The cards cannot be read any more.
    Blind(String),
}

/// A process of the command that outlived it, with memory on a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Process id.
    pub pid: u32,
    /// Command line, where it can be read.
    pub command: Option<String>,
    /// Memory it holds on all cards; `None` where the driver does not say.
    pub used: Option<Bytes>,
}

/// What happened.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub ended: Ended,
    /// From start to end.
    pub time: Duration,
    /// Its output and errors, in the order in which they came.
    pub log: KeptLog,
    /// When its lines came.
    pub clock: LineClock,
    /// The cards; empty where no driver answers.
    pub cards: Vec<CardTrace>,
    /// Who else was on them.
    pub neighbours: Vec<Neighbour>,
    /// Cards without memory of their own.
    pub pools: Vec<PoolTrace>,
    /// Its processes that still hold memory.
    pub survivors: Vec<Survivor>,
    /// Processes that the kernel killed meanwhile for want of host memory; `None` where it does not say.
    pub host_kills: Option<u64>,
    /// The last signal that was passed on.
    pub passed_on: Option<i32>,
}

/// Signals that are the command's business. SIGCHLD, SIGPIPE and the faults are this program's own.
const PASSED_ON: [i32; 8] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT];
/// How long output may still come after the end: what left the group may hold the pipes open for as long as it lives.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Change of a card's memory below which it counts as still: what a driver's own bookkeeping moves.
const STILL: Bytes = Bytes(16 << 20);

/// Watches a started command to its end.
///
/// # Errors
/// When the system gives no threads or handlers.
pub fn watch(
    mut child: Child,
    sinks: (Box<dyn Write + Send>, Box<dyn Write + Send>),
    probe: Option<Box<dyn Probe + Send>>,
    options: Options,
    notify: &mut dyn FnMut(Notice),
) -> io::Result<Outcome> {
    let start = Instant::now();
    let kills = host::memory_kills();
    let (events, inbox) = channel();
    // Before anything of the command is seen: whoever sees it may signal.
    let signals = pass_on(events.clone())?;
    let (output, errors) = child.streams();
    let mut open = 0;
    if let Some(output) = output {
        relay(output, sinks.0, events.clone())?;
        open += 1;
    }
    if let Some(errors) = errors {
        relay(errors, sinks.1, events.clone())?;
        open += 1;
    }
    let group = child.group();
    let mut family = Family::new(child.id());
    let sampler = match probe {
        Some(probe) => Some(Sampler::start(probe, options.interval, events.clone(), Event::Sampled)?),
        None => None,
    };
    thread::Builder::new().name("waiter".to_owned()).spawn(move || {
        let _ = events.send(Event::Ended(child.wait()));
    })?;

    let mut log = KeptLog::default();
    let mut clock = LineClock::default();
    let mut cards: Vec<CardTrace> = Vec::new();
    let mut neighbours = Neighbours::default();
    let mut shared = Vec::new();
    let mut last_sample = None;
    let mut passed_on = None;
    let mut ended: Option<(Ended, Instant)> = None;
    let mut stirred = start;
    let mut was_told = false;
    let mut blind = false;
    while open > 0 || ended.is_none() {
        let patience = match ended {
            Some((_, at)) => LAST_WORDS.saturating_sub(at.elapsed()),
            None => Duration::from_secs(1),
        };
        match inbox.recv_timeout(patience) {
            Ok(Event::Said(piece)) => {
                log.push(&piece);
                clock.push(start.elapsed(), &piece);
                (stirred, was_told) = (Instant::now(), false);
            }
            Ok(Event::Closed) => open -= 1,
            Ok(Event::Sampled(Sample { at, outcome: Ok(snapshot) })) => {
                blind = false;
                absorb(&mut cards, at, &snapshot, &mut family);
                neighbours.absorb(at, &snapshot, &mut family);
                pools::absorb(&mut shared, at, &snapshot, host::memory());
                let ours = ours(&snapshot, &mut family);
                notify(Notice::Sampled { sample: Sample { at, outcome: Ok(snapshot.clone()) }, ours });
                if cards.iter().any(moves) {
                    (stirred, was_told) = (Instant::now(), false);
                }
                last_sample = Some(snapshot);
            }
            Ok(Event::Sampled(Sample { at, outcome: Err(why) })) => {
                if !blind {
                    notify(Notice::Blind(why.clone()));
                }
                notify(Notice::Sampled { sample: Sample { at, outcome: Err(why) }, ours: Vec::new() });
                blind = true;
            }
            Ok(Event::Signalled(signal)) => {
                group.send(signal);
                match signal {
                    // The command stops, and so does who watches it; both go on together.
                    SIGTSTP => drop(emulate_default_handler(SIGTSTP)),
                    SIGCONT => {}
                    _ => passed_on = Some(signal),
                }
            }
            Ok(Event::Ended(how)) => ended = Some((how?, Instant::now())),
            Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some(quiet) = options.quiet
            && ended.is_none()
            && !was_told
            && stirred.elapsed() >= quiet
        {
            notify(Notice::Quiet(stirred.elapsed()));
            was_told = true;
        }
    }
    signals.close();
    drop(sampler);
    let survivors = last_sample.map(|snapshot| survivors(&snapshot, &mut family)).unwrap_or_default();
    let (ended, at) = ended.unwrap_or((Ended::Code(u8::MAX), Instant::now()));
    Ok(Outcome {
        ended,
        time: at - start,
        log,
        clock,
        cards,
        neighbours: neighbours.into_list(),
        pools: shared,
        survivors,
        host_kills: kills.zip(host::memory_kills()).map(|(before, after)| after.saturating_sub(before)),
        passed_on,
    })
}

/// Whether a card's memory is not what it was a sample ago.
fn moves(card: &CardTrace) -> bool {
    let mut latest = card.last.iter().rev();
    match (latest.next(), latest.next()) {
        (Some(now), Some(before)) => (now.used - before.used).magnitude() > STILL,
        _ => true,
    }
}

/// The command's processes that hold memory.
fn ours(snapshot: &Snapshot, family: &mut Family) -> Vec<u32> {
    let all = snapshot.cards.iter().filter_map(|card| card.processes.as_ref().known()).flatten();
    let mut ours: Vec<u32> = all.map(|process| process.pid).filter(|pid| family.contains(*pid)).collect();
    ours.sort_unstable();
    ours.dedup();
    ours
}

/// Hands signals to the loop, from a thread of their own.
fn pass_on(events: Sender<Event>) -> io::Result<Handle> {
    let mut signals = Signals::new(PASSED_ON)?;
    let handle = signals.handle();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signalled(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(handle)
}

/// Processes of the command in a snapshot, where they still run.
fn survivors(snapshot: &Snapshot, family: &mut Family) -> Vec<Survivor> {
    let mut found: Vec<Survivor> = Vec::new();
    for process in snapshot.cards.iter().filter_map(|card| card.processes.as_ref().known()).flatten() {
        if !family.contains(process.pid) || !is_running(process.pid) {
            continue;
        }
        match found.iter_mut().find(|survivor| survivor.pid == process.pid) {
            Some(survivor) => survivor.used = survivor.used.zip(process.used.known()).map(|(a, b)| a + b),
            None => {
                found.push(Survivor { pid: process.pid, command: process.command.clone(), used: process.used.known() })
            }
        }
    }
    found
}

#[cfg(target_os = "linux")]
fn is_running(pid: u32) -> bool {
    let stat = i32::try_from(pid).ok().and_then(|pid| procfs::process::Process::new(pid).ok()?.stat().ok());
    stat.is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

#[cfg(not(target_os = "linux"))]
fn is_running(_pid: u32) -> bool {
    false
}
