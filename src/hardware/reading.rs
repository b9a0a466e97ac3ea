//! A value that a driver may not give.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One reading of a card: a value, or the reason why there is none. Never a zero in place of the unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// The driver answered.
    Known(T),
    /// This card, driver or platform does not offer the reading.
    Unsupported,
    /// The driver offers it, but not to this user or container.
    Denied,
    /// The driver failed while answering.
    Failed,
    /// The card no longer answers on the bus; only a reset or a reboot brings it back.
    Lost,
    /// Nobody asked: the sampler left it out to stay cheap.
    #[default]
    NotRead,
}

/// Why a reading has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub enum Absence {
    /// [`Reading::Unsupported`]
    #[serde(rename = "not supported")]
    Unsupported,
    /// [`Reading::Denied`]
    #[serde(rename = "permission denied")]
    Denied,
    /// [`Reading::Failed`]
    #[serde(rename = "the driver failed to answer")]
    Failed,
    /// [`Reading::Lost`]
    #[serde(rename = "the card is lost")]
    Lost,
    /// [`Reading::NotRead`]
    #[serde(rename = "not read")]
    NotRead,
}

impl Absence {
    /// As reports say it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unsupported => "not supported",
            Self::Denied => "permission denied",
            Self::Failed => "the driver failed to answer",
            Self::Lost => "the card is lost",
            Self::NotRead => "not read",
        }
    }

    /// One word, or a dash, for a table's cell.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Unsupported | Self::NotRead => "-",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl<T> Reading<T> {
    /// The value, if there is one.
    pub fn known(self) -> Option<T> {
        self.told().ok()
    }

    /// The value, or why there is none.
    ///
    /// # Errors
    /// Why there is no value.
    pub fn told(self) -> Result<T, Absence> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Unsupported => Err(Absence::Unsupported),
            Self::Denied => Err(Absence::Denied),
            Self::Failed => Err(Absence::Failed),
            Self::Lost => Err(Absence::Lost),
            Self::NotRead => Err(Absence::NotRead),
        }
    }

    /// A view of the value.
    pub const fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Known(value) => Reading::Known(value),
            Self::Unsupported => Reading::Unsupported,
            Self::Denied => Reading::Denied,
            Self::Failed => Reading::Failed,
            Self::Lost => Reading::Lost,
            Self::NotRead => Reading::NotRead,
        }
    }

    /// The value changed by `f`; a missing one keeps its reason.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        self.and_then(|value| Reading::Known(f(value)))
    }

    /// What `f` makes of the value; a missing one keeps its reason.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Self::Known(value) => f(value),
            Self::Unsupported => Reading::Unsupported,
            Self::Denied => Reading::Denied,
            Self::Failed => Reading::Failed,
            Self::Lost => Reading::Lost,
            Self::NotRead => Reading::NotRead,
        }
    }

    /// Why there is no value; `None` when there is one.
    pub fn reason(&self) -> Option<&'static str> {
        self.as_ref().told().err().map(Absence::words)
    }
}

#[cfg(test)]
mod tests {
    use super::{Absence, Reading};

    #[test]
    fn reports_and_tables_use_the_same_words() {
        for absence in [Absence::Unsupported, Absence::Denied, Absence::Failed, Absence::Lost, Absence::NotRead] {
            assert_eq!(serde_json::to_value(absence).unwrap(), absence.words());
        }
    }

    #[test]
    fn absence_keeps_its_reason() {
        let absent = [Reading::Unsupported, Reading::Denied, Reading::Failed, Reading::Lost, Reading::NotRead];
        for reading in absent {
            assert_eq!(reading.map(|n: u32| n + 1), reading);
            assert_eq!(reading.known(), None);
            assert!(reading.reason().is_some());
        }
        assert_eq!(Reading::Known(1).map(|n| n + 1), Reading::Known(2));
        assert_eq!(Reading::Known(1).reason(), None);
    }

    #[test]
    fn recordings_tell_zero_from_unknown() {
        let text = serde_json::to_string(&[Reading::Known(0), Reading::Denied]).unwrap();
        assert_eq!(text, r#"[{"known":0},"denied"]"#);
        assert_eq!(serde_json::from_str::<[Reading<u32>; 2]>(&text).unwrap(), [Reading::Known(0), Reading::Denied]);
    }
}
