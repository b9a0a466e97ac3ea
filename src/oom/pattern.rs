//! Patterns, compiled: the literal texts that a line must hold, and the expressions that read it.

use regex::Regex;

use super::needles::Needles;
use crate::profiles::oom::{OomPattern, OomProfileError, built_in_oom_patterns};

/// Patterns that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A pattern file is malformed.
    #[error(transparent)]
    File(#[from] OomProfileError),
    /// An expression does not compile.
    #[error("pattern `{id}`: {message}")]
    Expression {
        /// The pattern.
        id: String,
        /// What the compiler says.
        message: String,
    },
    /// Two patterns of one name.
    #[error("pattern `{0}` is there twice")]
    Twice(String),
    /// A pattern without a literal text would be tried on every line.
    #[error("pattern `{0}` names no literal text of at least 4 bytes")]
    NoNeedle(String),
}

/// One pattern.
#[derive(Debug)]
pub(super) struct Compiled {
    pub pattern: OomPattern,
    pub regex: Regex,
    pub details: Vec<Regex>,
}

/// All patterns, with the automaton that finds their literal texts in one pass.
#[derive(Debug)]
pub struct Patterns {
    list: Vec<Compiled>,
    needles: Needles,
}

/// Most bytes of a compiled expression: patterns come from files too.
const EXPRESSION_LIMIT: usize = 1 << 20;

impl Patterns {
    /// The patterns built in.
    ///
    /// # Errors
    /// When one does not compile, which a test rules out.
    pub fn built_in() -> Result<Self, PatternError> {
        Self::new(built_in_oom_patterns()?)
    }

    /// Compiles patterns.
    ///
    /// # Errors
    /// When an expression does not compile, two share a name, or one has no literal text.
    pub fn new(patterns: Vec<OomPattern>) -> Result<Self, PatternError> {
        let mut list: Vec<Compiled> = Vec::with_capacity(patterns.len());
        let mut texts = Vec::new();
        for pattern in patterns {
            if list.iter().any(|c| c.pattern.id == pattern.id) {
                return Err(PatternError::Twice(pattern.id));
            }
            if pattern.needles.is_empty() || pattern.needles.iter().any(|n| n.len() < 4) {
                return Err(PatternError::NoNeedle(pattern.id));
            }
            let build = |text: &str| {
                regex::RegexBuilder::new(&expanded(text))
                    .size_limit(EXPRESSION_LIMIT)
                    .build()
                    .map_err(|e| PatternError::Expression { id: pattern.id.clone(), message: e.to_string() })
            };
            let regex = build(&pattern.regex)?;
            let details = pattern.details.iter().map(|d| build(d)).collect::<Result<_, _>>()?;
            for needle in &pattern.needles {
                texts.push((needle.clone(), list.len()));
                // As it stands inside an entry in JSON.
                if needle.contains('"') {
                    texts.push((needle.replace('"', "\\\""), list.len()));
                }
            }
            list.push(Compiled { pattern, regex, details });
        }
        let needles = Needles::new(&texts)
            .map_err(|e| PatternError::Expression { id: "(literals)".to_owned(), message: e.to_string() })?;
        Ok(Self { list, needles })
    }

    /// Number of patterns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Id and sample of each pattern.
    pub fn samples(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|c| (c.pattern.id.as_str(), c.pattern.sample.as_str()))
    }

    pub(super) fn get(&self, index: usize) -> &Compiled {
        &self.list[index]
    }

    pub(super) fn needles(&self) -> &Needles {
        &self.needles
    }

    /// Patterns that a line could match, in their own order.
    pub(super) fn candidates(&self, line: &[u8]) -> Vec<usize> {
        self.needles.owners(line)
    }
}

/// `{size}` and `{num}` written out.
fn expanded(text: &str) -> String {
    text.replace("{size}", r"[0-9][0-9.]* ?(?:bytes|[KMGT](?:i?B)?\b)")
        .replace("{num}", r"-?[0-9][0-9_,]*(?:\.[0-9]+)?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oom::Scanner;

    #[test]
    fn each_sample_hits_its_own_pattern_and_no_other() {
        let patterns = Patterns::built_in().unwrap();
        assert!(patterns.len() > 100);
        for (id, sample) in patterns.samples() {
            let mut scanner = Scanner::new(&patterns);
            scanner.push(sample.as_bytes());
            let hits: Vec<String> = scanner.finish().list.into_iter().map(|e| e.pattern).collect();
            assert_eq!(hits, [id], "{sample}");
        }
    }

    #[test]
    fn bad_patterns_are_named() {
        let mut pattern = built_in_oom_patterns().unwrap().swap_remove(0);
        assert!(matches!(Patterns::new(vec![pattern.clone(), pattern.clone()]), Err(PatternError::Twice(_))));
        pattern.regex = "(".into();
        assert!(matches!(Patterns::new(vec![pattern.clone()]), Err(PatternError::Expression { .. })));
        pattern.needles = vec!["a".into()];
        assert!(matches!(Patterns::new(vec![pattern]), Err(PatternError::NoNeedle(_))));
    }
}
