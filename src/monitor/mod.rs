//! Watches cards over time: samples a probe on a thread of its own, keeps a bounded history, judges it, records and replays it.
//!
//! [`Sampler`] owns the clock and the thread, [`recording`] the files. What becomes of the samples ([`Watch`], [`CardUsage`], [`Trace`],
//! [`Analysis`], [`alarm`]) is arithmetic on values whose times are offsets from the start of the watch, so that tests and replays need
//! no clock.

pub mod alarm;
mod analysis;
mod duration;
mod expectation;
mod interval;
mod process;
pub mod recording;
mod report;
mod sampler;
mod trace;
mod usage;
mod watch;

pub use analysis::{Analysis, CardAnalysis};
pub use duration::{ParseDurationError, clock, moment, parse_duration, short_duration, stamp};
pub use expectation::{Expectation, ExpectedCard, ExpectedPart, Part};
pub use interval::{Interval, ParseIntervalError};
pub use process::{ProcessRow, SortOrder, sort};
pub use report::report;
pub use sampler::{Sample, Sampler};
pub use trace::{Point, Trace};
pub use usage::{CardId, CardUsage, MemoryUse, OWN_NAME, usages};
pub use watch::{Presence, Trouble, Watch, WatchedCard};
