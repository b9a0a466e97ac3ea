//! Runs a command and watches the cards while it runs: its output goes through untouched, its signals are passed on, and what it and
//! others held on each card is kept for the moment in which it fails.
//!
//! [`Child`] is the process group, [`KeptLog`] what is remembered of its output, [`CardTrace`] what the cards held, [`Family`] which
//! processes belong to it. [`watch`] joins them.

mod child;
mod clock;
mod course;
mod explain;
mod family;
mod host;
mod listener;
mod log;
mod neighbours;
mod observed;
mod phases;
mod pools;
mod recorded;
mod relay;
mod report;
mod traces;
mod watch;

pub use child::{Child, Ended, Group};
pub use clock::LineClock;
pub use course::Course;
pub use explain::{doubt_the_kernel, explain};
pub use family::Family;
pub use listener::{Heard, Listener};
pub use log::KeptLog;
pub use neighbours::{Neighbour, Neighbours};
pub use observed::{Observation, ObservationKind, Recorded, observe};
pub use phases::phases;
pub use pools::PoolTrace;
pub use recorded::RecordingProbe;
pub use report::{Account, report};
pub use traces::{CardTrace, Moment, absorb};
pub use watch::{Notice, Options, Outcome, Survivor, watch};
