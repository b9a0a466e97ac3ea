//! Opening and closing NVML, and what it says of the whole system.

use std::ffi::{c_char, c_int, c_uint};

use super::errors::{Error, Return};
use super::{Handle, ask, code, handle, put};
use crate::driver::Driver;
use crate::machine::Fault;
use crate::{driver, text};

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Return {
    code(open("nvmlInit_v2"))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit() -> Return {
    code(open("nvmlInit_v2"))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> Return {
    code(open("nvmlInit_v2"))
}

fn open(call: &str) -> Result<(), Error> {
    let opened = driver::with(|driver| {
        driver.nvml_call(call, None)?;
        driver.ledger.count(|counters| counters.nvml_sessions += 1);
        Ok(())
    });
    opened.unwrap_or(Err(Error::DriverNotLoaded))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Return {
    let closed = driver::with(|driver| {
        driver.nvml_ready()?;
        driver.ledger.count(|counters| counters.nvml_sessions -= 1);
        Ok(())
    });
    code(closed.unwrap_or(Err(Error::DriverNotLoaded)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> Return {
    let answer = ask("nvmlSystemGetDriverVersion", |driver| Ok(driver.machine.driver_version.clone()));
    // SAFETY: NVML asks for a buffer of `length` characters.
    code(answer.and_then(|answer| unsafe { put_text(version, length, &answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(version: *mut c_char, length: c_uint) -> Return {
    // NVML's own version is the driver's behind the CUDA major version.
    let answer = ask("nvmlSystemGetNVMLVersion", |driver| {
        Ok(format!("{}.{}", driver.machine.cuda_version / 1000, driver.machine.driver_version))
    });
    // SAFETY: NVML asks for a buffer of `length` characters.
    code(answer.and_then(|answer| unsafe { put_text(version, length, &answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> Return {
    let answer = ask("nvmlSystemGetCudaDriverVersion_v2", |driver| Ok(driver.machine.cuda_version));
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(version, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion(version: *mut c_int) -> Return {
    // SAFETY: the same contract.
    unsafe { nvmlSystemGetCudaDriverVersion_v2(version) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetProcessName(pid: c_uint, name: *mut c_char, length: c_uint) -> Return {
    let answer = ask("nvmlSystemGetProcessName", |_| {
        let path = std::fs::read_link(format!("/proc/{pid}/exe")).map_err(|_| Error::NotFound)?;
        Ok(path.to_string_lossy().into_owned())
    });
    // SAFETY: NVML asks for a buffer of `length` characters.
    code(answer.and_then(|answer| unsafe { put_text(name, length, &answer) }))
}

/// The cards that the driver lists.
fn listed(driver: &Driver) -> impl Iterator<Item = usize> + '_ {
    let gone =
        |card: &usize| driver.machine.faults.iter().any(|f| matches!(f, Fault::CardGone { card: c } if c == card));
    (0..driver.machine.cards.len()).filter(move |card| !gone(card))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> Return {
    let answer =
        ask("nvmlDeviceGetCount_v2", |driver| c_uint::try_from(listed(driver).count()).map_err(|_| Error::Unknown));
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(count, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut Handle) -> Return {
    let answer = ask("nvmlDeviceGetHandleByIndex_v2", |driver| {
        let index = listed(driver).nth(index as usize).ok_or(Error::InvalidArgument)?;
        driver.nvml_call("nvmlDeviceGetHandleByIndex_v2", Some(index))?;
        Ok(handle(index))
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(device, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut Handle) -> Return {
    // SAFETY: NVML asks for a text that ends with a zero.
    let wanted = unsafe { text::get(uuid) };
    let answer = ask("nvmlDeviceGetHandleByUUID", |driver| {
        let wanted = wanted.ok_or(Error::InvalidArgument)?;
        let found = driver.units.iter().position(|unit| unit.uuid(&driver.machine) == wanted);
        found.map(handle).ok_or(Error::NotFound)
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(device, answer) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(address: *const c_char, device: *mut Handle) -> Return {
    // SAFETY: NVML asks for a text that ends with a zero.
    let wanted = unsafe { text::get(address) };
    let answer = ask("nvmlDeviceGetHandleByPciBusId_v2", |driver| {
        let wanted = wanted.ok_or(Error::InvalidArgument)?;
        let found = driver.machine.cards.iter().position(|card| card.is_at(wanted));
        found.map(handle).ok_or(Error::NotFound)
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(device, answer) }))
}

/// Writes a text where the caller wants it.
///
/// # Safety
/// `buffer` is null or has room for `length` characters.
pub(super) unsafe fn put_text(buffer: *mut c_char, length: c_uint, answer: &str) -> Result<(), Error> {
    // SAFETY: the caller vouches for the buffer.
    match (buffer.is_null(), unsafe { text::put(buffer, length as usize, answer) }) {
        (true, _) => Err(Error::InvalidArgument),
        (false, false) => Err(Error::InsufficientSize),
        (false, true) => Ok(()),
    }
}
