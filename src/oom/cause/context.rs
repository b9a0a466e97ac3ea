//! What a rule looks at.

use crate::oom::{Allocation, Event, Events, Facts};
use crate::profiles::oom::{Role, Signal, Stage};
use crate::units::Bytes;

/// Lines before a failure in which its traceback stands.
const TRACEBACK: u64 = 120;
/// Lines after a failure in which its traceback stands, where the message comes first.
const TRACEBACK_AFTER: u64 = 60;
/// Lines after a failure in which a log with its newest line first holds what came right before.
const NEWEST_FIRST: u64 = 12;
/// Lines between a report and what follows from it at once.
const RIGHT_AFTER: u64 = 2;
/// Lines after a failure in which an engine wraps it in words of its own.
const WRAPPER: u64 = 80;

/// A failure with its surroundings.
pub(in crate::oom) struct Context<'a> {
    pub events: &'a Events,
    pub facts: &'a Facts,
    pub failure: &'a Event,
    /// The engine's own words for the same failure.
    pub wrapper: Option<&'a Event>,
    /// Where it happened, and the message that says so.
    pub stage: Option<Stage>,
    pub stage_event: Option<&'a Event>,
    pub allocation: Allocation,
}

impl<'a> Context<'a> {
    pub(in crate::oom) fn new(events: &'a Events, facts: &'a Facts, failure: &'a Event) -> Self {
        let wrapper = wrapper(events, failure);
        let own = wrapper.and_then(|w| w.stage).or(failure.stage);
        let (stage, stage_event) = match own {
            Some(stage) => (Some(stage), wrapper),
            None => match traceback(events, failure)
                .or_else(|| from_states(events, failure))
                .or_else(|| from_frames_after(events, failure))
                .or_else(|| from_states_after(events, failure))
            {
                Some((stage, event)) => (Some(stage), Some(event)),
                None => (None, None),
            },
        };
        let mut allocation = Allocation::read(failure);
        allocation.total = allocation.total.or(facts.capacity);
        Self { events, facts, failure, wrapper, stage, stage_event, allocation }
    }

    /// The signal that decides: the wrapper's where there is one.
    pub(in crate::oom) fn signal(&self) -> Signal {
        self.wrapper.map_or(self.failure.signal, |w| w.signal)
    }

    /// Whether the failure happened in one of these stages.
    pub(in crate::oom) fn is_at(&self, stages: &[Stage]) -> bool {
        self.stage.is_some_and(|stage| stages.contains(&stage))
    }

    /// A frame or state of this signal before the failure, in the same process.
    pub(in crate::oom) fn before(&self, signal: Signal) -> Option<&'a Event> {
        self.events.of(signal).filter(|e| e.place <= self.failure.place && e.same_process(self.failure)).last()
    }

    /// The card's total: as stated, else as given.
    pub(in crate::oom) fn total(&self) -> Option<Bytes> {
        self.allocation.total
    }

    /// Card, most and least of the memory in use on the cards of a table, where one holds clearly more than the others.
    pub(in crate::oom) fn fullest_card(&self) -> Option<(usize, Bytes, Bytes)> {
        let used: Vec<Bytes> = self.events.of(Signal::CardInUse).filter_map(|e| e.bytes("used_mib")).collect();
        let (most, least) = (*used.iter().max()?, *used.iter().min()?);
        let place = used.iter().position(|b| *b == most)?;
        let alike = used.iter().filter(|b| b.0.abs_diff(least.0) <= least.0 / 50).count();
        (alike + 1 >= used.len() && most.0 > least.0 + least.0 / 20 && least > Bytes::gib(2))
            .then_some((place, most, least))
    }

    /// Other failures of the same kind, one a rank or device.
    pub(in crate::oom) fn peers(&self) -> impl Iterator<Item = &'a Event> {
        let failure = self.failure;
        self.events.list.iter().filter(move |e| e.signal == failure.signal && !std::ptr::eq(*e, failure))
    }
}

fn wrapper<'a>(events: &'a Events, failure: &Event) -> Option<&'a Event> {
    let wraps = |signal: Signal| {
        matches!(
            signal,
            Signal::SamplerWarmup
                | Signal::CaptureFailed
                | Signal::PrefillTokensTooMany
                | Signal::TotalTokensTooMany
                | Signal::NoMemoryForKv
        )
    };
    if !matches!(failure.signal, Signal::Allocation | Signal::DriverOutOfMemory | Signal::MappingFailed) {
        return None;
    }
    let near = |e: &&Event| {
        let distance = e.place.line.saturating_sub(failure.place.line);
        e.place.line >= failure.place.line && distance <= WRAPPER && e.same_process(failure) && wraps(e.signal)
    };
    events.list.iter().find(near)
}

