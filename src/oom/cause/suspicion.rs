//! Logs in which nothing failed in words: pressure, growth, and starts that stop half-way.

use super::{Confidence, Judgement};
use crate::engines::Cause;
use crate::oom::{Event, Events};
use crate::profiles::oom::{Role, Signal, Stage};
use crate::units::Bytes;

type Rule = fn(&Events) -> Option<(&Event, Judgement)>;

/// The judgements on a log without a failure, each with the message it starts from; first the one that explains most.
pub(in crate::oom) fn suspicions(events: &Events) -> Vec<(&Event, Judgement)> {
    let rules: [Rule; 14] = [
        negative_pool,
        refused,
        multimodal,
        set_back,
        pool_full,
        tactic,
        residue,
        resident,
        pinned,
        kernel_driver,
        host_part,
        stopped_in_capture,
        cut_after_load,
        cut_while_serving,
    ];
    rules.iter().filter_map(|rule| rule(events)).collect()
}

/// Whether the start went on to serving after an event.
fn went_on(events: &Events, after: &Event) -> bool {
    events.list.iter().any(|e| {
        e.place > after.place
            && matches!(
                e.signal,
                Signal::GraphCaptureFinished | Signal::KvSize | Signal::KvUsage | Signal::KvPoolPressure
            )
    })
}

/// The engine found less than nothing for its pool.
fn negative_pool(events: &Events) -> Option<(&Event, Judgement)> {
    let event = events.list.iter().find(|e| {
        let negative = |name: &str| e.number(name).is_some_and(|n| n <= 0.0);
        (e.signal == Signal::KvAvailable && negative("kv_available_gib"))
            || (e.signal == Signal::KvPoolBelowRequest && negative("kv_capacity_tokens"))
            || (e.signal == Signal::KvBlocks && negative("gpu_blocks"))
    })?;
    let why = "weights and profiled peak exceed the budget: less than nothing is left for the pool";
    Some((event, Judgement::new(Cause::NoMemoryLeftForKv, Confidence::High, why)))
}

/// Lines after a refusal of the driver in which its traceback begins.
const TRACEBACK_AFTER: u64 = 40;
/// A block that large is a pool or a tensor of a request.
const LARGE: Bytes = Bytes::gib(1);

/// The driver refused a block, and a traceback follows whose own message is not in the log.
fn refused(events: &Events) -> Option<(&Event, Judgement)> {
    let warned = events.of(Signal::AllocationWarned).last()?;
    let near = |e: &&Event| e.place > warned.place && e.place.line - warned.place.last_line <= TRACEBACK_AFTER;
    let traceback =
        events.list.iter().filter(near).find(|e| matches!(e.signal, Signal::Traceback | Signal::WorkerException))?;
    let (asked, free) = (warned.bytes("requested_bytes")?, warned.bytes("free_mib")?);
    if went_on(events, warned) || asked < LARGE {
        return None;
    }
    let in_pass = |e: &Event| e.role == Role::Frame && matches!(e.stage, Some(Stage::Forward | Stage::Serving));
    let serves = events.list.iter().filter(near).any(in_pass);
    let (cause, what) = if serves {
        (Cause::ActivationOrLogitsPeak, "in a forward pass: one tensor of activations, attention or logits")
    } else {
        (Cause::NoMemoryLeftForKv, "while the engine starts: a block that large is the pool's")
    };
    let why = format!("the driver refused {asked} with {free} free, and a traceback follows, {what}");
    Some((warned, Judgement::new(cause, Confidence::Low, why).on([traceback])))
}

/// The profile with images began and ended in a traceback, or its worst case was warned of and nothing came after.
fn multimodal(events: &Events) -> Option<(&Event, Judgement)> {
    let began = events
        .list
        .iter()
        .find(|e| matches!(e.signal, Signal::MultimodalProfileStarted | Signal::MultimodalWorstCase))?;
    if went_on(events, began) {
        return None;
    }
    let broke = events.list.iter().find(|e| {
        e.place > began.place && (e.signal == Signal::Traceback || e.role == Role::Frame || e.role == Role::Consequence)
    });
    let confidence = if broke.is_some() { Confidence::Medium } else { Confidence::Low };
    let why = match broke {
        Some(_) => "the start breaks off inside the profile that runs the largest images the model allows",
        None => "the profile reserves the largest images the model allows, and the log ends there",
    };
    Some((began, Judgement::new(Cause::MultimodalProfiling, confidence, why).on(broke)))
}

