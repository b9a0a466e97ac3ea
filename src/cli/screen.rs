//! How the screens of `load` and `run` look.

use clap::Args;

use super::Problem;
use super::commands::top::{Config, PaletteChoice, theme_of};
use crate::tui::Theme;

/// Flags of a screen. What they leave open, the settings of `top` say.
#[derive(Debug, Clone, Default, Args)]
pub struct ScreenFlags {
    /// Take the whole terminal: cards under the plan, progress, log, and the verdict at the end
    #[arg(long)]
    pub tui: bool,
    /// Colours of the screen: `colour`, `bright`, `plain`
    #[arg(long, value_enum, requires = "tui")]
    pub palette: Option<PaletteChoice>,
    /// Draw the screen with ASCII characters alone
    #[arg(long, requires = "tui")]
    pub ascii: bool,
}

impl ScreenFlags {
    /// Colours and signs.
    ///
    /// # Errors
    /// When the user's settings cannot be read.
    pub fn theme(&self) -> Result<Theme, Problem> {
        Ok(theme_of(self.palette, self.ascii, &Config::open(None)?))
    }
}
