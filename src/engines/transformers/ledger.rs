//! One ledger a card.

use std::sync::Arc;

use super::kernels;
use super::loading;
use super::options::Options;
use super::runtime::{CACHE_OBJECT, Duties, Runtime, token_bytes};
use crate::engines::{Account, Component, Demand, KvGroup, Line, RankPlan, ShardTotals, Version};
use crate::hardware::Card;
use crate::model::{IndexSet, LayerCache, Model, Part};
use crate::profiles::TransformersProfile;
use crate::sharding::{RankTensor, Where};
use crate::units::{Basis, Bytes, Estimate, Formula, Tokens};

/// What all cards share.
pub(super) struct Ledger<'a> {
    pub model: &'a Model,
    pub options: &'a Options,
    pub version: Version,
    pub profile: &'a TransformersProfile,
}

/// One card's part.
pub(super) struct CardShare<'a> {
    pub index: u32,
    pub card: &'a Card,
    pub tensors: Vec<RankTensor>,
    /// Layers kept elsewhere that are brought here to compute, with their largest tensor.
    pub visiting: (IndexSet, Bytes),
    pub duties: Duties,
}

/// Decoder layers of some tensors.
pub(super) fn layers(tensors: &[RankTensor]) -> IndexSet {
    let of_decoder = |t: &&RankTensor| matches!(t.part, Part::Attention | Part::Ssm);
    IndexSet::from_indices(tensors.iter().filter(of_decoder).flat_map(|t| match &t.place {
        Where::Layers(layers) | Where::Experts { layers, .. } => layers.iter().collect::<Vec<_>>(),
        Where::Once => Vec::new(),
    }))
}

