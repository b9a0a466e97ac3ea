//! Spans of time as people type them.

use std::time::Duration;

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a span of time: write `90s`, `10m`, `1.5h` or `250ms`")]
pub struct ParseDurationError(String);

/// `90s`, `10m`, `1.5h`, `250ms`; a bare number is seconds.
///
/// # Errors
/// When the text is none of these.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let error = || ParseDurationError(text.to_owned());
    let seconds = match unit.trim() {
        "" | "s" | "sec" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(error()),
    };
    let number: f64 = number.parse().map_err(|_| error())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| error())
}

/// `45 s`, `12 min`, `3 h`, `2 d`: short, for screens.
#[must_use]
pub fn short_duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// `0:42`, `12:03`, `1:02:03`: a place in a recording.
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_parse() {
        for (text, ms) in
            [("10m", 600_000), ("90s", 90_000), ("1.5h", 5_400_000), ("250ms", 250), ("3", 3000), ("1d", 86_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "m", "-1s", "soon", "1w", "1e3s", &"9".repeat(400)] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_printed_short() {
        let short = [0, 119, 120, 7199, 7200, 200_000].map(|s| short_duration(Duration::from_secs(s)));
        assert_eq!(short, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
        assert_eq!([42, 723, 3723].map(|s| clock(Duration::from_secs(s))), ["0:42", "12:03", "1:02:03"]);
    }
}
