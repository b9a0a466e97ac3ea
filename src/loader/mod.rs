//! Streams a placement onto cards, or onto host memory that stands in for them, and proves what arrived.
//!
//! Each wanted byte of the checkpoint is read once, whatever the number of ranks: workers take [chunks](self) of the files in order, read
//! each into a staging buffer, and send every rank its part by asynchronous copies, packed or converted by the CPU first where that is
//! needed. The cards are behind [`device::Device`], the files behind [`reader::Storage`]. Nothing here prints: progress is polled from
//! [`Progress`], measurements come with [`LoadOutcome`], and whoever must act between the steps is an [`Observer`].
#![expect(
    clippy::disallowed_methods,
    reason = "reads checkpoint files and the system's memory limits, and measures time, by design"
)]

mod cast;
mod check;
mod chunks;
pub mod device;
mod error;
mod host_memory;
mod job;
mod options;
mod outcome;
mod padding;
mod pieces;
mod progress;
pub mod reader;
mod report;
mod run;
mod sample;
mod scatter;
pub mod staging;
mod verify;

pub use cast::Cast;
pub use check::InvalidPlacement;
pub use error::{FailedAt, LoadError, LoadFailure};
pub use host_memory::{MemoryBound, MemoryOrigin, available as available_host_memory};
pub use options::{LoadOptions, OptionsError, Verify};
pub use outcome::{DeviceOutcome, LoadOutcome, RankOutcome, Verification};
pub use progress::{Observer, Phase, Progress, ProgressSnapshot, RankProgress, Unobserved};
pub use report::report;
pub use run::load;
pub use verify::Mismatch;
