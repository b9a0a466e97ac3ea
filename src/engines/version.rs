//! Versions of engines.

use std::fmt;
use std::str::FromStr;

/// `major.minor.patch`; what follows (release candidates, local builds) does not change memory rules and is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch; 0 when not given.
    pub patch: u32,
}

impl Version {
    /// `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads a tag or requirement; `None` when it is no version (`latest`, `nightly`).
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version such as `0.11.2`")]
pub struct ParseVersionError(String);

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseVersionError(text.to_owned());
        let bare = text.strip_prefix('v').unwrap_or(text);
        let mut parts = bare.split('.').map(|part| {
            // `0.6.3rc1`, `0.11.2-cu129`: the leading digits count.
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse::<u32>().map_err(|_| error())
        });
        let major = parts.next().ok_or_else(error)??;
        let minor = parts.next().ok_or_else(error)??;
        let patch = parts.next().transpose()?.unwrap_or(0);
        Ok(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_parse_and_order() {
        let v = |text: &str| text.parse::<Version>().unwrap();
        assert_eq!(v("v0.11.2"), v("0.11.2"));
        assert_eq!(v("0.6.3.post1"), v("0.6.3"));
        assert_eq!(v("0.9"), v("0.9.0"));
        assert_eq!(v("0.11.0rc1").to_string(), "0.11.0");
        assert!(v("0.9.2") < v("0.11.0"));
        for text in ["", "latest", "11", "x.1", "nightly-abc"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
