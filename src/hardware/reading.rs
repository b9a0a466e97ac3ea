//! A value that a driver may not give.

use serde::{Deserialize, Serialize};

/// One reading of a card: a value, or the reason why there is none. Never a zero in place of the unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// The driver answered.
    Known(T),
    /// This card, driver or platform does not offer the reading.
    Unsupported,
    /// The driver offers it, but not to this user or container.
    Denied,
    /// The driver failed while answering (a lost card, an unknown error).
    Failed,
}

impl<T> Reading<T> {
    /// The value, if there is one.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unsupported | Self::Denied | Self::Failed => None,
        }
    }

    /// A view of the value.
    pub const fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Known(value) => Reading::Known(value),
            Self::Unsupported => Reading::Unsupported,
            Self::Denied => Reading::Denied,
            Self::Failed => Reading::Failed,
        }
    }

    /// The value changed by `f`; a missing one keeps its reason.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Known(value) => Reading::Known(f(value)),
            Self::Unsupported => Reading::Unsupported,
            Self::Denied => Reading::Denied,
            Self::Failed => Reading::Failed,
        }
    }

    /// Why there is no value; `None` when there is one.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Known(_) => None,
            Self::Unsupported => Some("not supported"),
            Self::Denied => Some("permission denied"),
            Self::Failed => Some("the driver failed to answer"),
        }
    }
}
