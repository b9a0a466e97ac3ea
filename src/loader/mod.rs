//! Streams a placement onto cards, or onto host memory that stands in for them, and proves what arrived.
//!
//! Each wanted byte of the checkpoint is read once, whatever the number of ranks: workers take pieces of the files in order, read each into a
//! staging buffer, and send every rank its part by asynchronous copies, packed or converted by the CPU first where that is needed. The cards
//! are behind [`device::Device`], the files behind [`reader::Storage`]. Nothing here prints: progress is polled from [`Progress`],
//! measurements come with [`LoadOutcome`], and whoever must act between the steps is an [`Observer`].
//!
//! ```
//! use shardfit::loader::device::HostCards;
//! use shardfit::loader::reader::Disk;
//! use shardfit::loader::{LoadOptions, Progress, Unobserved, load};
//! use shardfit::model::Part;
//! use shardfit::placement::{
//!     Destination, FileRange, PlacedTensor, Placement, RankPlacement, RankPool, SourceFile, SourceRead, StridedCopy,
//! };
//! use shardfit::units::{Bytes, DType};
//!
//! // A file with a matrix of 4 × 6 bytes; two ranks take three columns each.
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("weights.bin");
//! std::fs::write(&path, [7; 24])?;
//! let half = |rank: usize| Destination {
//!     rank,
//!     tensor: 0,
//!     copy: StridedCopy {
//!         source_offset: 3 * rank as u64,
//!         source_pitch: 6,
//!         target_offset: 0,
//!         target_pitch: 3,
//!         width: 3,
//!         rows: 4,
//!     },
//!     cast: None,
//! };
//! let tensor = PlacedTensor {
//!     name: "down_proj".to_owned(),
//!     part: Part::Mlp,
//!     dtype: DType::U8,
//!     shape: vec![4, 3],
//!     offset: 0,
//!     bytes: Bytes(12),
//!     fills: Vec::new(),
//! };
//! let rank = |rank, device| RankPlacement { rank, device, arena: Bytes(12), tensors: vec![tensor.clone()], pool: RankPool::default() };
//! let placement = Placement {
//!     files: vec![SourceFile { path, size: Bytes(24) }],
//!     ranks: vec![rank(0, 0), rank(1, 1)],
//!     reads: vec![SourceRead {
//!         tensor: "down_proj.weight".to_owned(),
//!         range: FileRange { file: 0, offset: 0, len: 24 },
//!         destinations: vec![half(0), half(1)],
//!     }],
//! };
//!
//! let cards = HostCards::new(&[Bytes::kib(4), Bytes::kib(4)]);
//! let progress = Progress::new(&placement);
//! let outcome = load(&placement, &cards, &Disk::default(), &LoadOptions::default(), &progress, &Unobserved)?;
//! assert_eq!((outcome.read, outcome.placed()), (Bytes(24), Bytes(24)));
//! assert_eq!(outcome.verification.map(|verification| verification.compared), Some(Bytes(24)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "reads checkpoint files and the system's memory limits, and measures time, by design"
)]

mod calibrate;
mod cast;
mod check;
mod checksum;
mod chunks;
pub mod device;
mod disk;
mod error;
mod generated;
mod host_memory;
mod job;
mod options;
mod outcome;
mod padding;
mod pieces;
mod progress;
pub mod reader;
mod run;
mod sample;
mod scatter;
pub mod staging;
mod sums;
mod verify;

pub use calibrate::{
    CardMeasurement, ReadRates, measure_card, measure_memory_copy, measure_reading, measure_reading_in,
};
pub use cast::Cast;
pub use check::InvalidPlacement;
pub use error::{FailedAt, LoadError, LoadFailure};
pub use generated::Generated;
pub use host_memory::{MemoryBound, MemoryOrigin, available as available_host_memory, host_memory};
pub use options::{LoadOptions, OptionsError, Verify};
pub use outcome::{DeviceOutcome, LoadOutcome, RankOutcome, Verification};
pub use progress::{Observer, Phase, Progress, ProgressSnapshot, RankProgress, Unobserved};
pub use run::load;
pub use verify::Mismatch;
