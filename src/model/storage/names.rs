//! Lists of module names in quantisation configs: plain names, parts of names, wildcards and regular expressions.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

use crate::model::config::ConfigError;

/// Compiled size that a pattern of a config may take.
const PATTERN_LIMIT: usize = 1 << 20;

/// Which module names a list means.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// Whole names.
    exact: HashSet<String>,
    /// Any part of a name.
    substrings: Vec<String>,
    /// Whole components of a name, one or several in a row.
    components: Vec<String>,
    /// Shell wildcards over the whole name.
    globs: Vec<String>,
    /// Regular expressions.
    patterns: Vec<Regex>,
}

impl Names {
    /// Whole names.
    pub fn exact<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { exact: names.into_iter().map(str::to_owned).collect(), ..Self::default() }
    }

    /// Anything that occurs in a name.
    pub fn substrings<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { substrings: names.into_iter().map(str::to_owned).collect(), ..Self::default() }
    }

    /// One or several components that occur in a name.
    pub fn components<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { components: names.into_iter().map(str::to_owned).collect(), ..Self::default() }
    }

    /// Components, or shell wildcards over the whole name.
    pub fn wildcards<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let (globs, components): (Vec<_>, Vec<_>) =
            names.into_iter().map(str::to_owned).partition(|name| name.contains(['*', '?', '[']));
        Self { components, globs, ..Self::default() }
    }

    /// Whole names, or regular expressions after `re:`, matched from the start of a name.
    pub fn exact_or_pattern<'a>(names: impl IntoIterator<Item = &'a str>, field: &str) -> Result<Self, ConfigError> {
        let mut all = Self::default();
        for name in names {
            match name.strip_prefix("re:") {
                Some(pattern) => all.patterns.push(compile(&format!("^(?:{pattern})"), pattern, field)?),
                None => {
                    all.exact.insert(name.to_owned());
                }
            }
        }
        Ok(all)
    }

    /// One regular expression, matched from the start of a name.
    pub fn pattern(pattern: &str, field: &str) -> Result<Self, ConfigError> {
        Ok(Self { patterns: vec![compile(&format!("^(?:{pattern})"), pattern, field)?], ..Self::default() })
    }

    /// One regular expression, matched anywhere in a name.
    pub fn search(pattern: &str, field: &str) -> Result<Self, ConfigError> {
        Ok(Self { patterns: vec![compile(pattern, pattern, field)?], ..Self::default() })
    }

    /// Whether a module's name is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.exact.contains(name)
            || self.substrings.iter().any(|part| name.contains(part.as_str()))
            || self.components.iter().any(|part| has_components(name, part))
            || self.globs.iter().any(|glob| wildcard(glob.as_bytes(), name.as_bytes()))
            || self.patterns.iter().any(|pattern| pattern.is_match(name))
    }
}

/// Engines use Python's expressions; look-around is all they have that is not read here.
fn compile(anchored: &str, pattern: &str, field: &str) -> Result<Regex, ConfigError> {
    RegexBuilder::new(anchored).size_limit(PATTERN_LIMIT).build().map_err(|_| ConfigError::Wrong {
        field: field.to_owned(),
        found: pattern.chars().take(60).collect(),
        expected: "a module name or a regular expression without look-around",
    })
}

/// Whether `part` occurs in `name` between dots (or the ends).
fn has_components(name: &str, part: &str) -> bool {
    !part.is_empty()
        && name.match_indices(part).any(|(at, _)| {
            let end = at + part.len();
            (at == 0 || name.as_bytes().get(at - 1) == Some(&b'.'))
                && (end == name.len() || name.as_bytes().get(end) == Some(&b'.'))
        })
}

/// Shell wildcards: `*` any run, `?` any one, `[…]` one of a set. Linear in pattern times name.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to resume after the last `*`.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => set(&pattern[p..], name[n]),
            Some(c) if *c == name[n] => Some(1),
            Some(_) | None => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((after, from))) => {
                p = after;
                n = from + 1;
                retry = Some((after, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Length of the set at the start of `pattern` when `c` is in it; a bracket that is never closed stands for itself.
fn set(pattern: &[u8], c: u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'!');
    let first = 1 + usize::from(negated);
    // A bracket directly after the opening one belongs to the set.
    let Some(close) = pattern.iter().skip(first + 1).position(|b| *b == b']').map(|i| i + first + 1) else {
        return (c == b'[').then_some(1);
    };
    let members = &pattern[first..close];
    let mut found = false;
    let mut i = 0;
    while i < members.len() {
        if let (Some(b'-'), Some(end)) = (members.get(i + 1), members.get(i + 2)) {
            found |= (members[i]..=*end).contains(&c);
            i += 3;
        } else {
            found |= members[i] == c;
            i += 1;
        }
    }
    (found != negated).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_mean_what_their_kind_says() {
        let name = "model.layers.1.self_attn.q_proj";
        assert!(Names::exact([name]).matches(name));
        assert!(!Names::exact(["q_proj"]).matches(name));
        assert!(Names::substrings(["attn.q"]).matches(name));
        for (part, meant) in
            [("q_proj", true), ("self_attn.q_proj", true), ("layers.1", true), ("attn", false), ("", false)]
        {
            assert_eq!(Names::components([part]).matches(name), meant, "{part}");
        }
        assert!(!Names::components(["layers.1"]).matches("model.layers.10.self_attn"));
    }

    #[test]
    fn wildcards_match_whole_names() {
        for (glob, name, meant) in [
            ("model.layers.1*", "model.layers.12.mlp", true),
            ("*.mlp.*", "model.layers.0.mlp.up_proj", true),
            ("*self_attn*", "a.self_attn.q", true),
            ("model.*", "visual.model.x", false),
            ("layer?.x", "layer1.x", true),
            ("layer[0-3].x", "layer2.x", true),
            ("layer[!0-3].x", "layer2.x", false),
            ("layer[", "layer[", true),
            ("*a*a*a*a*b", &"a".repeat(200), false),
            ("", "", true),
        ] {
            assert_eq!(wildcard(glob.as_bytes(), name.as_bytes()), meant, "{glob} {name}");
        }
    }

    #[test]
    fn expressions_start_with_the_name() {
        let names = Names::exact_or_pattern(["lm_head", r"re:.*mlp\.(gate|up)_proj.*"], "ignore").unwrap();
        assert!(names.matches("lm_head") && names.matches("model.layers.0.mlp.up_proj"));
        assert!(!names.matches("model.layers.0.mlp.down_proj"));
        assert!(!Names::pattern("mlp", "dynamic").unwrap().matches("model.mlp"));
        assert!(Names::search("mlp", "extra_config").unwrap().matches("model.mlp"));
        for wrong in ["re:(", "re:(?!x)y", "re:(a{1000}){1000}"] {
            assert!(matches!(Names::exact_or_pattern([wrong], "ignore"), Err(ConfigError::Wrong { .. })), "{wrong}");
        }
    }
}
