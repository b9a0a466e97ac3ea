//! A watch in a file: compact enough for days, whole up to its last sample whatever happens to the writer.
//!
//! A file is a magic line and frames. Each frame is a length, a checksum and a payload, written in one go: a file that was cut short is
//! read up to its last whole frame. A sample is flattened to numbers and stored as what changed since the one before; every few minutes
//! one stands alone, so that a reader can start there. Processes are stored as who came, who went and whose memory changed, strings
//! (names, command lines) once. Files of version 0.1, which held processes differently, are read as well.
//!
//! [`Recorder`] writes on a thread of its own, [`Replay`] reads, [`export`] turns a recording into CSV or JSON Lines.

#[cfg(test)]
mod busy_day;
mod chart;
mod decode;
mod encode;
pub mod export;
mod flat;
mod frame;
mod mark;
mod numbers;
mod recorder;
mod replay;
mod table;
mod texts;

pub use chart::timeline;
pub use decode::{Decoder, Event};
pub use encode::{Encoder, Header};
pub use frame::{BadRecording, MAGIC};
pub use mark::{Mark, MarkKind};
pub use recorder::Recorder;
pub use replay::{Cursor, Replay, Series};
