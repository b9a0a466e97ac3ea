//! What the exit code says.

/// Exit codes, the same for every command (`run` alone passes on its child's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Fits, or all is well. A `tight` plan warns and still ends with this unless `--strict`.
    Fits = 0,
    /// Does not fit, a cause was found, a failure was seen, or a gate failed.
    DoesNotFit = 1,
    /// Wrong usage or bad input.
    Usage = 2,
    /// Cannot tell, or this machine cannot answer: no driver, card lost, permission, host too small.
    CannotTell = 3,
    /// Measured and predicted disagree beyond tolerance.
    Disagrees = 4,
}

impl Exit {
    /// The table for `--help`.
    pub const HELP: &'static str = "Exit codes:\n  \
        0  fits / all well (a `tight` plan warns; --strict makes it 1)\n  \
        1  does not fit, cause found, failure seen, or gate failed\n  \
        2  usage or bad input\n  \
        3  cannot tell, or the machine cannot answer (no driver, card lost, permission, host too small)\n  \
        4  measured and predicted disagree beyond tolerance";
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
