//! How a card reaches the host and the other cards.

use std::ffi::c_uint;

use super::errors::{Error, Return};
use super::identity::PciInfo;
use super::{Handle, ask_device, code, getters, put, unit_of};
use crate::driver::Driver;
use crate::machine::{Card, NvLink, Pcie};

fn pcie(driver: &Driver, unit: usize) -> Option<Pcie> {
    driver.card(unit).pcie
}

fn link(card: &Card, number: c_uint) -> Result<NvLink, Error> {
    if card.nvlinks.is_empty() {
        return Err(Error::NotSupported);
    }
    card.nvlinks.get(number as usize).copied().ok_or(Error::InvalidArgument)
}

getters! {
    nvmlDeviceGetCurrPcieLinkGeneration() -> c_uint = |driver, unit| Some(pcie(driver, unit)?.generation);
    nvmlDeviceGetMaxPcieLinkGeneration() -> c_uint = |driver, unit| Some(pcie(driver, unit)?.max_generation);
    nvmlDeviceGetGpuMaxPcieLinkGeneration() -> c_uint = |driver, unit| Some(pcie(driver, unit)?.max_generation);
    nvmlDeviceGetCurrPcieLinkWidth() -> c_uint = |driver, unit| Some(pcie(driver, unit)?.width);
    nvmlDeviceGetMaxPcieLinkWidth() -> c_uint = |driver, unit| Some(pcie(driver, unit)?.max_width);
    nvmlDeviceGetPcieThroughput(counter: c_uint) -> c_uint = |driver, unit, counter| {
        let link = pcie(driver, unit)?;
        match counter {
            0 => Some(link.sent),
            1 => Some(link.received),
            _ => None,
        }
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkState(device: Handle, number: c_uint, state: *mut c_uint) -> Return {
    let answer = ask_device("nvmlDeviceGetNvLinkState", device, |driver, unit| link(driver.card(unit), number));
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|link| unsafe { put(state, c_uint::from(link != NvLink::Inactive)) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkVersion(device: Handle, number: c_uint, version: *mut c_uint) -> Return {
    let answer = ask_device("nvmlDeviceGetNvLinkVersion", device, |driver, unit| {
        link(driver.card(unit), number)?;
        // NVLink 3 came with Ampere, 4 with Hopper, 5 with Blackwell.
        Ok(driver.card(unit).compute_capability.0.clamp(8, 10) - 5)
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(version, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkRemotePciInfo_v2(
    device: Handle,
    number: c_uint,
    pci: *mut PciInfo,
) -> Return {
    let answer = ask_device("nvmlDeviceGetNvLinkRemotePciInfo_v2", device, |driver, unit| {
        match link(driver.card(unit), number)? {
            NvLink::Inactive => Err(Error::NotSupported),
            NvLink::Card(to) => driver.machine.cards.get(to).map(PciInfo::of).ok_or(Error::Unknown),
            // A switch has an address that belongs to no card.
            NvLink::Switch => Ok(PciInfo::of(&driver.card(unit).clone().with(|card| {
                card.pci_bus = 0xC0;
                card.pci_device_id = 0x22A3_10DE;
            }))),
        }
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(pci, answer) }))
}

/// Two cards that may be one.
fn pair<T>(
    call: &str,
    one: Handle,
    other: Handle,
    answer: impl FnOnce(&Driver, usize, usize) -> Result<T, Error>,
) -> Result<T, Error> {
    ask_device(call, one, |driver, a| {
        let b = unit_of(driver, other).ok_or(Error::InvalidArgument)?;
        if driver.units[a].instance.is_some() || driver.units[b].instance.is_some() {
            return Err(Error::NotSupported);
        }
        answer(driver, a, b)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTopologyCommonAncestor(one: Handle, other: Handle, level: *mut c_uint) -> Return {
    let answer = pair("nvmlDeviceGetTopologyCommonAncestor", one, other, |driver, a, b| {
        Ok(if a == b { 0 } else { driver.machine.ancestor as c_uint })
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(level, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetP2PStatus(
    one: Handle,
    other: Handle,
    capability: c_uint,
    status: *mut c_uint,
) -> Return {
    const OK: c_uint = 0;
    const NOT_SUPPORTED: c_uint = 5;
    const NVLINK: c_uint = 2;
    let answer = pair("nvmlDeviceGetP2PStatus", one, other, |driver, a, b| {
        if a == b {
            return Err(Error::InvalidArgument);
        }
        let reachable = match capability {
            NVLINK => driver.nvlinked(a, b),
            _ => driver.peers(a, b),
        };
        Ok(if reachable { OK } else { NOT_SUPPORTED })
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(status, answer) }))
}

impl Driver {
    /// Whether NVLink joins two cards, straight or through a switch.
    fn nvlinked(&self, a: usize, b: usize) -> bool {
        let reaches = |from: usize, to: usize| {
            self.card(from).nvlinks.iter().any(|link| match link {
                NvLink::Switch => self.card(to).nvlinks.contains(&NvLink::Switch),
                NvLink::Card(there) => *there == to,
                NvLink::Inactive => false,
            })
        };
        reaches(a, b) && reaches(b, a)
    }

    /// Whether two cards can reach each other's memory.
    pub(crate) fn peers(&self, a: usize, b: usize) -> bool {
        let apart = self.units[a].instance.is_none() && self.units[b].instance.is_none();
        apart && (self.nvlinked(a, b) || (self.card(a).peer_access && self.card(b).peer_access))
    }
}
