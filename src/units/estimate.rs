//! Numbers that say how sure they are and where they come from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bytes;

/// Where a number comes from, strongest first, so that the largest of several names the weakest part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Read off this machine.
    Measured,
    /// Read from a file: a checkpoint header, a config, a log.
    File,
    /// Follows from such facts by an exact rule.
    Derived,
    /// A constant or a fitted formula of a profile, with its source.
    Profile,
    /// Nothing better was at hand.
    Assumed,
}

impl Basis {
    /// One word for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::File => "file",
            Self::Derived => "derived",
            Self::Profile => "profile",
            Self::Assumed => "assumed",
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The arithmetic behind a number: a formula in the terms of the engine's documentation and the values that went in.
///
/// Kept as parts, because thousands of plans are made for each one whose arithmetic is printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Formula {
    /// The rule, in symbols.
    pub rule: &'static str,
    /// The symbols' values, in the order of the rule.
    pub values: Vec<(&'static str, u64)>,
}

impl Formula {
    /// A formula without free symbols.
    #[must_use]
    pub const fn plain(rule: &'static str) -> Self {
        Self { rule, values: Vec::new() }
    }

    /// A formula and the values of its symbols.
    #[must_use]
    pub fn with(rule: &'static str, values: &[(&'static str, u64)]) -> Self {
        Self { rule, values: values.to_vec() }
    }
}

/// `38·S·V + T·H·b  (S = 256, V = 152064)`
impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)?;
        for (i, (name, value)) in self.values.iter().enumerate() {
            write!(f, "{}{name} = {value}", if i == 0 { "  (" } else { ", " })?;
        }
        if self.values.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// An amount of memory with its bounds: `low ≤ expected ≤ high`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The least it can reasonably be.
    pub low: Bytes,
    /// The single best figure; accuracy is judged by this one.
    pub expected: Bytes,
    /// The most it can reasonably be; a plan `fits` only when this much is there.
    pub high: Bytes,
    /// Where it comes from.
    pub basis: Basis,
    /// How it was computed.
    pub formula: Formula,
}

impl Estimate {
    /// A figure without uncertainty.
    #[must_use]
    pub const fn exact(bytes: Bytes, basis: Basis, formula: Formula) -> Self {
        Self { low: bytes, expected: bytes, high: bytes, basis, formula }
    }

    /// A figure with bounds; bounds on the wrong side of `expected` are moved to it.
    #[must_use]
    pub fn between(low: Bytes, expected: Bytes, high: Bytes, basis: Basis, formula: Formula) -> Self {
        Self { low: low.min(expected), expected, high: high.max(expected), basis, formula }
    }

    /// Zero, with the reason in the formula.
    #[must_use]
    pub const fn zero(why: &'static str) -> Self {
        Self::exact(Bytes::ZERO, Basis::Derived, Formula::plain(why))
    }

    /// Whether low and high are the same.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.low == self.high
    }

    /// Distance between the bounds.
    #[must_use]
    pub fn width(&self) -> Bytes {
        self.high.saturating_sub(self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_ordered() {
        let e = Estimate::between(Bytes(5), Bytes(3), Bytes(1), Basis::Assumed, Formula::default());
        assert_eq!((e.low, e.expected, e.high), (Bytes(3), Bytes(3), Bytes(3)));
    }

    #[test]
    fn formulas_show_their_values() {
        assert_eq!(Formula::with("2·S·V", &[("S", 4), ("V", 7)]).to_string(), "2·S·V  (S = 4, V = 7)");
        assert_eq!(Formula::plain("none").to_string(), "none");
        assert!(Basis::Measured < Basis::Assumed);
    }
}
