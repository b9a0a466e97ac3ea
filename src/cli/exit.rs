//! What the exit code says.

/// Exit codes, the same for every command (`run` alone passes on its child's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Fits, or all is well. A `tight` plan warns and still ends with this unless `--strict`.
    Fits,
    /// Does not fit, a cause was found, a failure was seen, or a gate failed.
    DoesNotFit,
    /// Wrong usage or bad input.
    Usage,
    /// Cannot tell, or this machine cannot answer: no driver, card lost, permission, host too small.
    CannotTell,
    /// Measured and predicted disagree beyond tolerance.
    Disagrees,
    /// What the command that `run` watched ended with: its own code, or 128 + signal.
    Child(u8),
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Fits => 0,
            Self::DoesNotFit => 1,
            Self::Usage => 2,
            Self::CannotTell => 3,
            Self::Disagrees => 4,
            Self::Child(code) => code,
        }
    }

    /// The table for `--help`.
    pub const HELP: &'static str = "Exit codes:\n  \
        0  fits / all well (a `tight` plan warns; --strict makes it 1)\n  \
        1  does not fit, cause found, failure seen, or gate failed\n  \
        2  usage or bad input\n  \
        3  cannot tell, or the machine cannot answer (no driver, card lost, permission, host too small)\n  \
        4  measured and predicted disagree beyond tolerance\n\
        `run` ends with the code of the command it watched, 128 + signal when a signal ended it";
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
