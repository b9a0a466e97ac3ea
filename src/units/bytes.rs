//! Amounts of memory. Prefixes exist only where text is parsed or printed.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// An amount of memory in bytes.
///
/// `+` and `*` saturate: 16 EiB is "does not fit" on every machine, and a wrapped sum would say the opposite. Where an overflow must be
/// reported as bad input (sizes read from files), use the `checked_` forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// `n` × 2^10 bytes.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(KIB))
    }

    /// `n` × 2^20 bytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(MIB))
    }

    /// `n` × 2^30 bytes.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(GIB))
    }

    /// `x` × 2^30 bytes, rounded to the nearest byte; negative or non-finite input gives zero.
    #[must_use]
    pub fn from_gib(x: f64) -> Self {
        // `as` saturates, and maps NaN to 0.
        Self((x * GIB as f64).round() as u64)
    }

    /// The amount in GiB, for printing and for comparison with figures that logs give in GiB.
    #[must_use]
    pub fn as_gib(self) -> f64 {
        self.0 as f64 / GIB as f64
    }

    /// The amount in MiB.
    #[must_use]
    pub fn as_mib(self) -> f64 {
        self.0 as f64 / MIB as f64
    }

    /// Sum, or `None` past 2^64.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// Product, or `None` past 2^64.
    #[must_use]
    pub const fn checked_mul(self, factor: u64) -> Option<Self> {
        match self.0.checked_mul(factor) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// Difference, never below zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Signed difference `self − other`.
    #[must_use]
    pub const fn delta(self, other: Self) -> ByteDelta {
        ByteDelta(self.0 as i128 - other.0 as i128)
    }

    /// Rounded up to a multiple of `granule`.
    #[must_use]
    pub fn round_up_to(self, granule: Self) -> Self {
        Self(super::round_up(self.0, granule.0))
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<u64> for Bytes {
    type Output = Self;
    fn mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Sub for Bytes {
    type Output = ByteDelta;
    fn sub(self, other: Self) -> ByteDelta {
        self.delta(other)
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl<'a> Sum<&'a Self> for Bytes {
    fn sum<I: Iterator<Item = &'a Self>>(iter: I) -> Self {
        iter.copied().sum()
    }
}

/// Prints with the largest binary prefix that leaves at least 1, two decimals from MiB up: `9.69 GiB`, `528 B`. A precision
/// (`{:.1}`) overrides the decimals.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (divisor, unit) = match self.0 {
            TIB.. => (TIB, "TiB"),
            GIB.. => (GIB, "GiB"),
            MIB.. => (MIB, "MiB"),
            KIB.. => (KIB, "KiB"),
            _ => (1, "B"),
        };
        let exact = self.0.is_multiple_of(divisor);
        let decimals = match f.precision() {
            _ if divisor == 1 => 0,
            Some(decimals) => decimals,
            None if exact && divisor < GIB => 0,
            None => 2,
        };
        let text = format!("{:.*} {unit}", decimals, self.0 as f64 / divisor as f64);
        match f.width() {
            Some(width) => write!(f, "{text:>width$}"),
            None => f.write_str(&text),
        }
    }
}

/// Why a text is not an amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseBytesError {
    /// Nothing before the unit, or not a number.
    #[error("`{0}` is not a size: write a number and a unit, such as `24GiB` or `24GB`")]
    NotASize(String),
    /// A unit that does not exist.
    #[error(
        "`{unit}` in `{text}` is not a unit of memory: use B, KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (powers of 1000)"
    )]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The part after the number.
        unit: String,
    },
    /// More than 2^64 bytes.
    #[error("`{0}` is more than 2^64 bytes")]
    TooLarge(String),
}

