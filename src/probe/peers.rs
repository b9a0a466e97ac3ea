//! How the cards reach each other.

use nvml_wrapper::enum_wrappers::device::{P2pCapabilitiesIndex, P2pStatus};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::readings::{absent, reading};
use crate::hardware::{PeerLink, Reading};

/// Most NVLink connections of one card that NVML counts (`NVML_NVLINK_MAX_LINKS`).
const MOST_LINKS: u32 = 18;

/// Each pair of cards that can be opened, once.
pub(super) fn read(nvml: &Nvml, count: u32) -> Vec<PeerLink> {
    let ends: Vec<End<'_>> = (0..count).filter_map(|index| End::open(nvml, index)).collect();
    let mut pairs = Vec::new();
    for (place, a) in ends.iter().enumerate() {
        for b in &ends[place + 1..] {
            pairs.push(PeerLink {
                a: a.index,
                b: b.index,
                nvlinks: nvlinks(a, b),
                peer_access: peer_access(a, b),
                common_ancestor: common_ancestor(nvml, a, b),
            });
        }
    }
    pairs
}

/// One card, with the far ends of its NVLink connections.
struct End<'nvml> {
    index: u32,
    device: Device<'nvml>,
    pci_bus_id: Option<String>,
    /// PCI address at the far end of each active connection: a card's, or a switch's. `None` where the driver does not tell it.
    links: Reading<Vec<Option<String>>>,
}

impl<'nvml> End<'nvml> {
    fn open(nvml: &'nvml Nvml, index: u32) -> Option<Self> {
        let device = nvml.device_by_index(index).ok()?;
        let pci_bus_id = device.pci_info().ok().map(|pci| pci.bus_id);
        let links = links(&device);
        Some(Self { index, device, pci_bus_id, links })
    }

    fn leads_to(&self, other: &Self) -> usize {
        let far_ends = self.links.as_ref().known().map(Vec::as_slice).unwrap_or_default();
        far_ends.iter().filter(|far| far.is_some() && **far == other.pci_bus_id).count()
    }

    fn active(&self) -> usize {
        self.links.as_ref().known().map_or(0, Vec::len)
    }
}

fn links(device: &Device<'_>) -> Reading<Vec<Option<String>>> {
    let mut far_ends = Vec::new();
    for link in 0..MOST_LINKS {
        let connection = device.link_wrapper_for(link);
        match connection.is_active() {
            Ok(true) => far_ends.push(connection.remote_pci_info().ok().map(|pci| pci.bus_id)),
            Ok(false) => {}
            // Cards have fewer connections than the most there can be.
            Err(NvmlError::InvalidArg) if link > 0 => break,
            Err(NvmlError::NotSupported) if link > 0 => {}
            Err(error) => return absent(&error),
        }
    }
    Reading::Known(far_ends)
}

/// Connections from card to card; where both hang on switches and NVLink reaches the other, all those of the card that has fewer.
fn nvlinks(a: &End<'_>, b: &End<'_>) -> Reading<u32> {
    a.links.as_ref().and_then(|_| b.links.as_ref()).and_then(|_| {
        let direct = a.leads_to(b).max(b.leads_to(a));
        let counted = if direct > 0 {
            direct
        } else {
            match a.device.p2p_status(&b.device, P2pCapabilitiesIndex::NvLink) {
                Ok(P2pStatus::Ok) => a.active().min(b.active()),
                Ok(_) => 0,
                Err(error) => return absent(&error),
            }
        };
        u32::try_from(counted).map_or(Reading::Failed, Reading::Known)
    })
}

/// Reading is asked; writing goes wherever reading does on the platforms CUDA supports.
fn peer_access(a: &End<'_>, b: &End<'_>) -> Reading<bool> {
    reading(a.device.p2p_status(&b.device, P2pCapabilitiesIndex::Read)).and_then(|status| match status {
        P2pStatus::Ok => Reading::Known(true),
        P2pStatus::Unknown => Reading::Failed,
        P2pStatus::ChipsetNotSupported
        | P2pStatus::GpuNotSupported
        | P2pStatus::IohTopologyNotSupported
        | P2pStatus::DisabledByRegkey
        | P2pStatus::NotSupported => Reading::Known(false),
    })
}

#[cfg(target_os = "linux")]
fn common_ancestor(nvml: &Nvml, a: &End<'_>, b: &End<'_>) -> Reading<String> {
    use nvml_wrapper::enum_wrappers::device::TopologyLevel;

    // The wrapper takes the other card by value.
    let level = nvml.device_by_index(b.index).and_then(|other| a.device.topology_common_ancestor(other));
    reading(level).map(|level| {
        let name = match level {
            TopologyLevel::Internal => "same board",
            TopologyLevel::Single => "single switch",
            TopologyLevel::Multiple => "several switches",
            TopologyLevel::HostBridge => "host bridge",
            TopologyLevel::Node => "node",
            TopologyLevel::System => "system",
        };
        name.to_owned()
    })
}

#[cfg(not(target_os = "linux"))]
fn common_ancestor(_nvml: &Nvml, _a: &End<'_>, _b: &End<'_>) -> Reading<String> {
    Reading::Unsupported
}
