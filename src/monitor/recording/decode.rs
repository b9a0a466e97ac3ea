//! From frames to samples.

use std::time::Duration;

use super::flat::unflatten;
use super::numbers::Reader;
use super::{Header, Mark, MarkKind};
use crate::monitor::Sample;

/// The first byte of a payload.
pub(super) mod kind {
    /// JSON of a [`super::Header`].
    pub const HEADER: u8 = 1;
    /// Texts, numbered on from those before.
    pub const TEXTS: u8 = 2;
    /// A sample that stands alone.
    pub const KEY: u8 = 3;
    /// A sample as what changed.
    pub const CHANGES: u8 = 4;
    /// A question that the driver did not answer.
    pub const FAILURE: u8 = 5;
    /// A moment with a name.
    pub const MARK: u8 = 6;
}

/// What a frame said.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// About the recording.
    Header(Box<Header>),
    /// A sample, or a failure to take one.
    Sample(Sample),
    /// A mark.
    Mark(Mark),
    /// Nothing by itself: texts, or a kind of frame of a later version.
    Other,
}

/// Reads payloads one after the other. After a jump the next sample must be one that stands alone.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// Texts so far.
    texts: Vec<String>,
    row: Vec<i64>,
}

impl Decoder {
    /// Most texts kept, and most numbers of a row: what a file can make the program hold is bounded.
    const MOST: usize = 4 << 20;

    /// What a payload says; `None` when it makes no sense, which ends the recording.
    pub fn read(&mut self, payload: &[u8]) -> Option<Event> {
        let (kind, rest) = payload.split_first()?;
        let mut reader = Reader(rest);
        Some(match *kind {
            kind::HEADER => Event::Header(serde_json::from_slice(rest).ok()?),
            kind::TEXTS => {
                self.add_texts(&mut reader)?;
                Event::Other
            }
            kind::KEY | kind::CHANGES => {
                let at = Duration::from_millis(reader.take()?);
                if *kind == kind::KEY {
                    self.row.clear();
                    while !reader.is_empty() {
                        self.row.push(reader.take_signed()?);
                    }
                } else {
                    self.change(&mut reader)?;
                }
                Event::Sample(Sample { at, outcome: Ok(unflatten(&self.row, &self.texts)?) })
            }
            kind::FAILURE => {
                let at = Duration::from_millis(reader.take()?);
                Event::Sample(Sample { at, outcome: Err(text(reader.take_bytes()?)) })
            }
            kind::MARK => {
                let at = Duration::from_millis(reader.take()?);
                let kind = MarkKind::of_code(reader.take()?);
                let text = text(reader.take_bytes()?);
                kind.map_or(Event::Other, |kind| Event::Mark(Mark { at, kind, text }))
            }
            _ => Event::Other,
        })
    }

    /// A decoder with the same texts, for another place of the file.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self { texts: self.texts.clone(), row: Vec::new() }
    }

    fn add_texts(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        while !reader.is_empty() {
            let text = text(reader.take_bytes()?);
            if self.texts.len() == Self::MOST {
                return None;
            }
            self.texts.push(text);
        }
        Some(())
    }

    fn change(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut place = 0usize;
        while !reader.is_empty() {
            place = place.checked_add(usize::try_from(reader.take()?).ok()?)?;
            let value = self.row.get_mut(place)?;
            *value = value.wrapping_add(reader.take_signed()?);
            place += 1;
        }
        Some(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
