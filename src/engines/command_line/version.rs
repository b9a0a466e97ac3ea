//! Release numbers of engines, as tags and requirements write them.

use std::fmt;

/// The first three numbers of a release: `v0.11.1rc3` and `0.11.1.post1` are both 0.11.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads `0.11.2`, `v0.11.2-cu129`, `0.6.3.post1`, `0.25`. `None` when the text is no such number (`latest`, `nightly`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts = text.split('.');
        let mut number = |required: bool| match parts.next() {
            None => (!required).then_some(0),
            Some(part) => {
                let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
                part[..digits].parse::<u32>().ok()
            }
        };
        Some(Self::new(number(true)?, number(true)?, number(false)?))
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
    fn tags_are_read() {
        for (text, version) in [
            ("0.11.2", Some((0, 11, 2))),
            ("v0.11.2", Some((0, 11, 2))),
            ("v0.11.1rc3", Some((0, 11, 1))),
            ("0.6.3.post1", Some((0, 6, 3))),
            ("v0.11.2-cu129", Some((0, 11, 2))),
            ("0.25", Some((0, 25, 0))),
            ("latest", None),
            ("nightly", None),
            ("0", None),
            ("", None),
            ("v0.x.1", None),
            ("99999999999.1.1", None),
        ] {
            assert_eq!(Version::parse(text), version.map(|(a, b, c)| Version::new(a, b, c)), "{text}");
        }
    }
}
