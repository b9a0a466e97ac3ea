//! From `device_map` and `max_memory` to the tensors on each card.

use std::collections::BTreeMap;

use super::options::{Options, Placing, V5};
use super::tensors::planned_bits;
use crate::engines::{EngineError, Version};
use crate::hardware::Card;
use crate::model::Model;
use crate::sharding::{
    Caps, Device, DeviceMap, ModuleTree, Planner, RankTensor, Strategy, balance, device_shares, place,
};
use crate::units::Bytes;

/// Which tensors are where.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    /// Tensors on each device, before anything is moved.
    pub shares: BTreeMap<Device, Vec<RankTensor>>,
    /// Room that the planner kept for modules it might bring back, on the first card.
    pub reserved: Bytes,
}

/// Whose planner a version uses.
pub(super) fn planner(version: Version) -> Planner {
    if version >= V5 { Planner::Transformers5 } else { Planner::Accelerate }
}

/// Host memory taken for granted where `max_memory` does not state it: more than any machine has.
const UNKNOWN_HOST: Bytes = Bytes(1 << 50);

impl Placement {
    /// Places the tensors as asked.
    pub(super) fn new(
        tensors: &[RankTensor],
        model: &Model,
        options: &Options,
        cards: &[Card],
        version: Version,
    ) -> Result<Self, EngineError> {
        let (map, reserved) = match &options.placing {
            Placing::Map(map) => (map.clone(), Bytes::ZERO),
            Placing::Strategy(strategy) => by_strategy(*strategy, tensors, model, options, cards, version)?,
        };
        if let Some(highest) = map.highest_card().max(options.moved_to)
            && highest as usize >= cards.len()
        {
            return Err(EngineError::TooFewCards { ranks: highest.saturating_add(1), cards: cards.len() });
        }
        let (shares, uncovered) = device_shares(tensors, &map);
        if let Some(first) = uncovered.first() {
            let more = uncovered.len() - 1;
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            return Err(EngineError::Refused {
                message: format!(
                    "The device_map provided does not give any device for the following parameters: {first}{more}"
                ),
                hint: Some("add an entry for each missing module, or \"\" for all that is not named".to_owned()),
            });
        }
        Ok(Self { shares, reserved })
    }
}

fn by_strategy(
    strategy: Strategy,
    tensors: &[RankTensor],
    model: &Model,
    options: &Options,
    cards: &[Card],
    version: Version,
) -> Result<(DeviceMap, Bytes), EngineError> {
    let tree = ModuleTree::new(tensors, |tensor| planned_bits(tensor, model, options, version));
    let caps = options.max_memory.clone().unwrap_or_else(|| free(cards));
    let refused = |error: String| EngineError::Refused { message: error, hint: None };
    let planner = planner(version);
    let mut balanced = balance(&tree, &caps, options.max_memory.is_some(), strategy, planner)
        .map_err(|error| refused(error.to_string()))?;
    if options.on_the_fly.is_some() {
        balanced = balanced.less_a_tenth();
    }
    let placed = place(&tree, &balanced, planner);
    let reserved = placed.reserved.get(&Device::Card(0)).copied().unwrap_or(Bytes::ZERO);
    Ok((placed.map, reserved))
}

/// `max_memory` where it is not set: what each card has free once it has a context, and host memory.
fn free(cards: &[Card]) -> Caps {
    let free = |card: &Card| card.capacity.saturating_sub(card.other_processes).saturating_sub(card.context.expected);
    let cards = (0u32..).zip(cards).map(|(ordinal, card)| (Device::Card(ordinal), free(card)));
    Caps::new(cards.chain([(Device::Cpu, UNKNOWN_HOST)]))
}
