//! The user's own settings for `top`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Deserialize;

use crate::cli::Problem;
use crate::monitor::Interval;
use crate::monitor::alarm::Rule;
use crate::tui::Palette;

/// `top.toml` in the `shardfit` folder of the user's configuration (`$XDG_CONFIG_HOME`, or `~/.config`). Flags win over it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `colour`, `bright` or `plain`.
    pub palette: Option<Palette>,
    /// ASCII characters alone.
    #[serde(default)]
    pub ascii: bool,
    /// As `--interval`.
    interval: Option<String>,
    /// As `--window`.
    window: Option<String>,
    /// As `--alarm`.
    #[serde(default)]
    alarms: Vec<String>,
}

/// Largest file read.
const LARGEST: u64 = 1 << 20;

impl Config {
    /// The file that `--config` names, or the user's; none is as good as an empty one.
    ///
    /// # Errors
    /// When a file that was named cannot be read, or one has something in it that is no setting.
    pub fn open(named: Option<&Path>) -> Result<Self, Problem> {
        let Some(path) = named.map(Path::to_owned).or_else(usual_place) else { return Ok(Self::default()) };
        let unreadable = |error: &dyn std::fmt::Display| {
            Problem::usage(format!("the settings `{}` cannot be read: {error}", path.display()))
        };
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return Ok(Self::default()),
            Err(error) => return Err(unreadable(&error)),
            Ok(data) if data.len() > LARGEST => return Err(unreadable(&"it is larger than 1 MiB")),
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&error))?;
        let config: Self = toml::from_str(&text).map_err(|error| {
            Problem::usage(format!("`{}`: {}", path.display(), error.to_string().trim().replace('\n', " ")))
                .hint("settings: palette = \"colour\", ascii = false, interval = \"1s\", window = \"60s\", alarms = [\"headroom<1GiB\"]")
        })?;
        // Wrong words are named with the file, not when they are first used.
        let bad = |error: &dyn std::fmt::Display| Problem::usage(format!("`{}`: {error}", path.display()));
        config.interval().map_err(|error| bad(&error.message))?;
        config.window().map_err(|error| bad(&error.message))?;
        config.rules().map_err(|error| bad(&error.message))?;
        Ok(config)
    }

    /// The interval, if one is set.
    pub fn interval(&self) -> Result<Option<Interval>, Problem> {
        self.interval.as_deref().map(str::parse).transpose().map_err(Problem::usage)
    }

    /// The window, if one is set.
    pub fn window(&self) -> Result<Option<std::time::Duration>, Problem> {
        self.window.as_deref().map(super::window).transpose().map_err(Problem::usage)
    }

    /// The alarms.
    pub fn rules(&self) -> Result<Vec<Rule>, Problem> {
        self.alarms.iter().map(|text| text.parse().map_err(Problem::usage)).collect()
    }
}

fn usual_place() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("shardfit").join("top.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, Problem> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("top.toml");
        #[expect(clippy::disallowed_methods, reason = "the test writes what is read")]
        fs::write(&path, text).unwrap();
        Config::open(Some(&path))
    }

    #[test]
    fn settings_are_read() {
        let config =
            read("palette = \"bright\"\ninterval = \"2s\"\nwindow = \"5m\"\nalarms = [\"xid\", \"used>90%\"]").unwrap();
        assert_eq!(config.palette, Some(Palette::Bright));
        assert_eq!(config.interval().unwrap(), Some("2s".parse().unwrap()));
        assert_eq!(config.window().unwrap().unwrap().as_secs(), 300);
        assert_eq!(config.rules().unwrap().len(), 2);
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn wrong_settings_are_named() {
        for (text, words) in [
            ("colour = 1", "colour"),
            ("palette = \"green\"", "green"),
            ("interval = \"often\"", "`often` is not an interval"),
            ("window = \"0s\"", "`0s`"),
            ("alarms = [\"fire\"]", "`fire` is no alarm"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.message.contains(words) && problem.message.contains("top.toml"), "{}", problem.message);
        }
        assert!(Config::open(Some(Path::new("/nowhere/top.toml"))).unwrap_err().message.contains("/nowhere/top.toml"));
    }
}