/// Requests were set back.
fn set_back(events: &Events) -> Option<(&Event, Judgement)> {
    let event = events.of(Signal::KvPoolPressure).next()?;
    Some((
        event,
        Judgement::new(
            Cause::KvPoolExhaustedAtRuntime,
            Confidence::High,
            "running requests outgrew the pool and were set back: their work is repeated, nothing crashed",
        ),
    ))
}

/// How full the pool is, between 0 and 1.
fn fill(event: &Event) -> Option<f64> {
    let percent = event.number("kv_usage_percent").map(|p| p / 100.0);
    percent.or_else(|| event.number("full_token_usage")).or_else(|| event.number("token_usage"))
}

/// The pool stays full with requests waiting.
fn pool_full(events: &Events) -> Option<(&Event, Judgement)> {
    let full: Vec<&Event> = events
        .of(Signal::KvUsage)
        .filter(|e| fill(e).is_some_and(|f| f >= 0.9) && e.number("queue_req").is_some_and(|q| q >= 1.0))
        .collect();
    // The fullest report says most.
    let fullest = |a: &&&Event, b: &&&Event| fill(a).partial_cmp(&fill(b)).unwrap_or(std::cmp::Ordering::Equal);
    let first = full.iter().rev().max_by(fullest).filter(|_| full.len() >= 2)?;
    // A pool that fills and drains is a busy one.
    let all = events.of(Signal::KvUsage).count();
    if full.len() * 2 < all {
        return None;
    }
    Some((
        first,
        Judgement::new(
            Cause::KvPoolExhaustedAtRuntime,
            Confidence::Medium,
            format!(
                "the pool is {:.0} % full while {} requests wait, in {} of {all} reports",
                fill(first).unwrap_or_default() * 100.0,
                first.number("queue_req").unwrap_or_default(),
                full.len()
            ),
        )
        .on(full.last().copied()),
    ))
}

fn tactic(events: &Events) -> Option<(&Event, Judgement)> {
    let event = events.of(Signal::TacticMemory).find(|e| {
        e.number("requested_mib").zip(e.number("available_mib")).is_some_and(|(asked, there)| asked > 1.5 * there)
    })?;
    if events.of(Signal::Conversion).any(|e| e.place > event.place) {
        return None;
    }
    Some((
        event,
        Judgement::new(
            Cause::ActivationOrLogitsPeak,
            Confidence::Low,
            "kernels for the largest shapes need more than the card has: attention over the full length without a fused kernel. The warning alone only skips a tactic",
        ),
    ))
}

/// What is held while asleep grows from cycle to cycle.
fn residue(events: &Events) -> Option<(&Event, Judgement)> {
    let cycles: Vec<(&Event, f64)> =
        events.of(Signal::SleepResidue).filter_map(|e| Some((e, e.number("residual_gib")?))).collect();
    let ((first, from), (last, to)) = (*cycles.first()?, *cycles.last()?);
    (to > from * 1.3 + 1.0).then(|| {
        let why = format!("what stays in use while the engine sleeps grows from {from} to {to} GiB");
        (first, Judgement::new(Cause::MemoryLeakGrowth, Confidence::Medium, why).on([last]))
    })
}

/// A process whose resident size only grows.
fn resident(events: &Events) -> Option<(&Event, Judgement)> {
    let rows: Vec<&Event> = events.of(Signal::ResidentSize).collect();
    let first = rows.first()?;
    let same: Vec<(&Event, f64)> = rows
        .iter()
        .filter(|e| e.number("pid") == first.number("pid"))
        .filter_map(|e| Some((*e, e.number("rss_kib")?)))
        .collect();
    let grows = same.len() >= 3 && same.windows(2).all(|pair| pair[1].1 > pair[0].1);
    let ((_, from), (last, to)) = (*same.first()?, *same.last()?);
    (grows && to > from * 1.1).then(|| {
        let why = format!(
            "the resident size of one worker grows from {:.1} to {:.1} GiB at constant load",
            from / 1_048_576.0,
            to / 1_048_576.0
        );
        (*first, Judgement::new(Cause::MemoryLeakGrowth, Confidence::Medium, why).on([last]))
    })
}

