//! Where `calibrate` keeps what it measured, and how later plans take it up.
#![expect(clippy::disallowed_methods, reason = "reads and writes the user's profile folder, and the clock")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use etcetera::BaseStrategy;

use super::Problem;
use crate::hardware::Fleet;
use crate::profiles::Calibration;

/// Largest file read; a calibration of a hundred kinds of card is a few pages.
const LARGEST: u64 = 1 << 20;

/// `calibration.toml` in the user's profile folder: `$XDG_CONFIG_HOME/shardfit/profiles`, else `~/.config/shardfit/profiles`.
///
/// # Errors
/// When there is neither that variable nor a home folder.
pub fn path() -> Result<PathBuf, Problem> {
    let base = etcetera::base_strategy::Xdg::new().map_err(|error| {
        Problem::usage(format!("there is no folder for profiles: {error}")).hint("set XDG_CONFIG_HOME or HOME")
    })?;
    Ok(base.config_dir().join("shardfit").join("profiles").join("calibration.toml"))
}

/// What was measured on this machine; `None` when nothing was.
///
/// # Errors
/// When the file is there and cannot be used.
pub fn read() -> Result<Option<Calibration>, Problem> {
    let Ok(path) = path() else { return Ok(None) };
    let unusable = |problem: String| {
        Problem::usage(format!("calibration `{}` cannot be used: {problem}", path.display()))
            .hint("measure again with `shardfit calibrate`, or plan with `--no-calibration`")
    };
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error.to_string())),
        Ok(data) if data.len() > LARGEST => return Err(unusable(format!("it has {} bytes", data.len()))),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(|error| unusable(error.to_string()))?;
    Calibration::parse(&text).map(Some).map_err(|error| unusable(error.to_string()))
}

/// Writes the file in one step, so that nobody reads half of it.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(calibration: &Calibration) -> Result<PathBuf, Problem> {
    let path = path()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(calibration.text().as_bytes())?;
        file.persist(&path).map_err(|error| error.error)
    });
    match written {
        Ok(_) => Ok(path),
        Err(error) => Err(Problem::cannot_tell(format!("`{}` cannot be written: {error}", path.display()))
            .hint("`--dry-run` measures without keeping anything")),
    }
}

/// Puts what was measured in the place of what profiles say of the cards of this machine.
pub fn apply(calibration: &Calibration, fleet: &mut Fleet, driver: Option<&str>) {
    for card in &mut fleet.cards {
        if let Some(measured) = calibration.card(&card.name, driver) {
            card.calibrate(measured);
        }
    }
}

/// Now, UTC: `2026-05-01T12:00:00Z`.
pub fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    utc(seconds)
}

fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of a number of days since 1970-01-01, in eras of 400 years that begin in March (H. Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
