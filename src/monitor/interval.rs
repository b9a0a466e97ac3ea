//! How often the cards are asked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Time between two samples, from 0.1 s (below it NVML itself costs more than it tells) to 60 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(Duration);

/// A text that is no interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIntervalError {
    /// Not a number with a unit of time.
    #[error("`{0}` is not an interval: write `1s`, `0.5s`, `250ms` or `1m`")]
    NotATime(String),
    /// Shorter or longer than what makes sense.
    #[error("`{0}` is outside of what can be sampled: between `0.1s` and `60s`")]
    OutOfRange(String),
}

impl Interval {
    /// The shortest.
    pub const MIN: Self = Self(Duration::from_millis(100));
    /// The longest.
    pub const MAX: Self = Self(Duration::from_secs(60));

    /// Steps that the keys walk through, in milliseconds.
    const STEPS: [u64; 9] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

    /// An interval, when `time` is within the limits.
    #[must_use]
    pub fn new(time: Duration) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&time).then_some(Self(time))
    }

    /// The time between two samples.
    #[must_use]
    pub const fn time(self) -> Duration {
        self.0
    }

    /// The next longer step; the longest stays.
    #[must_use]
    pub fn longer(self) -> Self {
        Self::STEPS.iter().map(|ms| Self(Duration::from_millis(*ms))).find(|s| *s > self).unwrap_or(Self::MAX)
    }

    /// The next shorter step; the shortest stays.
    #[must_use]
    pub fn shorter(self) -> Self {
        Self::STEPS.iter().rev().map(|ms| Self(Duration::from_millis(*ms))).find(|s| *s < self).unwrap_or(Self::MIN)
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self(Duration::from_secs(1))
    }
}

/// `1 s`, `0.25 s`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// `1s`, `0.5s`, `250ms`, `1m`; a bare number is seconds.
impl FromStr for Interval {
    type Err = ParseIntervalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let not_a_time = || ParseIntervalError::NotATime(text.to_owned());
        let seconds_per_unit = match unit.trim() {
            "" | "s" | "sec" => 1.0,
            "ms" => 0.001,
            "m" | "min" => 60.0,
            _ => return Err(not_a_time()),
        };
        let number: f64 = number.parse().map_err(|_| not_a_time())?;
        Duration::try_from_secs_f64(number * seconds_per_unit)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| ParseIntervalError::OutOfRange(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Interval {
        Interval(Duration::from_millis(ms))
    }

    #[test]
    fn intervals_parse() {
        for (text, expected) in
            [("1s", 1000), ("1", 1000), ("0.5s", 500), (" 250 ms", 250), ("100ms", 100), ("1m", 60_000), ("60", 60_000)]
        {
            assert_eq!(text.parse(), Ok(ms(expected)), "{text}");
        }
        for text in ["", "s", "-1s", "1h", "fast", "1.2.3s"] {
            assert_eq!(text.parse::<Interval>(), Err(ParseIntervalError::NotATime(text.to_owned())), "{text}");
        }
        for text in ["0", "99ms", "61s", "2m", &"9".repeat(400)] {
            assert_eq!(text.parse::<Interval>(), Err(ParseIntervalError::OutOfRange(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn steps_stay_within_the_limits() {
        assert_eq!(ms(1000).longer(), ms(2000));
        assert_eq!(ms(1000).shorter(), ms(500));
        assert_eq!(ms(700).longer(), ms(1000));
        assert_eq!(ms(700).shorter(), ms(500));
        assert_eq!(Interval::MAX.longer(), Interval::MAX);
        assert_eq!(Interval::MIN.shorter(), Interval::MIN);
    }

    #[test]
    fn printed_in_seconds() {
        assert_eq!(ms(1000).to_string(), "1 s");
        assert_eq!(ms(250).to_string(), "0.25 s");
    }
}
