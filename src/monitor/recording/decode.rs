//! From frames to samples.

use std::time::Duration;

use super::flat::{Form, unflatten, unflatten_process};
use super::numbers::Reader;
use super::table::{Table, take_scaled};
use super::{Header, Mark, MarkKind};
use crate::hardware::{CardState, ProcessState, Reading, Snapshot};
use crate::monitor::Sample;

/// The first byte of a payload.
pub(super) mod kind {
    /// JSON of a [`super::Header`].
    pub const HEADER: u8 = 1;
    /// Texts, numbered on from those before.
    pub const TEXTS: u8 = 2;
    /// A sample that stands alone, in the first form.
    pub const FIRST_KEY: u8 = 3;
    /// A sample as what changed, in the first form.
    pub const FIRST_CHANGES: u8 = 4;
    /// A question that the driver did not answer.
    pub const FAILURE: u8 = 5;
    /// A moment with a name.
    pub const MARK: u8 = 6;
    /// A sample that stands alone.
    pub const KEY: u8 = 7;
    /// A sample as what changed.
    pub const CHANGES: u8 = 8;

    /// Whether reading can start at such a sample.
    pub const fn stands_alone(kind: u8) -> bool {
        matches!(kind, KEY | FIRST_KEY)
    }
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
    /// Processes of each card.
    tables: Vec<Table>,
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
                    self.tables.clear();
                    self.row.clear();
                    for _ in 0..reader.take()? {
                        self.row.push(reader.take_signed()?);
                    }
                } else {
                    self.change(&mut reader)?;
                }
                let snapshot = self.snapshot(&mut reader)?;
                Event::Sample(Sample { at, outcome: Ok(snapshot) })
            }
            kind::FIRST_KEY | kind::FIRST_CHANGES => {
                let at = Duration::from_millis(reader.take()?);
                if *kind == kind::FIRST_KEY {
                    self.row.clear();
                    while !reader.is_empty() {
                        self.row.push(reader.take_signed()?);
                    }
                } else {
                    self.first_change(&mut reader)?;
                }
                Event::Sample(Sample { at, outcome: Ok(unflatten(&self.row, &self.texts, Form::First)?) })
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
        Self { texts: self.texts.clone(), row: Vec::new(), tables: Vec::new() }
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
        for _ in 0..reader.take()? {
            place = place.checked_add(usize::try_from(reader.take()?).ok()?)?;
            let value = self.row.get_mut(place)?;
            *value = value.wrapping_add(take_scaled(reader)?);
            place += 1;
        }
        Some(())
    }

    fn first_change(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut place = 0usize;
        while !reader.is_empty() {
            place = place.checked_add(usize::try_from(reader.take()?).ok()?)?;
            let value = self.row.get_mut(place)?;
            *value = value.wrapping_add(reader.take_signed()?);
            place += 1;
        }
        Some(())
    }

    /// The row as a snapshot, with the processes whose changes are next.
    fn snapshot(&mut self, reader: &mut Reader<'_>) -> Option<Snapshot> {
        let mut snapshot = unflatten(&self.row, &self.texts, Form::Second)?;
        self.tables.resize_with(snapshot.cards.len(), Table::default);
        for (card, table) in snapshot.cards.iter_mut().zip(&mut self.tables) {
            if matches!(card.processes, Reading::Known(_)) {
                table.read(reader)?;
                let processes = table.processes().map(|process| unflatten_process(process, &self.texts));
                let mut processes = processes.collect::<Option<Vec<ProcessState>>>()?;
                processes.sort_by_key(CardState::process_order);
                card.processes = Reading::Known(processes);
            }
        }
        reader.is_empty().then_some(snapshot)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
