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

/// Year, month and day of the days since 1970-01-01, after H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
const fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// `20250131-235959`, in UTC, of seconds since 1970: for names of files.
#[must_use]
pub fn stamp(seconds: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let rest = seconds % 86_400;
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// `2025-01-31 23:59:59 UTC`, of seconds since 1970: for screens.
#[must_use]
pub fn moment(seconds: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let rest = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
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

    #[test]
    fn moments_are_dates() {
        for (seconds, name, words) in [
            (0, "19700101-000000", "1970-01-01 00:00:00 UTC"),
            (951_782_399, "20000228-235959", "2000-02-28 23:59:59 UTC"),
            (951_782_400, "20000229-000000", "2000-02-29 00:00:00 UTC"),
            (1_735_689_599, "20241231-235959", "2024-12-31 23:59:59 UTC"),
            (4_102_444_800, "21000101-000000", "2100-01-01 00:00:00 UTC"),
        ] {
            assert_eq!((stamp(seconds).as_str(), moment(seconds).as_str()), (name, words));
        }
        // A header of any file is printed.
        assert!(moment(u64::MAX / 1000).ends_with("UTC"));
    }
}
