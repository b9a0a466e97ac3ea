//! Watches cards over time: samples a probe on a thread of its own and keeps a bounded history.
//!
//! [`Sampler`] owns the clock and the thread. What becomes of the samples ([`Watch`], [`CardUsage`], [`Trace`]) is arithmetic on values
//! whose times are offsets from the start of the watch, so that tests and replays need no clock.

mod interval;
mod process;
mod report;
mod sampler;
mod trace;
mod usage;
mod watch;

pub use interval::{Interval, ParseIntervalError};
pub use process::{ProcessRow, SortOrder, sort};
pub use report::report;
pub use sampler::{Sample, Sampler};
pub use trace::{Point, Trace};
pub use usage::{CardId, CardUsage, MemoryUse, OWN_NAME, usages};
pub use watch::{Presence, Trouble, Watch, WatchedCard};
