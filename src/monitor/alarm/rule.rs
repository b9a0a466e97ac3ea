//! One rule, as it is typed.

use std::fmt;
use std::str::FromStr;

use crate::units::{Bytes, ParseBytesError};

/// Something that should not happen, or that a script waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// `headroom<1GiB`: free memory of any card below it.
    Headroom(Limit),
    /// `used>90%`: memory in use of any card above it.
    Used(Limit),
    /// `over-plan>500MiB`: memory in use of any card above what its plan expects by more than it.
    OverPlan(Bytes),
    /// `growth>100MiB`: growth in a minute, over the window, above it.
    Growth(Bytes),
    /// `imbalance>2GiB` or `imbalance>10%`: fullest card less emptiest, means over the window.
    Imbalance(Limit),
    /// `util-imbalance>30%`: busiest card less idlest, in percentage points, means over the window.
    UtilizationImbalance(f64),
    /// `util<5%`: mean utilisation of all cards over the window below it.
    Idle(f64),
    /// `other-process`: a process holds memory that was not there when the watch began.
    OtherProcess,
    /// `xid`: the driver reports a critical error of a card.
    Xid,
    /// `ecc`: memory errors that could not be corrected grow in number.
    Ecc,
    /// `lost`: a card left the bus, or the driver does not list it any more.
    Lost,
}

/// An amount of memory, or a share of a card's capacity (of the fullest card, for imbalance) from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Bytes.
    Bytes(Bytes),
    /// Share.
    Share(f64),
}

impl Limit {
    /// The limit in bytes, where `whole` is 100 %.
    #[must_use]
    pub fn of(self, whole: Bytes) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Share(share) => Bytes((whole.0 as f64 * share) as u64),
        }
    }
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseRuleError {
    /// Another word.
    #[error(
        "`{0}` is no alarm: `headroom<1GiB`, `used>90%`, `over-plan>500MiB`, `growth>100MiB` (a minute), `imbalance>10%`, \
         `util-imbalance>30%`, `util<5%`, `other-process`, `xid`, `ecc`, `lost`"
    )]
    Unknown(String),
    /// The wrong way round.
    #[error("`{rule}`: write `{name}{sign}…`")]
    Direction {
        /// What was typed.
        rule: String,
        /// The name.
        name: &'static str,
        /// The sign it takes.
        sign: char,
    },
    /// No amount after the sign.
    #[error("`{rule}`: {source}")]
    Amount {
        /// What was typed.
        rule: String,
        /// What is wrong with the amount.
        source: ParseBytesError,
    },
    /// No percentage.
    #[error("`{0}`: write a percentage from 0% to 100% after the sign")]
    Percentage(String),
}

impl FromStr for Rule {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let unknown = || ParseRuleError::Unknown(text.to_owned());
        match trimmed {
            "other-process" => return Ok(Self::OtherProcess),
            "xid" => return Ok(Self::Xid),
            "ecc" => return Ok(Self::Ecc),
            "lost" => return Ok(Self::Lost),
            _ => {}
        }
        let place = trimmed.find(['<', '>']).ok_or_else(unknown)?;
        let (name, rest) = trimmed.split_at(place);
        let (sign, amount) = rest.split_at(1);
        let amount = amount.trim().trim_end_matches("/min").trim();
        let takes = |name: &'static str, wanted: char| {
            if sign.starts_with(wanted) {
                Ok(())
            } else {
                Err(ParseRuleError::Direction { rule: text.to_owned(), name, sign: wanted })
            }
        };
        let bytes =
            || amount.parse::<Bytes>().map_err(|source| ParseRuleError::Amount { rule: text.to_owned(), source });
        let share = || {
            let number = amount.strip_suffix('%').unwrap_or(amount).trim().parse::<f64>().ok();
            let number = number.filter(|number| (0.0..=100.0).contains(number));
            number.map(|number| number / 100.0).ok_or_else(|| ParseRuleError::Percentage(text.to_owned()))
        };
        let limit = || if amount.ends_with('%') { share().map(Limit::Share) } else { bytes().map(Limit::Bytes) };
        match name.trim() {
            "headroom" => takes("headroom", '<').and_then(|()| limit().map(Self::Headroom)),
            "used" => takes("used", '>').and_then(|()| limit().map(Self::Used)),
            "over-plan" => takes("over-plan", '>').and_then(|()| bytes().map(Self::OverPlan)),
            "growth" => takes("growth", '>').and_then(|()| bytes().map(Self::Growth)),
            "imbalance" => takes("imbalance", '>').and_then(|()| limit().map(Self::Imbalance)),
            "util-imbalance" => {
                takes("util-imbalance", '>').and_then(|()| share().map(|s| Self::UtilizationImbalance(s * 100.0)))
            }
            "util" => takes("util", '<').and_then(|()| share().map(|s| Self::Idle(s * 100.0))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Share(share) => write!(f, "{} %", (share * 1000.0).round() / 10.0),
        }
    }
}

/// As it is typed, with sizes as they are printed everywhere.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Headroom(limit) => write!(f, "headroom < {limit}"),
            Self::Used(limit) => write!(f, "used > {limit}"),
            Self::OverPlan(bytes) => write!(f, "over-plan > {bytes}"),
            Self::Growth(bytes) => write!(f, "growth > {bytes}/min"),
            Self::Imbalance(limit) => write!(f, "imbalance > {limit}"),
            Self::UtilizationImbalance(points) => write!(f, "util-imbalance > {} %", points.round()),
            Self::Idle(percent) => write!(f, "util < {} %", percent.round()),
            Self::OtherProcess => f.write_str("other-process"),
            Self::Xid => f.write_str("xid"),
            Self::Ecc => f.write_str("ecc"),
            Self::Lost => f.write_str("lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_parse() {
        for (text, rule) in [
            ("headroom<1GiB", Rule::Headroom(Limit::Bytes(Bytes::gib(1)))),
            (" headroom < 5% ", Rule::Headroom(Limit::Share(0.05))),
            ("used>90%", Rule::Used(Limit::Share(0.9))),
            ("over-plan>512MiB", Rule::OverPlan(Bytes::mib(512))),
            ("growth>100MiB/min", Rule::Growth(Bytes::mib(100))),
            ("imbalance>2GiB", Rule::Imbalance(Limit::Bytes(Bytes::gib(2)))),
            ("util-imbalance>30%", Rule::UtilizationImbalance(30.0)),
            ("util<5%", Rule::Idle(5.0)),
            ("other-process", Rule::OtherProcess),
            ("lost", Rule::Lost),
        ] {
            assert_eq!(text.parse(), Ok(rule), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("free<1GiB", "is no alarm"),
            ("headroom", "is no alarm"),
            ("headroom>1GiB", "write `headroom<…`"),
            ("used<1GiB", "write `used>…`"),
            ("headroom<", "headroom<"),
            ("headroom<lots", "headroom<lots"),
            ("used>190%", "percentage"),
            ("util<x%", "percentage"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
