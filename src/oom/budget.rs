//! Where the bytes of the card went: what the log states, beside what a plan gives.

use super::cause::Context;
use crate::engines::{Component, Demand};
use crate::planning::{PlanRequest, plan};
use crate::units::Bytes;

/// One line of a card's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetLine {
    /// What it is: a component of plans, or one of the parts that allocators tell apart.
    pub component: String,
    /// By the log.
    pub stated: Option<Bytes>,
    /// By the plan.
    pub planned: Option<Bytes>,
    /// Whether the log states clearly more than the plan gives.
    pub is_larger: bool,
}

/// A card's ledger at the failure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Budget {
    /// The card's total.
    pub capacity: Option<Bytes>,
    /// What was asked for.
    pub requested: Option<Bytes>,
    /// What was free.
    pub free: Option<Bytes>,
    /// The lines.
    pub lines: Vec<BudgetLine>,
}

/// The ledger of the card that failed; `None` where log and plan say nothing of it.
pub(super) fn budget(context: &Context<'_>, request: Option<&PlanRequest>) -> Option<Budget> {
    let allocation = &context.allocation;
    let planned = request.and_then(|request| planned(context, request));
    let stated = |names: &[&str]| names.iter().find_map(|name| context.events.list.iter().find_map(|e| e.bytes(name)));
    let mut lines = Vec::new();
    let mut add = |component: &str, stated: Option<Bytes>, planned: Option<Bytes>| {
        let stated = stated.filter(|b| *b > Bytes::ZERO);
        let planned = planned.filter(|b| *b > Bytes::ZERO);
        if stated.is_some() || planned.is_some() {
            let is_larger = stated.zip(planned).is_some_and(|(s, p)| s.0 > p.0 + p.0 / 5 + (256 << 20));
            lines.push(BudgetLine { component: component.to_owned(), stated, planned, is_larger });
        }
    };
    let of =
        |component: Component| planned.as_ref().and_then(|p| p.iter().find(|(c, _)| *c == component)).map(|(_, b)| *b);
    add("weights", stated(&["weights_gib", "weights_gb", "model_buffer_mib"]), of(Component::Weights));
    add("kv_cache", stated(&["kv_cache_gib", "kv_available_gib", "kv_mib", "kv_gib"]), of(Component::KvCache));
    add("activation", stated(&["activation_peak_gib"]), of(Component::Activation));
    add("cuda_graph", stated(&["graph_gib", "graph_estimate_gib", "graph_estimate_mib"]), of(Component::CudaGraph));
    add("non_torch", stated(&["non_torch_gib"]), None);
    add("tensors", allocation.allocated, None);
    add("cached_by_allocator", allocation.unallocated, None);
    add("beside_allocator", allocation.beside_allocator(), of(Component::Context));
    let others = allocation.held_by_others().filter(|b| b.0 > 256 << 20);
    let at_start =
        context.failure.bytes("total_gib").zip(context.failure.bytes("free_gib")).map(|(t, f)| t.saturating_sub(f));
    add("other_processes", others.or(at_start), of(Component::OtherProcesses));
    let budget = Budget {
        capacity: context.total(),
        requested: allocation.requested,
        free: allocation.free.or_else(|| context.failure.bytes("free_gib")),
        lines,
    };
    (!budget.lines.is_empty()).then_some(budget)
}

/// The expected sums of the rank on the card that failed, else of the rank that limits.
fn planned(context: &Context<'_>, request: &PlanRequest) -> Option<Vec<(Component, Bytes)>> {
    let planned = plan(request).ok()?;
    let device = context.failure.number("device").map(|d| d as usize);
    let on_device = device.and_then(|d| planned.plan.ranks.iter().find(|r| r.card == d));
    let rank = on_device.or_else(|| planned.plan.ranks.get(planned.verdict.limiting_rank))?;
    debug_assert!(rank.steady(Demand::Expected) >= rank.expected(Component::Weights));
    Some(Component::ALL.iter().map(|component| (*component, rank.expected(*component))).collect())
}
