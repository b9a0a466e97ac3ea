//! Starting the driver, and what it says of each device.

use std::ffi::{c_char, c_int, c_uint};

use super::errors::Code;
use super::visible::{self, Environment};
use super::{attributes, call, code, put};
use crate::driver::{self, Driver};
use crate::text;

/// `CUuuid`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Uuid([u8; 16]);

impl Driver {
    /// The unit behind a CUDA ordinal.
    pub(super) fn device(&self, ordinal: c_int) -> Result<usize, Code> {
        let ordinal = usize::try_from(ordinal).map_err(|_| Code::INVALID_DEVICE)?;
        self.cuda.visible.get(ordinal).copied().ok_or(Code::INVALID_DEVICE)
    }

    /// Starts CUDA with what `environment` lets it see.
    pub(super) fn start(&mut self, environment: &Environment) -> Result<(), Code> {
        self.cuda_call("cuInit")?;
        if !self.cuda.initialised {
            let visible = visible::select(self, environment);
            if visible.is_empty() {
                return Err(Code::NO_DEVICE);
            }
            self.cuda.visible = visible;
            self.cuda.initialised = true;
        }
        Ok(())
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> c_uint {
    if flags != 0 {
        return Code::INVALID_VALUE.0;
    }
    let environment = Environment::read();
    code(driver::with(|driver| driver.start(&environment)).unwrap_or(Err(Code::NO_DEVICE)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_uint {
    // The one question that CUDA answers before cuInit.
    let answer = driver::with(|driver| driver.machine.cuda_version).ok_or(Code::NO_DEVICE);
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(version, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_uint {
    let answer =
        call("cuDeviceGetCount", |driver| c_int::try_from(driver.cuda.visible.len()).map_err(|_| Code::INVALID_VALUE));
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(count, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> c_uint {
    let answer = call("cuDeviceGet", |driver| driver.device(ordinal).map(|_| ordinal));
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(device, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> c_uint {
    let answer = call("cuDeviceGetName", |driver| {
        let unit = driver.device(device)?;
        Ok(driver.units[unit].name(&driver.machine))
    });
    // SAFETY: CUDA asks for a buffer of `length` characters.
    code(answer.and_then(|answer| unsafe { put_text(name, length, &answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut Uuid, device: c_int) -> c_uint {
    // Version 1 tells the card of an instance, version 2 the instance.
    let answer = call("cuDeviceGetUuid", |driver| {
        let unit = driver.device(device)?;
        Ok(parse(&driver.units[unit].of(&driver.machine).uuid))
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(uuid, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut Uuid, device: c_int) -> c_uint {
    let answer = call("cuDeviceGetUuid", |driver| {
        let unit = driver.device(device)?;
        Ok(parse(driver.units[unit].uuid(&driver.machine)))
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(uuid, answer) }))
}

/// The 16 bytes behind `GPU-01234567-89ab-…`.
fn parse(uuid: &str) -> Uuid {
    let digits: Vec<u8> =
        uuid.chars().skip(4).filter_map(|c| c.to_digit(16)).filter_map(|d| u8::try_from(d).ok()).collect();
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
    }
    Uuid(bytes)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) -> c_uint {
    let answer = call("cuDeviceTotalMem", |driver| {
        let unit = driver.device(device)?;
        usize::try_from(driver.memory(unit).cuda_total()).map_err(|_| Code::INVALID_VALUE)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(bytes, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_uint, device: c_int) -> c_uint {
    let answer = call("cuDeviceGetAttribute", |driver| {
        let unit = driver.device(device)?;
        attributes::read(driver, unit, attribute)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(value, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetPCIBusId(address: *mut c_char, length: c_int, device: c_int) -> c_uint {
    let answer = call("cuDeviceGetPCIBusId", |driver| {
        let unit = driver.device(device)?;
        // Four digits of domain, as CUDA writes it.
        Ok(driver.units[unit].of(&driver.machine).pci_bus_id()[4..].to_owned())
    });
    // SAFETY: CUDA asks for a buffer of `length` characters.
    code(answer.and_then(|answer| unsafe { put_text(address, length, &answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetByPCIBusId(device: *mut c_int, address: *const c_char) -> c_uint {
    // SAFETY: CUDA asks for a text that ends with a zero.
    let wanted = unsafe { text::get(address) };
    let answer = call("cuDeviceGetByPCIBusId", |driver| {
        let wanted = wanted.ok_or(Code::INVALID_VALUE)?;
        let at = |unit: &usize| driver.units[*unit].of(&driver.machine).is_at(wanted);
        let ordinal = driver.cuda.visible.iter().position(at).ok_or(Code::INVALID_DEVICE)?;
        c_int::try_from(ordinal).map_err(|_| Code::INVALID_DEVICE)
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(device, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceCanAccessPeer(can: *mut c_int, device: c_int, peer: c_int) -> c_uint {
    let answer = call("cuDeviceCanAccessPeer", |driver| {
        let (a, b) = (driver.device(device)?, driver.device(peer)?);
        Ok(c_int::from(a != b && driver.peers(a, b)))
    });
    // SAFETY: CUDA asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(can, answer) }))
}

/// Writes a text where the caller wants it.
///
/// # Safety
/// `buffer` is null or has room for `length` characters.
unsafe fn put_text(buffer: *mut c_char, length: c_int, answer: &str) -> Result<(), Code> {
    let room = usize::try_from(length).map_err(|_| Code::INVALID_VALUE)?;
    // SAFETY: the caller vouches for the buffer.
    if unsafe { text::put(buffer, room, answer) } { Ok(()) } else { Err(Code::INVALID_VALUE) }
}
