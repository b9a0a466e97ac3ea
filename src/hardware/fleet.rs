//! The cards at hand, and the text that names them: `4xA10`, `2xL4,1xA100-80GB`, `4x24GiB`, `live`.

use std::fmt;
use std::str::FromStr;

use super::Card;
use crate::units::Bytes;

/// Cards in the order an engine numbers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The cards.
    pub cards: Vec<Card>,
    /// Where they come from.
    pub source: FleetSource,
}

/// Who named the cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetSource {
    /// `--gpus` text.
    Given,
    /// The driver of this machine.
    Live,
    /// A recording of another machine.
    Recorded,
}

/// What `--gpus` asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetSpec {
    /// Ask the driver.
    Live,
    /// Named or sized cards.
    Listed(Vec<FleetItem>),
}

/// One part of a fleet: so many of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetItem {
    /// Cards of a profile.
    Named {
        /// How many.
        count: u32,
        /// Profile id, alias or product name.
        name: String,
    },
    /// Cards known by their CUDA total alone.
    Sized {
        /// How many.
        count: u32,
        /// CUDA total of each.
        capacity: Bytes,
    },
}

/// A fleet text that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFleetError {
    /// An empty text or part.
    #[error("`{0}` names no cards: write `4xA10`, `2xL4,1xA100-80GB`, `4x24GiB` or `live`")]
    Empty(String),
    /// Zero, or more than any machine has.
    #[error("`{0}` asks for {1} cards: between 1 and {max} can be planned for", max = MAX_CARDS)]
    Count(String, u64),
    /// A part such as `4x`, or a size without a unit.
    #[error("`{0}` is neither a card nor a size: write `4xA10` or `4x24GiB`")]
    Part(String),
}

/// Most cards in one fleet; the largest published deployments use a few hundred.
pub(super) const MAX_CARDS: u64 = 4096;

impl FromStr for FleetSpec {
    type Err = ParseFleetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().eq_ignore_ascii_case("live") {
            return Ok(Self::Live);
        }
        let mut items = Vec::new();
        let mut cards = 0u64;
        for part in text.split([',', '+']) {
            let part = part.trim();
            if part.is_empty() {
                return Err(ParseFleetError::Empty(text.to_owned()));
            }
            let (count, rest) = split_count(part)?;
            cards = cards.saturating_add(u64::from(count));
            if cards > MAX_CARDS {
                return Err(ParseFleetError::Count(text.to_owned(), cards));
            }
            items.push(item(count, rest, part)?);
        }
        Ok(Self::Listed(items))
    }
}

/// `4xA10` → (4, `A10`); `A10` → (1, `A10`). Only digits before an `x`, `X`, `*` or `×` are a count, so `RTX-3090` stays whole.
fn split_count(part: &str) -> Result<(u32, &str), ParseFleetError> {
    let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
    let after = part[digits..].trim_start();
    let rest = ['x', 'X', '*', '×'].iter().find_map(|x| after.strip_prefix(*x));
    match (digits, rest) {
        (1.., Some(rest)) => {
            let count: u64 = part[..digits].parse().unwrap_or(u64::MAX);
            match u32::try_from(count) {
                Ok(n) if (1..=MAX_CARDS).contains(&count) => Ok((n, rest.trim())),
                _ => Err(ParseFleetError::Count(part.to_owned(), count)),
            }
        }
        _ => Ok((1, part)),
    }
}

fn item(count: u32, rest: &str, part: &str) -> Result<FleetItem, ParseFleetError> {
    if rest.is_empty() {
        return Err(ParseFleetError::Part(part.to_owned()));
    }
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(FleetItem::Named { count, name: rest.to_owned() });
    }
    match rest.parse::<Bytes>() {
        // A bare number such as `4x24` would be 24 bytes: nobody means that.
        Ok(capacity) if capacity >= Bytes::mib(1) => Ok(FleetItem::Sized { count, capacity }),
        // Names may start with a digit (`3090`), sizes may not lack a unit.
        Err(_) | Ok(_) if rest.chars().all(|c| c.is_ascii_digit()) && rest.len() < 4 => {
            Err(ParseFleetError::Part(part.to_owned()))
        }
        Ok(_) | Err(_) => Ok(FleetItem::Named { count, name: rest.to_owned() }),
    }
}

impl fmt::Display for FleetItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { count, name } => write!(f, "{count}x{name}"),
            Self::Sized { count, capacity } => write!(f, "{count}x{capacity}"),
        }
    }
}

/// Equal neighbours are counted together: `2×L4, 1×A100-80GB`.
impl fmt::Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.cards.as_slice();
        let mut first = true;
        while let Some(card) = rest.first() {
            let same = rest.iter().take_while(|c| c.label == card.label).count();
            write!(f, "{}{same}×{}", if first { "" } else { ", " }, card.label)?;
            rest = &rest[same..];
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: u32, name: &str) -> FleetItem {
        FleetItem::Named { count, name: name.into() }
    }

    #[test]
    fn fleets_parse() {
        let cases: &[(&str, Vec<FleetItem>)] = &[
            ("4xA10", vec![named(4, "A10")]),
            ("A100-80GB", vec![named(1, "A100-80GB")]),
            ("2xL4,1xA100-80GB", vec![named(2, "L4"), named(1, "A100-80GB")]),
            ("2xL4 + H100", vec![named(2, "L4"), named(1, "H100")]),
            ("4 x RTX 3090", vec![named(4, "RTX 3090")]),
            ("8*H100", vec![named(8, "H100")]),
            ("RTX-3090", vec![named(1, "RTX-3090")]),
            ("2x3090", vec![named(2, "3090")]),
            ("4x24GiB", vec![FleetItem::Sized { count: 4, capacity: Bytes::gib(24) }]),
            ("24GB", vec![FleetItem::Sized { count: 1, capacity: Bytes(24_000_000_000) }]),
        ];
        for (text, items) in cases {
            assert_eq!(text.parse::<FleetSpec>(), Ok(FleetSpec::Listed(items.clone())), "{text}");
        }
        assert_eq!("LIVE".parse::<FleetSpec>(), Ok(FleetSpec::Live));
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "4x", "4xA10,", ",", "0xA10", "9999999999999xA10", "5000xA10", "4x24", "3000xA10,3000xL4"] {
            assert!(text.parse::<FleetSpec>().is_err(), "{text}");
        }
    }
}
