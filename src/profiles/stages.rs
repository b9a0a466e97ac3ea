//! Lines with which the stages of an engine's start begin: `profiles/stages.toml`.

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

use super::oom::Stage;

const FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/stages.toml"));

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageFile {
    schema: u32,
    line: Vec<StageLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageLine {
    stage: Stage,
    needles: Vec<String>,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests read it"))]
    sample: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader of the file"))]
    source: String,
}

/// A file of stages that cannot be used, which a test rules out.
#[derive(Debug, thiserror::Error)]
pub enum StagesError {
    /// No TOML of this layout.
    #[error("`stages.toml`: {0}")]
    Malformed(String),
    /// A layout of another version.
    #[error("`stages.toml`: schema {0} is not known, 1 is")]
    Schema(u32),
}

/// Finds lines that begin a stage.
#[derive(Debug)]
pub struct StageLines {
    needles: AhoCorasick,
    /// The stage of each needle.
    stages: Vec<Stage>,
}

impl StageLines {
    /// Those built in.
    ///
    /// # Errors
    /// When the embedded file is malformed.
    pub fn built_in() -> Result<Self, StagesError> {
        Self::of(&read()?)
    }

    fn of(file: &StageFile) -> Result<Self, StagesError> {
        let needles: Vec<(&str, Stage)> =
            file.line.iter().flat_map(|line| line.needles.iter().map(|needle| (needle.as_str(), line.stage))).collect();
        let machine = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(needles.iter().map(|(needle, _)| needle))
            .map_err(|error| StagesError::Malformed(error.to_string()))?;
        Ok(Self { needles: machine, stages: needles.into_iter().map(|(_, stage)| stage).collect() })
    }

    /// Every line of `text` that begins a stage: its number, counted from 1, the stage, and the line.
    pub fn find<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = (u64, Stage, &'t [u8])> {
        let (mut counted, mut line) = (0, 1);
        self.needles.find_iter(text).map(move |hit| {
            line += memchr::memchr_iter(b'\n', &text[counted..hit.start()]).count() as u64;
            counted = hit.start();
            let start = memchr::memrchr(b'\n', &text[..hit.start()]).map_or(0, |at| at + 1);
            let end = memchr::memchr(b'\n', &text[hit.end()..]).map_or(text.len(), |at| hit.end() + at);
            (line, self.stages[hit.pattern().as_usize()], &text[start..end])
        })
    }
}

fn read() -> Result<StageFile, StagesError> {
    let file: StageFile = toml::from_str(FILE).map_err(|error| StagesError::Malformed(error.to_string()))?;
    if file.schema == 1 { Ok(file) } else { Err(StagesError::Schema(file.schema)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_begins_its_stage() {
        let file = read().unwrap();
        let lines = StageLines::of(&file).unwrap();
        for line in &file.line {
            let found: Vec<Stage> = lines.find(line.sample.as_bytes()).map(|(_, stage, _)| stage).collect();
            assert_eq!(found.first(), Some(&line.stage), "{}", line.sample);
            assert!(found.iter().all(|stage| *stage == line.stage), "{} begins two stages", line.sample);
            assert!(!line.source.is_empty() && line.needles.iter().all(|needle| needle.len() > 8), "{}", line.sample);
        }
    }

    #[test]
    fn lines_are_counted() {
        let lines = StageLines::built_in().unwrap();
        let text = b"one\nLoad weight begin. avail mem=1\nthree\nx Application startup complete.\r\nlast";
        let found: Vec<_> = lines.find(text).map(|(line, stage, text)| (line, stage, text.len())).collect();
        assert_eq!(found, [(2, Stage::Weights, 30), (4, Stage::Serving, 32)]);
        assert_eq!(lines.find(b"").count(), 0);
    }
}
