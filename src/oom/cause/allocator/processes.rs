//! Who else holds memory of the card: other ranks, strangers, or another library of the same process.

use super::super::{Confidence, Context, Judgement};
use super::{has_room, is_too_large_for_any};
use crate::engines::Cause;
use crate::oom::Allocation;
use crate::profiles::oom::{Signal, Stage};
use crate::units::Bytes;

/// Memory that no figure of the process accounts for, above which another process is there.
const UNACCOUNTED: Bytes = Bytes(1_288_490_189);
/// The same once kernels, handles and workspaces of a serving process have come on top, where no message tells its whole size.
const UNACCOUNTED_SERVING: Bytes = Bytes::gib(2);
/// Numbers of processes that one launcher starts lie no further apart.
const ONE_START: f64 = 64.0;

/// Other ranks of the same job on this card.
pub(super) fn own_ranks(context: &Context<'_>) -> Option<Judgement> {
    let pids = match context.failure.fields.get("pids") {
        Some(crate::oom::Value::Numbers(pids)) if pids.len() >= 2 => pids,
        _ => return None,
    };
    let others = &context.allocation.others;
    let (least, most) = (others.iter().min()?, others.iter().max()?);
    let alike = others.len() >= 2 && most.0 - least.0 <= most.0 / 20;
    let near = pids.iter().all(|pid| pids.iter().any(|other| other != pid && (other - pid).abs() <= ONE_START));
    // One stranger among many ranks changes nothing.
    let consecutive = neighbours(pids) * 3 > pids.len() * 2;
    // Bare contexts fill no card.
    let is_much = others.iter().sum::<Bytes>() > UNACCOUNTED;
    (others.len() >= 2 && is_much && (alike && near || consecutive)).then(|| {
        Judgement::new(
            Cause::UnevenSplitOrRankExtra,
            Confidence::Medium,
            format!(
                "{} more processes with neighbouring numbers hold {} on this card: ranks of the same job that put something on it",
                others.len(),
                others.iter().sum::<Bytes>()
            ),
        )
        .not(Cause::OtherProcessOnGpu, "strangers would not have neighbouring process numbers and like sizes")
    })
}

/// How many of these processes were started one right after the other.
fn neighbours(pids: &[f64]) -> usize {
    let mut sorted = pids.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (mut run, mut longest) = (1, 0);
    for pair in sorted.windows(2) {
        run = if pair[1] - pair[0] <= 3.0 { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    longest
}

pub(super) fn other_processes(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let is_remainder = numbers.others.is_empty() && numbers.process.is_none();
    let serves = context.is_at(&[Stage::Serving, Stage::Forward, Stage::SamplerWarmup, Stage::GraphCapture]);
    let usual = match numbers.total {
        // The executables of captured graphs and the libraries' workspaces grow with the card.
        Some(total) if is_remainder && serves && numbers.private_pools.is_some() => {
            UNACCOUNTED_SERVING.max(Bytes(total.0 / 10))
        }
        _ if is_remainder && serves => UNACCOUNTED_SERVING,
        _ => UNACCOUNTED,
    };
    let held = numbers.held_by_others().filter(|held| *held > usual)?;
    // Room for the block would have been there: whoever holds the rest is not to blame.
    if has_room(numbers) {
        return None;
    }
    let requested = numbers.requested.unwrap_or_default();
    // Nor would the block fit without them.
    if numbers.free.unwrap_or_default() + held < requested {
        return None;
    }
    // A remainder that no process is named for is no neighbour where the process's own cache alone would hold the block.
    let in_own_cache = numbers.unallocated.is_some_and(|cached| cached >= requested && cached > held);
    if numbers.others.is_empty() && in_own_cache {
        return None;
    }
    let total = numbers.total?;
    let own = numbers.process.or(numbers.reserved())?;
    // What no message lists is only inferred: not where an empty card would be too small, nor where all ranks show the same.
    if numbers.others.is_empty() && (is_too_large_for_any(context, total) || is_the_same_everywhere(context)) {
        return None;
    }
    // A remainder holds this process's own context too.
    let is_certain = held.0 > total.0 / 10 && !(is_remainder && held.0 < own.0 / 4);
    Some(
        Judgement::new(
            Cause::OtherProcessOnGpu,
            if is_certain { Confidence::High } else { Confidence::Medium },
            format!(
                "this process holds {own} of {total}, {} is free, and {held} belongs to others",
                numbers.free.unwrap_or_default()
            ),
        )
        .not(Cause::WeightsDoNotFit, format!("this process holds {own} only")),
    )
}

/// Whether ranks on other cards miss just as much, and less than they hold: memory of the job itself, outside of PyTorch.
fn is_the_same_everywhere(context: &Context<'_>) -> bool {
    let numbers = &context.allocation;
    let Some((held, own)) = numbers.held_by_others().zip(numbers.reserved()) else { return false };
    if held.0 > own.0 / 2 {
        return false;
    }
    let device = context.failure.number("device");
    let mut peers = context.peers().filter(|e| e.number("device").is_some() && e.number("device") != device);
    peers.any(|e| {
        let theirs = Allocation::read(e).held_by_others();
        theirs.is_some_and(|theirs| theirs.0.abs_diff(held.0) <= held.0 / 50)
    })
}

/// Not even a context could be made.
pub(super) fn no_context(context: &Context<'_>) -> Option<Judgement> {
    let at_start = context.is_at(&[Stage::Startup]) && context.failure.signal == Signal::DriverOutOfMemory;
    at_start.then(|| {
        Judgement::new(
            Cause::OtherProcessOnGpu,
            Confidence::Medium,
            "the first call to the card fails, before this process holds anything on it: others fill it",
        )
        .on(context.stage_event)
        .not(Cause::WeightsDoNotFit, "nothing was loaded yet")
    })
}

/// The same process holds most of the card outside of PyTorch.
pub(super) fn second_runtime(context: &Context<'_>) -> Option<Judgement> {
    let (beside, total) = (context.allocation.beside_allocator()?, context.total()?);
    (beside.0 > total.0 / 2).then(|| {
        Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Low,
            format!(
                "{beside} of {total} belongs to this process and not to PyTorch: a second runtime holds its model here"
            ),
        )
        .not(Cause::OtherProcessOnGpu, "the memory is this process's own")
    })
}