/// `24GiB`, `24 GiB`, `24Gi` are powers of 1024; `24GB`, `24 GB` powers of 1000; a bare number is bytes. A bare `G` would leave open which
/// is meant and is read as the binary one, as GPU tools do. Case matters only where it tells bits from bytes: `20Gb` means bits to some
/// tools, so it is refused rather than guessed.
impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let number = number.replace('_', "");
        let unit = unit.trim();
        if number.is_empty() {
            return Err(ParseBytesError::NotASize(text.to_owned()));
        }
        let unknown = || ParseBytesError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() };
        let factor: u64 = match unit {
            "" | "B" | "b" | "bytes" => 1,
            _ if unit.len() == 2 && unit.ends_with('b') && unit.starts_with(|c: char| c.is_ascii_uppercase()) => {
                return Err(unknown());
            }
            _ => match unit.to_ascii_lowercase().as_str() {
                "k" | "ki" | "kib" => KIB,
                "m" | "mi" | "mib" => MIB,
                "g" | "gi" | "gib" => GIB,
                "t" | "ti" | "tib" => TIB,
                "kb" => 1_000,
                "mb" => 1_000_000,
                "gb" => 1_000_000_000,
                "tb" => 1_000_000_000_000,
                _ => return Err(unknown()),
            },
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(factor).map(Self).ok_or_else(|| ParseBytesError::TooLarge(text.to_owned()));
        }
        let value: f64 = number.parse().map_err(|_| ParseBytesError::NotASize(text.to_owned()))?;
        let bytes = value * factor as f64;
        if bytes >= u64::MAX as f64 {
            return Err(ParseBytesError::TooLarge(text.to_owned()));
        }
        Ok(Self(bytes.round() as u64))
    }
}

/// A signed difference of two amounts of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteDelta(pub i128);

impl ByteDelta {
    /// The size of the difference, whatever its sign.
    #[must_use]
    pub fn magnitude(self) -> Bytes {
        Bytes(u64::try_from(self.0.unsigned_abs()).unwrap_or(u64::MAX))
    }

    /// Whether the first amount was the smaller one.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// As a signed 64-bit number for reports; saturates.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Always signed: `+1.20 GiB`, `-528 B`, `0 B`.
impl fmt::Display for ByteDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.0 {
            0 => "",
            n if n < 0 => "-",
            _ => "+",
        };
        f.pad(&format!("{sign}{}", self.magnitude()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_and_decimal_prefixes_differ() {
        let cases: &[(&str, u64)] = &[
            ("0", 0),
            ("528", 528),
            ("528B", 528),
            ("1k", 1024),
            ("1KiB", 1024),
            ("1kb", 1000),
            ("1KB", 1000),
            ("24GiB", 24 << 30),
            ("24 GiB", 24 << 30),
            ("24gib", 24 << 30),
            ("24Gi", 24 << 30),
            ("24G", 24 << 30),
            ("24GB", 24_000_000_000),
            ("24gB", 24_000_000_000),
            ("0.5GiB", 1 << 29),
            ("1.5 GB", 1_500_000_000),
            ("22508MiB", 22508 << 20),
            ("1_000MB", 1_000_000_000),
            (" 2TiB ", 2 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<Bytes>(), Ok(Bytes(*bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_named() {
        for text in ["", "GiB", "-1GiB", "one", "1.2.3GiB"] {
            assert!(matches!(text.parse::<Bytes>(), Err(ParseBytesError::NotASize(_))), "{text}");
        }
        for text in ["1 PiBs", "20Gb", "3GiBs", "1e9"] {
            assert!(matches!(text.parse::<Bytes>(), Err(ParseBytesError::UnknownUnit { .. })), "{text}");
        }
        for text in ["99999999999999TiB", "1e", "18446744073709551616.5"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn printing_picks_the_prefix() {
        for (bytes, text) in [
            (0, "0 B"),
            (528, "528 B"),
            (1024, "1 KiB"),
            (1536, "1.50 KiB"),
            (134 << 20, "134 MiB"),
            (24 << 30, "24.00 GiB"),
            (10_404_000_000, "9.69 GiB"),
            (2 << 40, "2.00 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(format!("{:.1}", Bytes::gib(3)), "3.0 GiB");
        assert_eq!(format!("{:>10.1}", Bytes::gib(3)), "   3.0 GiB");
        assert_eq!(format!("{:>6.2}", Bytes(0)), "   0 B");
        assert_eq!((Bytes(5) - Bytes(7)).to_string(), "-2 B");
        assert_eq!((Bytes::gib(7) - Bytes::gib(5)).to_string(), "+2.00 GiB");
    }

    #[test]
    fn sums_never_wrap() {
        assert_eq!(Bytes(u64::MAX) + Bytes(1), Bytes(u64::MAX));
        assert_eq!(Bytes(u64::MAX).checked_add(Bytes(1)), None);
        assert_eq!(Bytes(u64::MAX).checked_mul(2), None);
        assert_eq!((Bytes(0) - Bytes(u64::MAX)).magnitude(), Bytes(u64::MAX));
    }
}
