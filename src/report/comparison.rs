//! `shardfit/comparison/1`: the same deployment under several engine versions, line by line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PlanReport, RankReport};

/// Plans beside each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonReport {
    /// `shardfit/comparison/1`.
    pub schema: String,
    /// The verdict and what differs, in the order of a plan.
    pub differences: Vec<DifferenceReport>,
    /// The plans, in the order named.
    pub plans: Vec<PlanReport>,
}

/// One line that is not the same in all plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceReport {
    /// What it is.
    pub what: String,
    /// Its value in each plan, as people read it; `null` where a plan has no such line.
    pub values: Vec<Option<String>>,
}

impl ComparisonReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "shardfit/comparison/1";

    /// Compares plans of one deployment: verdict, workload, the ledger of the rank that decides, the pool.
    #[must_use]
    pub fn new(plans: Vec<PlanReport>) -> Self {
        let mut rows: Vec<DifferenceReport> = Vec::new();
        for (i, plan) in plans.iter().enumerate() {
            // A line that the plans before lack stands behind the one that precedes it here.
            let mut next = 0;
            for (what, value) in lines(plan) {
                let place = rows.iter().position(|row| row.what == what).unwrap_or_else(|| {
                    rows.insert(next, DifferenceReport { what, values: vec![None; plans.len()] });
                    next
                });
                rows[place].values[i] = Some(value);
                next = place + 1;
            }
        }
        // The verdict is the answer, and stands there even when all plans agree on it.
        let differs = |row: &DifferenceReport| row.what == VERDICT || row.values.iter().any(|v| *v != row.values[0]);
        let differences = rows.into_iter().filter(differs).collect();
        Self { schema: Self::SCHEMA.to_owned(), differences, plans }
    }
}

/// The line that says whether it fits.
const VERDICT: &str = "verdict";

/// What is compared, as people read it.
fn lines(plan: &PlanReport) -> Vec<(String, String)> {
    let mut lines = vec![(VERDICT.to_owned(), plan.verdict.state.replace('_', " "))];
    let mut push = |what: &str, value: Option<String>| lines.extend(value.map(|value| (what.to_owned(), value)));
    let workload = &plan.workload;
    push("longest sequence", workload.max_model_len.map(|n| n.to_string()));
    push("sequences at once", workload.max_num_seqs.map(|n| n.to_string()));
    push("tokens of a step", workload.max_num_batched_tokens.map(|n| n.to_string()));
    for (knob, value) in &workload.knobs {
        push(&knob.replace('_', " "), Some(value.to_string()));
    }
    if let Some(rank) = decisive(plan) {
        push("budget", rank.budget_bytes.map(|bytes| format!("{bytes:.2}")));
        for line in &rank.lines {
            push(&format!("{} ({})", line.what, line.account), Some(format!("{:.2}", line.expected)));
        }
        push("total", Some(format!("{:.2}", rank.total_bytes)));
    }
    let capacity = &plan.capacity;
    push("KV blocks", capacity.kv_blocks.map(|n| n.to_string()));
    push("KV tokens", capacity.kv_cache_tokens.map(|n| n.to_string()));
    push("KV tokens printed", capacity.printed_kv_cache_tokens.map(|n| n.to_string()));
    push("sequences that fit", capacity.max_concurrency.map(|x| format!("{x:.2}")));
    push("longest context", capacity.longest_context_that_fits.map(|n| n.to_string()));
    lines
}

/// The rank that decides a plan.
fn decisive(plan: &PlanReport) -> Option<&RankReport> {
    plan.ranks.get(plan.verdict.limiting_rank.unwrap_or(0) as usize).or_else(|| plan.ranks.first())
}