impl Ledger<'_> {
    fn runtime(&self) -> Runtime<'_> {
        Runtime { model: self.model, options: self.options, version: self.version, profile: self.profile }
    }

    /// A card's ledger.
    pub(super) fn rank(&self, part: CardShare<'_>) -> RankPlan {
        let changes = kernels::changes(&part.tensors, self.model, self.options, self.version);
        let own = layers(&part.tensors);
        let computing = IndexSet::from_indices(own.iter().chain(part.visiting.0.iter()));
        let groups = self.groups(&computing);
        let totals = ShardTotals::new(part.tensors, changes);
        let mut lines = self.fixed_lines(&totals, part.card, part.visiting.1);
        lines.extend(self.growing_lines(&groups, self.options.length, part.duties));
        let kv = self.runtime().cache(&groups, self.options.length);
        let growing = groups.iter().filter(|g| !matches!(g.cache, LayerCache::State(_)));
        let per_token: Bytes = growing.map(|g| g.page_bytes * g.layers).sum();
        let first = own.iter().next().unwrap_or(0);
        RankPlan {
            tp_rank: None,
            pp_rank: None,
            layers: first..own.iter().last().map_or(first, |last| last + 1),
            card: part.index as usize,
            budget: None,
            load_peak: loading::peak(self.model, &totals, part.card, self.options, self.version),
            kv: [kv; 3],
            kv_line: Line {
                account: Account::Budget,
                component: Component::KvCache,
                what: "cache of the stated workload",
                estimate: Estimate::exact(
                    kv,
                    Basis::Derived,
                    Formula::with(
                        "sequences·tokens·layers·2·KV heads·width·bytes",
                        &[
                            ("sequences", self.options.sequences),
                            ("tokens", self.options.length),
                            ("per token", per_token.0),
                        ],
                    ),
                ),
            },
            kv_bytes_per_token: (groups.len() <= 1).then_some(per_token),
            kv_groups: groups,
            tensors: Arc::new(totals),
            lines,
        }
    }

    /// The kinds of cache among some layers.
    fn groups(&self, layers: &IndexSet) -> Vec<KvGroup> {
        let all = self.model.caches.iter().map(|group| KvGroup {
            layers: layers.iter().filter(|layer| group.layers.contains(*layer)).count() as u64,
            cache: group.cache,
            page_bytes: token_bytes(&group.cache, self.options.dtype),
            block_size: 1,
        });
        all.filter(|group| group.layers > 0).collect()
    }

    /// Lines that do not depend on the length.
    fn fixed_lines(&self, totals: &ShardTotals, card: &Card, visitor: Bytes) -> Vec<Line> {
        let line = |account, component, what, estimate| Line { account, component, what, estimate };
        let budget = |component, what, estimate| line(Account::Budget, component, what, estimate);
        let rounding = &self.profile.allocator;
        let of_weights = |share: f64| Bytes((totals.resident.0 as f64 * share) as u64);
        let mut lines = vec![
            budget(
                Component::Weights,
                "parameters and buffers",
                Estimate::exact(
                    totals.resident,
                    Basis::Derived,
                    Formula::with("whole modules as mapped", &[("constructed", totals.constructed.0)]),
                ),
            ),
            budget(
                Component::Allocator,
                "rounding of blocks and segments",
                Estimate::between(
                    of_weights(rounding.low),
                    of_weights(rounding.expected),
                    of_weights(rounding.high),
                    Basis::Profile,
                    Formula::plain("0 to 0.03 of the weights"),
                ),
            ),
            budget(
                Component::Activation,
                "workspaces of matrix multiplication",
                self.profile.workspace.size.estimate("per card"),
            ),
            line(Account::Baseline, Component::Context, "CUDA context", card.context.clone()),
            line(
                Account::Baseline,
                Component::OtherProcesses,
                "processes that were there before",
                Estimate::exact(card.other_processes, Basis::Measured, Formula::plain("used before the start")),
            ),
        ];
        if let Some((what, estimate)) = kernels::scratch(&totals.tensors, self.model, self.options) {
            lines.push(budget(Component::Activation, what, estimate));
        }
        if visitor > Bytes::ZERO {
            let rule = "largest tensor kept in host memory or on disk";
            let estimate = Estimate::exact(visitor, Basis::Derived, Formula::plain(rule));
            lines.push(budget(Component::Activation, "weights brought in to compute", estimate));
        }
        lines
    }

    /// Lines that grow with the length.
    fn growing_lines(&self, groups: &[KvGroup], length: u64, duties: Duties) -> [Line; 2] {
        let runtime = self.runtime();
        let kv = runtime.cache(groups, length);
        let growth = &self.profile.cache_growth;
        let of_cache = |share: f64| Bytes((kv.0 as f64 * share) as u64);
        let peaks = runtime.peaks(groups, length, duties);
        let prompt = self.options.prompt(length);
        [
            Line {
                account: Account::Budget,
                component: Component::Allocator,
                what: "blocks left by a cache that grows by concatenation",
                estimate: Estimate::between(
                    of_cache(growth.low),
                    of_cache(growth.expected),
                    of_cache(growth.high),
                    Basis::Assumed,
                    Formula::plain("0 to 0.4 of the cache"),
                ),
            },
            Line {
                account: Account::Budget,
                component: Component::Activation,
                what: "activations and logits above the cache",
                estimate: Estimate::between(
                    if self.version < CACHE_OBJECT { peaks.decode } else { peaks.least },
                    peaks.highest(),
                    Bytes((peaks.highest().0 as f64 * self.profile.prefill.high) as u64),
                    Basis::Profile,
                    Formula::with(
                        "max(prompt: B·T·(8·H + 6·F) or logits, decode: one layer's keys)",
                        &[
                            ("B·T", self.options.sequences.saturating_mul(prompt)),
                            ("H", self.model.hidden_size),
                            ("F", self.model.intermediate_size),
                            ("prompt", peaks.prefill.0),
                            ("decode", peaks.decode.0),
                        ],
                    ),
                ),
            },
        ]
    }

    /// The longest text whose cache and peaks fit on every card at the best figures, at most what the model supports.
    pub(super) fn longest(&self, ranks: &[(RankPlan, Duties)], cards: &[Card]) -> Option<Tokens> {
        let limit = self.model.max_position?;
        let fits = |length: u64| {
            ranks.iter().all(|(rank, duties)| {
                let grown = self.growing_lines(&rank.kv_groups, length, *duties);
                let kv = self.runtime().cache(&rank.kv_groups, length);
                let fixed = rank.lines.iter().rev().skip(grown.len()).map(|l| l.estimate.expected).sum::<Bytes>();
                let growing = grown.iter().map(|l| Demand::Expected.of(&l.estimate)).sum::<Bytes>();
                fixed + growing + kv <= cards[rank.card].capacity
            })
        };
        let (mut low, mut high) = (0, limit + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        (low > 0).then_some(Tokens(low))
    }
}
