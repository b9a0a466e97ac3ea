//! From samples to frames.

use serde::{Deserialize, Serialize};

use super::flat::{ProcessNumbers, flatten, flatten_process};
use super::frame::{MAGIC, put_frame};
use super::numbers::{put, put_bytes, put_signed};
use super::table::{Table, put_scaled};
use super::texts::Texts;
use super::{Mark, decode::kind};
use crate::hardware::Snapshot;
use crate::monitor::{Expectation, Sample};

/// What a recording says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the program that wrote it.
    pub version: String,
    /// Start of the watch: milliseconds since 1970 in UTC.
    pub started_unix_ms: u64,
    /// What was watched, in words.
    pub source: String,
    /// What a plan predicts for the cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expectation: Option<Expectation>,
}

/// Turns samples and marks into the bytes of a recording, one after the other.
#[derive(Debug, Default)]
pub struct Encoder {
    texts: Texts,
    /// The row of the sample before, and room for the next.
    before: Vec<i64>,
    row: Vec<i64>,
    /// Processes of each card.
    tables: Vec<Table>,
    /// Samples until the next that stands alone.
    until_key: u32,
}

impl Encoder {
    /// Samples from one that stands alone to the next: at one a second, five minutes.
    const KEY_EVERY: u32 = 300;

    /// An encoder and the first bytes of the file.
    #[must_use]
    pub fn new(header: &Header) -> (Self, Vec<u8>) {
        let mut out = MAGIC.to_vec();
        let mut payload = vec![kind::HEADER];
        // A structure of texts and numbers always has a JSON form; without it the recording merely lacks its plan.
        payload.extend(serde_json::to_vec(header).unwrap_or_default());
        put_frame(&mut out, &payload);
        (Self::default(), out)
    }

    /// The frames of a sample.
    pub fn sample(&mut self, sample: &Sample) -> Vec<u8> {
        let at = millis(sample.at);
        let mut payload = Vec::new();
        match &sample.outcome {
            Ok(snapshot) => self.snapshot(snapshot, at, &mut payload),
            Err(message) => {
                payload.push(kind::FAILURE);
                put(&mut payload, at);
                put_bytes(&mut payload, message.as_bytes());
            }
        }
        let mut out = self.fresh_texts();
        put_frame(&mut out, &payload);
        out
    }

    fn snapshot(&mut self, snapshot: &Snapshot, at: u64, payload: &mut Vec<u8>) {
        flatten(snapshot, &mut self.texts, &mut self.row);
        let same_shape = (self.row.len(), self.tables.len()) == (self.before.len(), snapshot.cards.len());
        if self.until_key == 0 || !same_shape {
            self.until_key = Self::KEY_EVERY;
            payload.push(kind::KEY);
            put(payload, at);
            put(payload, self.row.len() as u64);
            self.row.iter().for_each(|value| put_signed(payload, *value));
            self.tables.iter_mut().for_each(Table::clear);
            self.tables.resize_with(snapshot.cards.len(), Table::default);
        } else {
            payload.push(kind::CHANGES);
            put(payload, at);
            put_changes(payload, &self.before, &self.row);
        }
        self.until_key -= 1;
        std::mem::swap(&mut self.before, &mut self.row);
        for (card, table) in snapshot.cards.iter().zip(&mut self.tables) {
            if let Some(processes) = card.processes.as_ref().known() {
                let now: Vec<ProcessNumbers> =
                    processes.iter().map(|process| flatten_process(process, &mut self.texts)).collect();
                table.follow(&now, payload);
            }
        }
    }

    /// The frame of a mark.
    #[must_use]
    pub fn mark(mark: &Mark) -> Vec<u8> {
        let mut payload = vec![kind::MARK];
        put(&mut payload, millis(mark.at));
        put(&mut payload, mark.kind.code());
        put_bytes(&mut payload, mark.text.as_bytes());
        let mut out = Vec::new();
        put_frame(&mut out, &payload);
        out
    }

    fn fresh_texts(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let fresh = self.texts.take_fresh();
        if !fresh.is_empty() {
            let mut payload = vec![kind::TEXTS];
            fresh.iter().for_each(|text| put_bytes(&mut payload, text.as_bytes()));
            put_frame(&mut out, &payload);
        }
        out
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What differs: how many numbers there are to change, then for each how many to leave alone and the difference of the next.
fn put_changes(out: &mut Vec<u8>, before: &[i64], row: &[i64]) {
    let mut changes = Vec::new();
    let (mut count, mut same) = (0, 0);
    for (before, now) in before.iter().zip(row) {
        if before == now {
            same += 1;
        } else {
            put(&mut changes, same);
            put_scaled(&mut changes, now.wrapping_sub(*before));
            (count, same) = (count + 1, 0);
        }
    }
    put(out, count);
    out.extend(changes);
}