/// Pinned host memory was refused. Most programs then take plain memory, so that this explains a failure only where nothing else does.
fn pinned(events: &Events) -> Option<(&Event, Judgement)> {
    let event = events.of(Signal::PinnedMemoryRefused).next()?;
    let why = "pinned host memory was refused, and no allocation on a card failed";
    Some((event, Judgement::new(Cause::HostRamExhausted, Confidence::Medium, why)))
}

/// The kernel's part of the driver could not get pages, and no program says what it was about.
fn kernel_driver(events: &Events) -> Option<(&Event, Judgement)> {
    let event = events.of(Signal::KernelDriverRefused).next()?;
    let why = "the kernel's driver found no pages: host memory, which is the card's too where both share one";
    Some((event, Judgement::new(Cause::HostRamExhausted, Confidence::Low, why)))
}

/// The part that ollama leaves to the host about fills it.
fn host_part(events: &Events) -> Option<(&Event, Judgement)> {
    let offload = events.of(Signal::Offload).last()?;
    let host = events.of(Signal::HostMemory).last()?;
    let on_host = offload.number("required_full_gib")? - offload.number("required_gpu_gib")?;
    let there = host.number("host_free_gib")? + host.number("free_swap_mib")? / 1024.0;
    (on_host > there * 0.95).then(|| {
        let why = format!("{on_host:.1} GiB is left to the host, which has {there:.1} GiB free with swap");
        (offload, Judgement::new(Cause::HostRamExhausted, Confidence::Low, why).on([host]))
    })
}

/// With so many GiB free a capture has room enough.
const ROOM_FOR_GRAPHS: f64 = 4.0;

/// The last thing in the log is the begin of a capture.
fn stopped_in_capture(events: &Events) -> Option<(&Event, Judgement)> {
    let event = events.list.iter().rev().find(|e| e.stage == Some(Stage::GraphCapture))?;
    if event.signal != Signal::GraphCaptureStarted || events.list.last() != Some(event) {
        return None;
    }
    if event.number("avail_mem_gb").is_some_and(|gb| gb > ROOM_FOR_GRAPHS) {
        return None;
    }
    let last = events.last_text.get(event.place.file)?;
    (event.place.last_line >= *last).then(|| {
        (
            event,
            Judgement::new(
                Cause::CudaGraphCapture,
                Confidence::Low,
                "the log ends while graphs are captured; they take memory outside the budget",
            ),
        )
    })
}

/// The frame with which the log ends, where it ends inside a traceback.
fn cut_traceback(events: &Events) -> Option<&Event> {
    let frame = events.list.iter().rev().find(|e| e.role == Role::Frame)?;
    let last = events.last_text.get(frame.place.file)?;
    let begins = |e: &&Event| {
        matches!(e.signal, Signal::Traceback | Signal::WorkerException)
            && e.place < frame.place
            && e.place.file == frame.place.file
    };
    let traceback = events.list.iter().rfind(begins)?;
    (frame.place.line + 2 >= *last && frame.place.line.saturating_sub(traceback.place.line) < 200).then_some(frame)
}

/// All weights were placed by an automatic split, and the first pass through them breaks off.
fn cut_after_load(events: &Events) -> Option<(&Event, Judgement)> {
    let frame = cut_traceback(events)?;
    let loaded = events.of(Signal::Loaded).filter(|e| e.place < frame.place).last()?;
    Some((
        frame,
        Judgement::new(
            Cause::UnevenSplitOrRankExtra,
            Confidence::Low,
            "all modules were placed and the first pass breaks off; the log ends before the error. An automatic split that leaves no room on one card reads like this",
        )
        .on([loaded]),
    ))
}

/// A worker's forward pass breaks off while requests are served.
fn cut_while_serving(events: &Events) -> Option<(&Event, Judgement)> {
    let frame = cut_traceback(events).filter(|e| matches!(e.stage, Some(Stage::Forward | Stage::Serving)))?;
    let worker = events.of(Signal::WorkerException).filter(|e| e.place < frame.place).last()?;
    Some((
        worker,
        Judgement::new(
            Cause::ActivationOrLogitsPeak,
            Confidence::Low,
            "a worker's forward pass breaks off while serving, and the log ends before the error; activations outside the static share are the usual reason",
        )
        .on([frame]),
    ))
}
