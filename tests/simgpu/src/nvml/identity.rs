//! Who a device is.

use std::ffi::{c_char, c_int, c_uint};

use super::errors::{Error, Return};
use super::session::put_text;
use super::{Handle, ask_device, code, getters, put};
use crate::machine::Card;
use crate::text;

/// `nvmlPciInfo_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PciInfo {
    bus_id_legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    pci_device_id: c_uint,
    pci_subsystem_id: c_uint,
    bus_id: [c_char; 32],
}

impl PciInfo {
    pub(super) fn of(card: &Card) -> Self {
        Self {
            // Four digits of domain in the old field, eight in the new one.
            bus_id_legacy: text::array(&card.pci_bus_id()[4..]),
            domain: 0,
            bus: card.pci_bus,
            device: 0,
            pci_device_id: card.pci_device_id,
            pci_subsystem_id: card.pci_device_id,
            bus_id: text::array(&card.pci_bus_id()),
        }
    }
}

getters! {
    nvmlDeviceGetPciInfo_v3() -> PciInfo = |driver, unit| {
        driver.units[unit].instance.is_none().then(|| PciInfo::of(driver.card(unit)))
    };
    nvmlDeviceGetIndex() -> c_uint = |driver, unit| {
        let unit = driver.units[unit];
        c_uint::try_from(unit.instance.unwrap_or(unit.card)).ok()
    };
    nvmlDeviceGetMinorNumber() -> c_uint = |driver, unit| c_uint::try_from(driver.units[unit].card).ok();
    nvmlDeviceGetNumGpuCores() -> c_uint = |driver, unit| {
        let (major, minor) = driver.card(unit).compute_capability;
        let per_multiprocessor = match (major, minor) {
            (8, 6 | 9) | (9.., _) => 128,
            _ => 64,
        };
        Some(driver.memory(unit).multiprocessors * per_multiprocessor)
    };
    nvmlDeviceGetArchitecture() -> c_uint = |driver, unit| Some(match driver.card(unit).compute_capability {
        (7, 0 | 2) => 5,
        (7, _) => 6,
        (8, 9) => 8,
        (8, _) => 7,
        (9, _) => 9,
        _ => 10,
    });
    nvmlDeviceGetBoardId() -> c_uint = |driver, unit| Some(driver.card(unit).pci_bus << 8);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(device: Handle, name: *mut c_char, length: c_uint) -> Return {
    let answer = ask_device("nvmlDeviceGetName", device, |driver, unit| Ok(driver.units[unit].name(&driver.machine)));
    // SAFETY: NVML asks for a buffer of `length` characters.
    code(answer.and_then(|answer| unsafe { put_text(name, length, &answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(device: Handle, uuid: *mut c_char, length: c_uint) -> Return {
    let answer =
        ask_device("nvmlDeviceGetUUID", device, |driver, unit| Ok(driver.units[unit].uuid(&driver.machine).to_owned()));
    // SAFETY: NVML asks for a buffer of `length` characters.
    code(answer.and_then(|answer| unsafe { put_text(uuid, length, &answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetSerial(device: Handle, serial: *mut c_char, length: c_uint) -> Return {
    let answer = ask_device("nvmlDeviceGetSerial", device, |driver, unit| match driver.card(unit).ecc {
        Some(_) => Ok(format!("13201230{:05}", driver.card(unit).pci_bus)),
        // Consumer cards have no serial number that the driver could read.
        None => Err(Error::NotSupported),
    });
    // SAFETY: NVML asks for a buffer of `length` characters.
    code(answer.and_then(|answer| unsafe { put_text(serial, length, &answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: Handle,
    major: *mut c_int,
    minor: *mut c_int,
) -> Return {
    let answer = ask_device("nvmlDeviceGetCudaComputeCapability", device, |driver, unit| {
        let (major, minor) = driver.card(unit).compute_capability;
        Ok((major.cast_signed(), minor.cast_signed()))
    });
    // SAFETY: NVML asks for pointers that may be written.
    code(answer.and_then(|(a, b)| unsafe { put(major, a).and_then(|()| put(minor, b)) }))
}
