//! The lines that vLLM prints on memory while it starts, as far as a plan knows their figures.

use super::eras;
use super::extras::offload;
use super::pool::on;
use super::words::{Value, fill};
use crate::engines::{Account, Component, Demand, Deployment, EnginePlan, RankPlan};
use crate::profiles::{VllmEra, Words};
use crate::units::Bytes;

/// Lines of all ranks, those of several equal ranks once, then the refusal if there is one.
pub fn lines(deployment: &Deployment<'_>, plan: &EnginePlan) -> Vec<String> {
    let Some(first) = deployment.fleet.cards.first() else { return Vec::new() };
    let Ok(era) = eras::era(deployment.version, first, deployment.settings) else { return Vec::new() };
    let several = plan.ranks.len() > 1;
    let expected = plan.refusals[Demand::Expected as usize].as_ref();
    let mut lines: Vec<String> = Vec::new();
    let mut printed: Vec<(Vec<String>, Vec<usize>)> = Vec::new();
    for (index, rank) in plan.ranks.iter().enumerate() {
        let Some(card) = deployment.fleet.cards.get(rank.card) else { continue };
        let own = Rank { era, rank, total: card.capacity, plan, deployment }.lines();
        match printed.iter_mut().find(|(same, _)| *same == own) {
            Some((_, ranks)) => ranks.push(index),
            None => printed.push((own, vec![index])),
        }
    }
    for (own, ranks) in printed {
        let prefix = match (several, ranks.as_slice()) {
            (false, _) | (true, []) => String::new(),
            (true, [rank]) => format!("(rank {rank}) "),
            (true, [first, .., last]) => format!("(ranks {first}-{last}) "),
        };
        lines.extend(own.into_iter().map(|line| format!("{prefix}{line}")));
    }
    match expected {
        Some(refusal) => lines.push(refusal.message.clone()),
        None => lines.extend(of_pool(&era.words, deployment, plan)),
    }
    lines
}

/// Lines that the engine prints once.
fn of_pool(words: &Words, deployment: &Deployment<'_>, plan: &EnginePlan) -> Vec<String> {
    let block: u64 = plan.kv.blocks.unwrap_or(0);
    let pool = plan.ranks.first().map_or(Bytes::ZERO, |r| r.kv[Demand::Expected as usize]);
    let swap = swap_space(deployment).0.saturating_mul(block).checked_div(pool.0).unwrap_or(0);
    let values = [
        ("blocks", Value::Count(block)),
        ("host_blocks", Value::Count(swap)),
        ("tokens", Value::Count(plan.kv.printed_tokens.unwrap_or_default().0)),
        ("length", Value::Count(plan.workload.max_model_len.unwrap_or_default().0)),
        ("concurrency", Value::Ratio(plan.kv.max_concurrency.unwrap_or(0.0))),
    ];
    filled([&words.blocks, &words.tokens, &words.concurrency], &values)
}

fn swap_space(deployment: &Deployment<'_>) -> Bytes {
    let era =
        deployment.fleet.cards.first().and_then(|card| eras::era(deployment.version, card, deployment.settings).ok());
    era.and_then(|era| offload::swap(deployment.settings, era).ok()).unwrap_or(Bytes::ZERO)
}

fn filled<'a>(templates: impl IntoIterator<Item = &'a String>, values: &[(&str, Value)]) -> Vec<String> {
    templates.into_iter().filter(|t| !t.is_empty()).map(|t| fill(t, values)).collect()
}

/// One rank's lines.
struct Rank<'a> {
    era: &'a VllmEra,
    rank: &'a RankPlan,
    total: Bytes,
    plan: &'a EnginePlan,
    deployment: &'a Deployment<'a>,
}

impl Rank<'_> {
    fn sum(&self, keep: impl Fn(Component) -> bool) -> Bytes {
        let lines = self.rank.lines.iter().filter(|l| l.account == Account::Budget && keep(l.component));
        lines.map(|l| l.estimate.expected).sum()
    }

    fn lines(&self) -> Vec<String> {
        let rank = self.rank;
        let loaded = rank
            .lines
            .iter()
            .filter(|l| l.component == Component::Weights || l.what == "rests of blocks")
            .map(|l| l.estimate.expected)
            .sum::<Bytes>();
        let activation = self.sum(|c| c == Component::Activation);
        let graphs = self.sum(|c| c == Component::CudaGraph);
        let charged = on(rank, Account::Budget, Demand::Expected);
        let budget = rank.budget.unwrap_or(Bytes::ZERO);
        let fixed = self.deployment.settings.kv_cache_memory;
        let available = fixed.map_or(budget.delta(charged).0 as f64 / (1u64 << 30) as f64, Bytes::as_gib);
        let fraction = self.plan.workload.knobs.iter().find(|(name, _)| *name == "gpu_memory_utilization");
        let at_start = on(rank, Account::Baseline, Demand::Expected);
        let values = [
            ("weights", Value::Amount(loaded)),
            ("total", Value::Amount(self.total)),
            ("fraction", Value::Ratio(fraction.and_then(|(_, v)| v.as_f64()).unwrap_or(0.0))),
            ("budget", Value::Amount(budget)),
            ("activation", Value::Amount(activation)),
            ("non_torch", Value::Amount(self.sum(|c| matches!(c, Component::Context | Component::Communication)))),
            ("available", Value::Gibibytes(available)),
            ("free", Value::Amount(self.total.saturating_sub(at_start))),
            ("consumed", Value::Amount(charged.saturating_sub(activation + graphs))),
            ("peak", Value::Amount(activation + graphs)),
            ("graphs", Value::Amount(graphs)),
        ];
        let words = &self.era.words;
        let refusals = &self.plan.refusals[Demand::Expected as usize];
        let early =
            refusals.as_ref().is_some_and(|r| r.message == "CUDA out of memory." || r.message.starts_with("Free"));
        if early {
            return Vec::new();
        }
        filled([&words.loading, &words.budget, &words.profile, &words.available, &words.closing], &values)
    }
}
