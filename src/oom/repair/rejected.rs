//! Popular remedies that cannot help in the case at hand.

use super::{Cause, Context, RejectedRepair};
use crate::profiles::oom::Signal;

/// The remedies and why they do not help.
pub(in crate::oom) fn rejected(context: &Context<'_>, cause: Cause) -> Vec<RejectedRepair> {
    let mut list = Vec::new();
    let mut reject = |change: &str, why: String| list.push(RejectedRepair { change: change.to_owned(), why });
    let numbers = &context.allocation;
    let is_allocation = context.failure.signal == Signal::Allocation;
    if is_allocation && cause != Cause::Fragmentation && cause != Cause::Unknown {
        let (free, cached) = (numbers.free.unwrap_or_default(), numbers.unallocated.unwrap_or_default());
        match numbers.requested {
            Some(requested) if free + cached < requested => reject(
                "expandable_segments:True",
                format!(
                    "{free} free and {cached} cached make less than the {requested} asked for, in whatever pieces; the message names this remedy always"
                ),
            ),
            _ => {}
        }
        reject(
            "gradient checkpointing",
            "it trades activations of a backward pass, which inference does not have".to_owned(),
        );
    }
    if let Some(share) = context.facts.memory_share.filter(|s| *s >= 0.95)
        && matches!(cause, Cause::KvCacheTooSmallForMaxLen | Cause::NoMemoryLeftForKv)
    {
        reject(
            "a larger share of the card",
            format!("it is {share} already, and what lies outside the budget needs the rest"),
        );
    }
    match cause {
        Cause::ActivationOrLogitsPeak | Cause::CudaGraphCapture | Cause::SamplerWarmup => {
            reject("a larger share for the pool", "it takes from just the memory that was missing".to_owned());
        }
        Cause::NoMemoryLeftForKv if context.failure.signal == Signal::StaticShareTooSmall => {
            reject(
                "a smaller --mem-fraction-static",
                "the share must hold the weights first; lowering it is right for failures at run time".to_owned(),
            );
        }
        Cause::HostRamExhausted => {
            reject("a smaller share of the card", "the host ran out of memory, not the card".to_owned())
        }
        Cause::TpNotDivisible => {
            reject("fewer tokens or a smaller cache", "the refusal is about shapes, not about memory".to_owned())
        }
        Cause::OtherProcessOnGpu => {
            reject("a smaller model", "the memory is held by another process before this one needs it".to_owned());
        }
        _ => {}
    }
    list
}
