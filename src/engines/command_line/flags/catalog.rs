//! How a name on the command line finds its flag: Python's argparse rules, with vLLM's additions.

use super::{Flag, Kind};
use crate::engines::Version;

/// The flags that one program of one version takes.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// Tables of flags.
    pub tables: Vec<&'static [Flag]>,
    /// The version, where it is known.
    pub version: Option<Version>,
    /// Whether a one-letter flag may have its value attached (`-O3`), as Python's argparse allows.
    pub attaches_values: bool,
}

/// What a word that begins with a dash names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolution {
    Found { flag: &'static Flag, negated: bool },
    Ambiguous(Vec<String>),
    Unknown,
}

impl Catalog {
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<'_> {
        self.tables.iter().copied().flatten()
    }

    /// Whether the version certainly lacks `flag`; an unknown version is taken as the newest.
    fn lacks(&self, flag: &Flag) -> bool {
        self.version.map_or(flag.span.absent_from.is_some(), |v| flag.span.excludes(v))
    }

    /// The flag with this canonical name, dashes and underscores alike.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&'static Flag> {
        let name = format!("--{}", name.trim_start_matches('-').replace('_', "-"));
        self.flags().find(|f| f.is_spelled(&name))
    }

    fn exact(&self, name: &str) -> Option<(&'static Flag, bool)> {
        if let Some(flag) = self.flags().find(|f| f.is_spelled(name)) {
            return Some((flag, false));
        }
        let opposite = if let Some(rest) = name.strip_prefix("--no-") {
            format!("--{rest}")
        } else if let Some(rest) = name.strip_prefix("--disable-") {
            // vLLM 0.33 pairs `--enable-x` with `--disable-x`.
            format!("--enable-{rest}")
        } else {
            format!("--disable-{}", name.strip_prefix("--enable-")?)
        };
        self.flags().find(|f| f.kind == Kind::Switch && f.is_spelled(&opposite)).map(|flag| (flag, true))
    }

    /// argparse takes any beginning of a name that fits one flag only.
    fn prefixed(&self, name: &str) -> Resolution {
        let (stem, negated) = match name.strip_prefix("--no-") {
            Some(rest) if !rest.is_empty() => (format!("--{rest}"), true),
            _ => (name.to_owned(), false),
        };
        let long = stem.starts_with("--");
        let fits = |f: &&'static Flag| {
            (!negated || f.kind == Kind::Switch)
                && f.spellings().any(|s| s.starts_with("--") == long && s.starts_with(stem.as_str()))
        };
        let mut found: Vec<_> = self.flags().filter(fits).filter(|f| !self.lacks(f)).collect();
        if found.is_empty() {
            found = self.flags().filter(fits).collect();
        }
        match found.as_slice() {
            [] => Resolution::Unknown,
            [flag] => Resolution::Found { flag, negated },
            several => Resolution::Ambiguous(
                several.iter().map(|f| f.spellings().next().unwrap_or_default().to_owned()).collect(),
            ),
        }
    }

    pub(super) fn resolve(&self, name: &str) -> Resolution {
        match self.exact(name) {
            Some((flag, negated)) => Resolution::Found { flag, negated },
            None if name.trim_start_matches('-').is_empty() => Resolution::Unknown,
            None => self.prefixed(name),
        }
    }

    /// The known spelling nearest to `name`, if one is near.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        let name = name.replace('_', "-");
        let bare = name.trim_start_matches('-');
        if bare.is_empty() || bare.len() > 60 {
            return None;
        }
        // `--tp` for `-tp`, `-tp4` for `-tp`.
        let letters = bare.trim_end_matches(|c: char| c.is_ascii_digit());
        let short = self.flags().flat_map(Flag::spellings).find(|s| s.strip_prefix('-') == Some(letters));
        let longer = || {
            self.flags()
                .flat_map(Flag::spellings)
                .find(|s| bare.len() > 3 && s.trim_start_matches('-').starts_with(bare))
        };
        let limit = (bare.len() / 4).max(1);
        let by_distance = || {
            self.flags()
                .flat_map(Flag::spellings)
                .filter(|s| s.starts_with("--"))
                .map(|s| (distance(bare, s.trim_start_matches('-')), s))
                .min()
                .filter(|(d, _)| *d <= limit)
                .map(|(_, s)| s)
        };
        short.or_else(longer).or_else(by_distance).map(str::to_owned)
    }
}

/// Edits (insert, delete, replace, by bytes) between two names.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
