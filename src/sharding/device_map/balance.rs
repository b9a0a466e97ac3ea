//! How much of each device a placement may use: what is free, evened out by the strategy.
//!
//! Source: accelerate 1.15 `utils/modeling.py` `get_balanced_memory`; transformers 5.23 `integrations/accelerate.py`, which has its own copy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::{Device, ModuleTree};
use crate::units::Bytes;

/// `device_map="…"` by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// `auto` or `balanced`: an equal part and some slack for each card but the last.
    Balanced,
    /// `balanced_low_0`: the first card takes only what the others cannot.
    BalancedLowZero,
    /// `sequential`: one card after the other.
    Sequential,
}

/// A text that names no strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no strategy: write `auto`, `balanced`, `balanced_low_0` or `sequential`")]
pub struct ParseStrategyError(String);

impl FromStr for Strategy {
    type Err = ParseStrategyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" | "balanced" => Ok(Self::Balanced),
            "balanced_low_0" => Ok(Self::BalancedLowZero),
            "sequential" => Ok(Self::Sequential),
            _ => Err(ParseStrategyError(text.to_owned())),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Balanced => "auto",
            Self::BalancedLowZero => "balanced_low_0",
            Self::Sequential => "sequential",
        })
    }
}

/// Whose code places: the two differ in their slack and in when a module is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planner {
    /// accelerate's, which transformers uses up to version 4.
    Accelerate,
    /// Transformers' own from version 5 on.
    Transformers5,
}

/// Most that may be placed on each device, in bits. Disk needs no entry: it takes what is left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caps {
    caps: BTreeMap<Device, u64>,
}

impl Caps {
    /// So many bytes on each device.
    #[must_use]
    pub fn new(bytes: impl IntoIterator<Item = (Device, Bytes)>) -> Self {
        Self { caps: bytes.into_iter().map(|(device, bytes)| (device, bytes.0.saturating_mul(8))).collect() }
    }

    /// A device's cap in bits; `None` for devices that may hold nothing (or everything, as disk).
    #[must_use]
    pub fn bits(&self, device: Device) -> Option<u64> {
        self.caps.get(&device).copied()
    }

    /// A device's cap in whole bytes.
    #[must_use]
    pub fn bytes(&self, device: Device) -> Option<Bytes> {
        self.bits(device).map(|bits| Bytes(bits / 8))
    }

    /// The devices in the order in which they are filled; disk is always the last.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let named: BTreeSet<Device> = self.caps.keys().copied().chain([Device::Disk]).collect();
        named.into_iter().collect()
    }

    /// The caps that a quantiser leaves: a tenth is kept for what it makes on the way.
    #[must_use]
    pub fn less_a_tenth(&self) -> Self {
        Self { caps: self.caps.iter().map(|(device, bits)| (*device, nine_tenths(*bits))).collect() }
    }

    /// The same with another cap for one device.
    #[must_use]
    pub fn with(mut self, device: Device, bytes: Bytes) -> Self {
        self.caps.insert(device, bytes.0.saturating_mul(8));
        self
    }

    /// Cards that may hold something.
    fn cards(&self) -> Vec<u32> {
        let open = self.caps.iter().filter(|(_, bits)| **bits > 0);
        open.filter_map(|(device, _)| if let Device::Card(ordinal) = device { Some(*ordinal) } else { None }).collect()
    }
}

/// `bits × 0.9` as floating-point bytes give it, rounded down to a bit.
fn nine_tenths(bits: u64) -> u64 {
    (bits as f64 / 8.0 * 0.9 * 8.0) as u64
}

/// A strategy that fails on these caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BalanceError {
    /// `balanced_low_0` counts cards from 0 without looking.
    #[error(
        "`balanced_low_0` needs cards numbered from 0 without a gap in `max_memory`, and card {0} is missing (KeyError: {0})"
    )]
    MissingCard(u32),
}

/// The caps by which modules are placed.
///
/// With one card there is nothing to balance: a tenth of it is then kept free, unless the caps were `set` by the user.
///
/// # Errors
/// Where the strategy itself fails on such caps.
pub fn balance(
    tree: &ModuleTree,
    caps: &Caps,
    set: bool,
    strategy: Strategy,
    planner: Planner,
) -> Result<Caps, BalanceError> {
    let cards = caps.cards();
    let count = cards.len() as u64;
    if strategy == Strategy::Sequential || count == 0 {
        return Ok(caps.clone());
    }
    let mut balanced = caps.clone();
    let low_zero = strategy == Strategy::BalancedLowZero && count > 1;
    if count == 1 && !set {
        let first = balanced.caps.iter_mut().find(|(device, _)| matches!(device, Device::Card(_)));
        if let Some((_, bits)) = first {
            *bits = nine_tenths(*bits);
        }
    }
    let parts = if low_zero { count - 1 } else { count };
    let part = (tree.bits() / 8 / parts).saturating_add(slack(tree, planner)).saturating_mul(8);
    let missing = |card: u32| BalanceError::MissingCard(card);
    // The last card keeps all it has, should the slack not suffice.
    for card in &cards[..cards.len() - 1] {
        if let Some(bits) = balanced.caps.get_mut(&Device::Card(*card)) {
            *bits = if low_zero && *card == 0 { *bits } else { part.min(*bits) };
        }
    }
    if low_zero {
        let mut others = 0u64;
        for card in 1..u32::try_from(count).unwrap_or(u32::MAX) {
            others = others.saturating_add(balanced.bits(Device::Card(card)).ok_or(missing(card))?);
        }
        let first = balanced.bits(Device::Card(0)).ok_or(missing(0))?;
        balanced.caps.insert(Device::Card(0), tree.bits().saturating_sub(others).min(first));
    }
    Ok(balanced)
}

/// What each card gets above its equal part, in bytes: a quarter more than one unit that cannot be cut.
fn slack(tree: &ModuleTree, planner: Planner) -> u64 {
    let blocks = || tree.nodes().iter().filter_map(|node| node.block.as_ref().map(|block| (node, block)));
    let unit = match planner {
        Planner::Accelerate => {
            // The first block of each class stands for all of them.
            let mut classes = BTreeSet::new();
            let first = blocks().filter(|(_, block)| classes.insert(block.class.as_str()));
            let block = first.map(|(node, _)| node.bits).max().unwrap_or(0);
            let mean = tree.leaf_bits() / 8 / tree.leaf_count().max(1);
            block.max(mean.saturating_mul(8))
        }
        Planner::Transformers5 => blocks().map(|(node, _)| node.bits).max().unwrap_or(0).max(tree.largest_leaf()),
    };
    // int(1.25 × bytes)
    (u128::from(unit) * 5 / 32) as u64
}
