//! Asks the cards: NVML, or a recording of what it said.
//!
//! ```no_run
//! use shardfit::probe::{NvmlProbe, Probe, Wanted};
//!
//! let mut probe = NvmlProbe::open(Wanted::EVERYTHING)?;
//! for card in probe.snapshot()?.cards {
//!     println!("card {}: {:?}", card.index, card.memory);
//! }
//! # Ok::<(), shardfit::probe::ProbeError>(())
//! ```

mod card;
mod error;
mod events;
mod facts;
mod mig;
mod nvlink;
mod nvml;
mod owners;
mod peers;
mod processes;
mod readings;
mod recorded;
mod unwrapped;
mod workers;

pub use error::ProbeError;
pub use events::{CardError, wait_for_errors};
pub use nvml::NvmlProbe;
pub use recorded::{RECORDING_SCHEMA, RecordedProbe, Recording, save_recording};

use crate::hardware::Snapshot;

/// Something that tells what the cards of a machine report.
pub trait Probe {
    /// The cards as they are now.
    ///
    /// # Errors
    /// When there is nothing to tell at all. A single reading that cannot be had is a value of the snapshot, never an error.
    fn snapshot(&mut self) -> Result<Snapshot, ProbeError>;
}

/// Which readings a snapshot holds besides identity, memory and the sensors, which are always asked. The rest is left
/// [not read](crate::hardware::Reading::NotRead), for a monitor that asks many times a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Who holds memory, with names, owners and orphans.
    pub processes: bool,
    /// The PCIe link of each card.
    pub pcie: bool,
    /// NVLink, peer access and topology of each pair: the number of calls grows with the square of the cards.
    pub peers: bool,
    /// Clocks, power limit, memory errors, and bytes over NVLink on cards that have it.
    pub vitals: bool,
    /// Bytes over PCIe: the driver measures each direction of each card for 20 ms.
    pub traffic: bool,
}

impl Wanted {
    /// All there is.
    pub const EVERYTHING: Self = Self { processes: true, pcie: true, peers: true, vitals: false, traffic: false };
    /// What changes from second to second.
    pub const CHANGING: Self = Self { processes: true, pcie: false, peers: false, vitals: true, traffic: false };
    /// Memory alone.
    pub const MEMORY: Self = Self { processes: false, pcie: false, peers: false, vitals: false, traffic: false };
}
