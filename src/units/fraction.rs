//! Shares of a whole.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bytes;

/// A share between 0 and 1, such as `--gpu-memory-utilization 0.9`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fraction(f64);

/// A number that is no share of a whole.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{0}` is not a fraction between 0 and 1")]
pub struct FractionError(String);

impl Fraction {
    /// # Errors
    /// When `value` is outside 0..=1 or not a number.
    pub fn new(value: f64) -> Result<Self, FractionError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(FractionError(value.to_string())) }
    }

    /// The share as a plain number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// This share of `whole`, rounded down as `int(total * fraction)` is in the engines.
    #[must_use]
    pub fn of(self, whole: Bytes) -> Bytes {
        Bytes((whole.0 as f64 * self.0) as u64)
    }
}

impl TryFrom<f64> for Fraction {
    type Error = FractionError;
    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl From<Fraction> for f64 {
    fn from(value: Fraction) -> Self {
        value.0
    }
}

impl FromStr for Fraction {
    type Err = FractionError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<f64>().ok().and_then(|v| Self::new(v).ok()).ok_or_else(|| FractionError(text.to_owned()))
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_are_fractions() {
        assert!("0.9".parse::<Fraction>().is_ok());
        for text in ["1.1", "-0.1", "NaN", "90%", ""] {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
        assert_eq!(Fraction(0.9).of(Bytes(1001)), Bytes(900));
    }
}
