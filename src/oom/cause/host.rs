//! Failures of the host: its memory, the container's limits, pinned and shared memory.

use super::{Confidence, Context, Judgement};
use crate::engines::Cause;
use crate::profiles::oom::{Role, Signal};

pub(super) fn judge(context: &Context<'_>) -> Option<Judgement> {
    let host = |confidence, why: &str| Some(Judgement::new(Cause::HostRamExhausted, confidence, why));
    match context.failure.signal {
        Signal::HostKilled => Some(killed(context)),
        Signal::RayWorkerDied => host(
            Confidence::Medium,
            "a worker vanished without an error of its own, as under the host's OOM killer; each worker reads its checkpoint into host memory",
        ),
        Signal::SharedMemoryFull if context.failure.fields.contains_key("bus_error") => host(
            Confidence::Medium,
            "a bus error: pages of a mapped file could not be had, as when the shared memory of the container is full",
        ),
        Signal::SharedMemoryFull => {
            host(Confidence::High, "the shared memory of the container is full (Docker gives 64 MiB by default)")
        }
        Signal::PinnedMemoryRefused => {
            host(Confidence::High, "pinned host memory was refused; the card is not what ran out")
        }
        Signal::HostAllocationFailed => host(Confidence::High, "an allocation in host memory failed"),
        Signal::SystemMemoryShort => Some(system_memory(context)),
        Signal::DriverOutOfMemory => driver(context),
        _ => None,
    }
}

fn killed(context: &Context<'_>) -> Judgement {
    let kernel = context.failure.text("kernel");
    if kernel.is_some_and(|word| word.starts_with("not")) {
        return Judgement::new(
            Cause::Unknown,
            Confidence::Medium,
            "the process was killed from outside, and the kernel counted no kill for want of memory: someone or something else ended it",
        )
        .not(Cause::HostRamExhausted, "the kernel's own count of such kills did not move");
    }
    let why = match context.events.field("constraint").map(ToString::to_string).as_deref() {
        Some("CONSTRAINT_MEMCG") => "the container's memory limit was reached and the kernel killed the process".to_owned(),
        Some(_) => "the host's memory was used up and the kernel killed the process".to_owned(),
        None => "the process was killed from outside (SIGKILL), as by the host's OOM killer, and no error of the card came before".to_owned(),
    };
    let from_kernel =
        kernel.is_some() || context.events.of(Signal::HostKilled).any(|e| e.pattern.starts_with("kernel."));
    let confidence = if from_kernel { Confidence::High } else { Confidence::Medium };
    Judgement::new(Cause::HostRamExhausted, confidence, why)
        .on(context.events.of(Signal::HostKilled).filter(|e| e.place != context.failure.place).take(2))
        .not(Cause::WeightsDoNotFit, "the card reports no failed allocation")
}

/// A model so many times larger than what is free does not fit the machine, however much of it is made free.
const OUT_OF_REACH: u64 = 6;

fn system_memory(context: &Context<'_>) -> Judgement {
    let bytes = |names: [&str; 2]| names.iter().find_map(|name| context.failure.bytes(name));
    let (need, have) = (bytes(["required_gib", "required_gb"]), bytes(["available_gib", "available_gb"]));
    let text = |b: Option<crate::units::Bytes>| b.map_or_else(|| "?".to_owned(), |b| b.to_string());
    let total = context.failure.bytes("host_total_gib");
    let why = match total {
        Some(total) => format!("{} of host memory is asked for, and the host has {total} in all", text(need)),
        None => format!("{} is needed in host memory and {} is free there with swap", text(need), text(have)),
    };
    let Some(need) = need.filter(|_| have.or(total).is_some()) else {
        return Judgement::new(
            Cause::HostRamExhausted,
            Confidence::Low,
            "the child process ended without a word and the engine itself guesses at too little memory",
        );
    };
    // Without a card the weights live in host memory. What tidying up cannot free is missing for good.
    let for_good = match context.facts.capacity.or(total) {
        Some(machine) => need > machine,
        None => have.is_some_and(|have| need.0 / OUT_OF_REACH > have.0),
    };
    if context.facts.cards == Some(0) && for_good {
        return Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::High,
            format!("{why}; without a card that is where the weights live"),
        );
    }
    Judgement::new(Cause::HostRamExhausted, Confidence::High, why)
        .not(Cause::WeightsDoNotFit, "the figure counts what does not go to the card")
}

/// The part in use from which on a card has no room for another process.
const NEARLY_FULL: f64 = 0.9;

/// A driver call that failed for want of memory: the host's, where the card had room.
fn driver(context: &Context<'_>) -> Option<Judgement> {
    if context.failure.text("call") == Some("cuMemAddressReserve") {
        return Some(Judgement::new(
            Cause::Unknown,
            Confidence::Medium,
            "reserving addresses failed, which takes no memory of the card: a limit of the system (often WSL), not exhaustion",
        ));
    }
    if context.failure.text("function").is_some() {
        return None;
    }
    if let Some(wsl) = context.events.of(Signal::Wsl).next() {
        return Some(
            Judgement::new(
                Cause::HostRamExhausted,
                Confidence::Medium,
                "under WSL pinned host memory is capped, and its refusal reads like this",
            )
            .on([wsl]),
        );
    }
    // Of a table of cards the one that the process takes: as the message names it, else the first.
    let device = context.failure.number("device").filter(|d| *d >= 0.0).unwrap_or_default() as usize;
    let card = context
        .events
        .of(Signal::CardInUse)
        .nth(device)
        .and_then(|e| Some((e, e.number("used_mib")? / e.number("total_mib").filter(|total| *total > 0.0)?)));
    if let Some((event, _)) = card.filter(|(_, part)| *part > NEARLY_FULL && context.stage.is_none()) {
        return Some(
            Judgement::new(
                Cause::OtherProcessOnGpu,
                Confidence::Low,
                "the table of cards shows this one nearly full, and the call that failed tells no numbers of its own",
            )
            .on([event]),
        );
    }
    if let Some((event, _)) = card.filter(|(_, part)| *part < 0.5) {
        return Some(
            Judgement::new(
                Cause::HostRamExhausted,
                Confidence::Medium,
                "most of the card is free while the call fails: pinned host memory is what was refused",
            )
            .on([event]),
        );
    }
    // V0 pins its swap space right after it has sized the pool.
    let blocks = context.before(Signal::KvBlocks).filter(|e| {
        e.number("gpu_blocks").is_some_and(|n| n > 0.0) && e.number("cpu_blocks").is_some_and(|n| n > 0.0)
    })?;
    let between = context.events.list.iter().filter(|e| {
        matches!(e.role, Role::State | Role::Frame) && e.place > blocks.place && e.place < context.failure.place
    });
    (between.count() == 0).then(|| {
        Judgement::new(
            Cause::HostRamExhausted,
            Confidence::Medium,
            "the pool was sized and the call that follows pins host memory for the swap space",
        )
        .on([blocks])
    })
}
