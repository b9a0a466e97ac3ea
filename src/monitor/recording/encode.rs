//! From samples to frames.

use serde::{Deserialize, Serialize};

use super::flat::{Texts, flatten};
use super::frame::{MAGIC, put_frame};
use super::numbers::{put, put_bytes, put_signed};
use super::{Mark, decode::kind};
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
#[derive(Debug)]
pub struct Encoder {
    texts: Texts,
    before: Vec<i64>,
    /// Samples since the last that stands alone.
    since_key: u32,
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
        (Self { texts: Texts::default(), before: Vec::new(), since_key: Self::KEY_EVERY }, out)
    }

    /// The frames of a sample.
    pub fn sample(&mut self, sample: &Sample) -> Vec<u8> {
        let at = millis(sample.at);
        let mut payload = Vec::new();
        match &sample.outcome {
            Ok(snapshot) => {
                let row = flatten(snapshot, &mut self.texts);
                if self.since_key >= Self::KEY_EVERY || row.len() != self.before.len() {
                    self.since_key = 0;
                    payload.push(kind::KEY);
                    put(&mut payload, at);
                    row.iter().for_each(|value| put_signed(&mut payload, *value));
                } else {
                    payload.push(kind::CHANGES);
                    put(&mut payload, at);
                    put_changes(&mut payload, &self.before, &row);
                }
                self.since_key += 1;
                self.before = row;
            }
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
        let fresh = std::mem::take(&mut self.texts.fresh);
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

/// What differs: how many numbers to leave alone, then the difference of the next, and again.
fn put_changes(out: &mut Vec<u8>, before: &[i64], row: &[i64]) {
    let mut same = 0;
    for (before, now) in before.iter().zip(row) {
        if before == now {
            same += 1;
        } else {
            put(out, same);
            put_signed(out, now.wrapping_sub(*before));
            same = 0;
        }
    }
}
