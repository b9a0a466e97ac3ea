//! Messages about memory as engines, libraries, drivers and kernels write them: one file a program in `profiles/oom/`.
//!
//! A pattern is data: what to look for, what its numbers are called, what it says about the failure. What follows from it is decided in
//! [`crate::oom`].

mod embedded;
mod signal;

use serde::Deserialize;

pub use signal::{Role, Signal, Stage};

/// One message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OomPattern {
    /// Name of the pattern, unique: `vllm.no-kv`.
    pub id: String,
    /// Whose words these are.
    pub engine: String,
    /// What a match is to a diagnosis.
    pub role: Role,
    /// What the message says.
    pub signal: Signal,
    /// The stage of a start or a run that it belongs to, where the words alone tell.
    pub stage: Option<Stage>,
    /// Literal texts, one of which stands in every match: a line without any of them is not looked at.
    pub needles: Vec<String>,
    /// Regular expression. Named groups are fields, the unit as suffix (`_mib`, `_gib`, `_bytes`, …); groups ending in `_each` collect all
    /// matches. `{size}`, `{num}` stand for a number with a unit and for a plain number.
    pub regex: String,
    /// Further expressions, searched in the text from the match on; each may be absent.
    #[serde(default)]
    pub details: Vec<String>,
    /// Unit of plain numbers where the message names none beside them: `bytes`.
    pub number_unit: Option<String>,
    /// A message that this pattern alone matches.
    pub sample: String,
    /// Program, versions and file that write it.
    pub source: String,
}

/// A file of patterns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OomFile {
    schema: u32,
    pattern: Vec<OomPattern>,
}

/// A file of patterns that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OomProfileError {
    /// The file is no TOML of this layout.
    #[error("`{file}`: {message}")]
    Malformed {
        /// The file.
        file: String,
        /// What the reader says.
        message: String,
    },
    /// A layout of another version.
    #[error("`{file}`: schema {schema} is not known, 1 is")]
    Schema {
        /// The file.
        file: String,
        /// What it says.
        schema: u32,
    },
}

/// Reads one file of patterns.
///
/// # Errors
/// When the text is no such file.
pub fn read_oom_patterns(file: &str, text: &str) -> Result<Vec<OomPattern>, OomProfileError> {
    let malformed = |e: toml::de::Error| OomProfileError::Malformed { file: file.to_owned(), message: e.to_string() };
    let read: OomFile = toml::from_str(text).map_err(malformed)?;
    if read.schema != 1 {
        return Err(OomProfileError::Schema { file: file.to_owned(), schema: read.schema });
    }
    Ok(read.pattern)
}

/// All patterns built in.
///
/// # Errors
/// When an embedded file is malformed, which a test rules out.
pub fn built_in_oom_patterns() -> Result<Vec<OomPattern>, OomProfileError> {
    let mut all = Vec::new();
    for (file, text) in embedded::FILES {
        all.extend(read_oom_patterns(file, text)?);
    }
    Ok(all)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests compare the registered files with the folder")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_registered_and_parses() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/oom");
        let files: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let registered: BTreeSet<String> = embedded::FILES.iter().map(|(file, _)| (*file).to_owned()).collect();
        assert_eq!(files, registered, "add the file to src/profiles/oom/embedded.rs");
        let patterns = built_in_oom_patterns().unwrap();
        let ids: BTreeSet<&str> = patterns.iter().map(|p| p.id.as_str()).collect();
        assert_eq!(ids.len(), patterns.len(), "two patterns share an id");
        assert!(patterns.iter().all(|p| !p.source.is_empty() && !p.needles.is_empty()));
    }

    #[test]
    fn bad_files_are_named() {
        let error = read_oom_patterns("mine.toml", "schema = 2\npattern = []").unwrap_err();
        assert_eq!(error.to_string(), "`mine.toml`: schema 2 is not known, 1 is");
        assert!(matches!(read_oom_patterns("mine.toml", "what"), Err(OomProfileError::Malformed { .. })));
    }
}
