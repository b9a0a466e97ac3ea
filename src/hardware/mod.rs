//! Cards as values: what a card is, what it reported, which of them an engine sees. Nothing here asks a driver.

mod card;
mod described;
mod fleet;
mod host;
mod known;
mod reading;
mod snapshot;
mod visible;

pub use card::{Card, CardSource};
pub use described::{Described, described};
pub use fleet::{Fleet, FleetItem, FleetSource, FleetSpec, ParseFleetError};
pub use host::HostMemory;
pub use known::{ResolveError, resolve, resolve_snapshot};
pub use reading::{Absence, Reading};
pub use snapshot::{CardState, MemoryState, MigInstance, MigMode, PcieLink, PeerLink, ProcessState, Snapshot, Vitals};
pub use visible::{DeviceOrder, SelectError, VisibleDevices};
