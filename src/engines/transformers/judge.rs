//! Which card dies first, when, and why.

use super::options::Options;
use crate::engines::{Cause, Component, Demand, RankPlan, Refusal};
use crate::hardware::Card;
use crate::model::Model;
use crate::sharding::{RankTensor, Where};
use crate::units::{Bytes, DType};

/// What the judgement looks at.
pub(super) struct Judge<'a> {
    pub model: &'a Model,
    pub options: &'a Options,
    pub cards: &'a [Card],
    /// Whether the same weights, spread evenly over all cards, would fit.
    pub spread_fits: bool,
}

impl Judge<'_> {
    /// The first failure in a scenario: while loading, card by card, then while running.
    pub(super) fn refusal(&self, ranks: &[RankPlan], demand: Demand) -> Option<Refusal> {
        let on = |rank: &RankPlan| self.cards[rank.card].capacity;
        let loading = ranks.iter().enumerate().find(|(_, rank)| demand.of(&rank.load_peak) > on(rank));
        if let Some((index, rank)) = loading {
            let need = demand.of(&rank.load_peak);
            return Some(self.refuse(index, self.loading_cause(rank, need), need, on(rank), self.failing(rank)));
        }
        let running = ranks.iter().enumerate().find(|(_, rank)| rank.steady(demand) > on(rank));
        let (index, rank) = running?;
        let need = rank.steady(demand);
        let peak = demand_of(rank, Component::Activation, demand);
        let cause = if need.saturating_sub(peak) > on(rank) {
            if self.uneven(rank, ranks) { Cause::UnevenSplitOrRankExtra } else { Cause::KvPoolExhaustedAtRuntime }
        } else {
            Cause::ActivationOrLogitsPeak
        };
        Some(self.refuse(index, cause, need, on(rank), None))
    }

    fn refuse(&self, rank: usize, cause: Cause, need: Bytes, have: Bytes, asked: Option<Bytes>) -> Refusal {
        let message = match asked {
            Some(size) => format!("CUDA out of memory. Tried to allocate {:.2} MiB", size.as_mib()),
            None => "CUDA out of memory.".to_owned(),
        };
        Refusal { cause, rank: Some(rank), need: Some(need), have: Some(have), message }
    }

    fn loading_cause(&self, rank: &RankPlan, need: Bytes) -> Cause {
        let halved = Bytes(rank.tensors.constructed.0 / 2);
        let by_accident = self.options.dtype == DType::F32
            && self.model.dtype.is_some_and(|d| d.bits() == 16)
            && need.saturating_sub(halved) <= self.cards[rank.card].capacity;
        if by_accident {
            return Cause::WrongDtypeFp32;
        }
        let alone = self.alone(rank);
        match (self.spread_fits, alone) {
            (true, true) => Cause::SingleGpuPlacementWhileOthersIdle,
            (true, false) => Cause::UnevenSplitOrRankExtra,
            (false, _) => Cause::WeightsDoNotFit,
        }
    }

    /// Whether everything is on this card although there are others.
    fn alone(&self, rank: &RankPlan) -> bool {
        let all = self.model.layers == rank.layers.end - rank.layers.start;
        all && self.cards.len() > 1
    }

    /// More than a fifth above the mean of all cards, where an even spread would do.
    fn uneven(&self, rank: &RankPlan, ranks: &[RankPlan]) -> bool {
        let total: u64 = ranks.iter().map(|r| load(r).0).fold(0, u64::saturating_add);
        let mean = total / self.cards.len().max(1) as u64;
        self.spread_fits && load(rank).0 > mean.saturating_add(mean / 5)
    }

    /// Size of the request that fails when tensors arrive one by one, as the allocator asks the driver for it.
    fn failing(&self, rank: &RankPlan) -> Option<Bytes> {
        let card = &self.cards[rank.card];
        let mut room = card.capacity.saturating_sub(card.other_processes).saturating_sub(card.context.expected);
        let tensors = &rank.tensors.tensors;
        let once = tensors.iter().filter(|t| t.place == Where::Once);
        let in_layers = rank.layers.clone().flat_map(|layer| {
            tensors.iter().filter(move |t| matches!(&t.place, Where::Layers(layers) if layers.contains(layer)))
        });
        // The order of a model's definition: what comes before the layers, the layers, what comes after them.
        let (before, after): (Vec<&RankTensor>, Vec<&RankTensor>) =
            once.partition(|t| t.part == crate::model::Part::Embedding);
        for tensor in before.into_iter().chain(in_layers).chain(after) {
            let size = request(tensor.bytes_each());
            if size > room {
                return Some(size);
            }
            room = room.saturating_sub(tensor.bytes_each());
        }
        None
    }
}

/// What torch's caching allocator asks the driver for: small blocks by 2 MiB, middle ones by 20 MiB, large ones rounded up to 2 MiB.
fn request(bytes: Bytes) -> Bytes {
    match bytes.0 {
        0 => Bytes::ZERO,
        1..=0x10_0000 => Bytes::mib(2),
        0x10_0001..=0x9F_FFFF => Bytes::mib(20),
        _ => bytes.round_up_to(Bytes::mib(2)),
    }
}

/// Weights and cache of a card.
fn load(rank: &RankPlan) -> Bytes {
    rank.tensors.resident + rank.kv[Demand::Expected as usize]
}

fn demand_of(rank: &RankPlan, component: Component, demand: Demand) -> Bytes {
    rank.lines.iter().filter(|l| l.component == component).map(|l| demand.of(&l.estimate)).sum()
}

/// What a reader should know about how cards are used.
pub(super) fn placement_warnings(ranks: &[RankPlan], cards: &[Card], moved: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let empty: Vec<String> =
        (0..cards.len()).filter(|card| ranks.iter().all(|r| r.card != *card)).map(|card| card.to_string()).collect();
    match empty.as_slice() {
        [] => {}
        [one] => warnings.push(format!("card {one} gets nothing: the map leaves it empty")),
        several => warnings.push(format!("cards {} get nothing: the map leaves them empty", several.join(", "))),
    }
    if moved {
        warnings.push("`.to(device)` after `device_map` gathers the whole model on one card: remove it".to_owned());
    }
    let total: u64 = ranks.iter().map(|r| load(r).0).fold(0, u64::saturating_add);
    let mean = total / ranks.len().max(1) as u64;
    for rank in ranks.iter().filter(|r| load(r).0 > mean.saturating_add(mean / 5)) {
        let above = (load(rank).0 as f64 / mean.max(1) as f64 - 1.0) * 100.0;
        warnings.push(format!("card {} holds {above:.0} % more weights and cache than the mean card", rank.card));
    }
    warnings
}