/// The stage by the traceback. Where it only says that a pass ran, an outer one that follows may say what for.
fn traceback<'a>(events: &'a Events, failure: &Event) -> Option<(Stage, &'a Event)> {
    let before = from_frames(events, failure)?;
    let outer = from_frames_after(events, failure).filter(|_| before.0 == Stage::Forward);
    outer.filter(|(stage, _)| matches!(stage, Stage::SamplerWarmup | Stage::GraphCapture)).or(Some(before))
}

/// The stage by the frames of the traceback before the failure.
fn from_frames<'a>(events: &'a Events, failure: &Event) -> Option<(Stage, &'a Event)> {
    let before = |e: &Event| {
        e.place.line <= failure.place.last_line && failure.place.line.saturating_sub(e.place.line) <= TRACEBACK
    };
    innermost(events, failure, before)
}

/// The stage by the frames that follow, where an engine writes the message first and the traceback after it.
fn from_frames_after<'a>(events: &'a Events, failure: &Event) -> Option<(Stage, &'a Event)> {
    let after =
        |e: &Event| e.place.line > failure.place.last_line && e.place.line - failure.place.last_line <= TRACEBACK_AFTER;
    innermost(events, failure, after)
}

/// The frame that tells most of those chosen. Frames that name a stage of its own win over those of the loops around.
fn innermost<'a>(events: &'a Events, failure: &Event, chosen: impl Fn(&Event) -> bool) -> Option<(Stage, &'a Event)> {
    let frames: Vec<&Event> =
        events.list.iter().filter(|e| e.role == Role::Frame && chosen(e) && e.same_process(failure)).collect();
    let last = |wanted: &[Stage]| frames.iter().rev().find_map(|e| Some((e.stage.filter(|s| wanted.contains(s))?, *e)));
    last(&[
        Stage::SamplerWarmup,
        Stage::MultimodalProfiling,
        Stage::GraphCapture,
        Stage::Conversion,
        Stage::Weights,
        Stage::KvGrowth,
        Stage::KvSizing,
    ])
    .or_else(|| last(&[Stage::Startup]))
    .or_else(|| last(&[Stage::Warmup]))
    .or_else(|| last(&[Stage::Serving]))
    .or_else(|| last(&[Stage::Forward]))
    .or_else(|| last(&[Stage::Profiling]))
}

/// The stage by what the engine reported last.
fn from_states<'a>(events: &'a Events, failure: &Event) -> Option<(Stage, &'a Event)> {
    let mut states = events.list.iter().rev().filter(|e| is_state(e) && e.place <= failure.place);
    let latest = states.find(|e| e.stage.is_some() && e.same_process(failure))?;
    // Old vLLM states the number of blocks and then allocates them.
    let is_next = latest.signal == Signal::KvBlocks && failure.place.line - latest.place.last_line <= RIGHT_AFTER;
    if is_next { Some((Stage::KvSizing, latest)) } else { still_going(latest) }
}

/// The same in a log whose newest line comes first, as some consoles show it.
fn from_states_after<'a>(events: &'a Events, failure: &Event) -> Option<(Stage, &'a Event)> {
    let mut states = events.list.iter().filter(|e| e.role == Role::State && e.place.file == failure.place.file);
    let first = states.find(|e| e.stage.is_some() && e.same_process(failure))?;
    let distance = first.place.line.checked_sub(failure.place.last_line)?;
    (distance <= NEWEST_FIRST).then_some(first).and_then(still_going)
}

fn is_state(event: &Event) -> bool {
    matches!(event.role, Role::State | Role::Gauge)
}

/// The stage that a report leaves the engine in, where it is not one that the report ends.
fn still_going(latest: &Event) -> Option<(Stage, &Event)> {
    // That weights were loaded or a pool was sized says what is over, not what came next.
    match latest.signal {
        Signal::Weights | Signal::KvSize | Signal::KvBlocks | Signal::KvAvailable | Signal::Budget => None,
        Signal::GraphEstimate | Signal::HostModel | Signal::Offload | Signal::HostMemory => None,
        _ => Some((latest.stage?, latest)),
    }
}
