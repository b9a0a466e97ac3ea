//! Calls that the program under test does not make and other monitors do, so that they can be measured beside it.

use std::ffi::{c_int, c_uint, c_ulonglong};

use super::errors::{Error, Return};
use super::{Handle, ask_device, code, getters, put};

/// `nvmlBAR1Memory_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bar1Memory {
    total: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

getters! {
    nvmlDeviceGetBAR1MemoryInfo() -> Bar1Memory = |driver, unit| {
        let total = driver.memory(unit).total.next_power_of_two();
        Some(Bar1Memory { total, free: total, used: 0 })
    };
    nvmlDeviceGetDisplayMode() -> c_uint = |_, _| Some(0);
}

/// Nobody encodes or decodes video here.
fn idle(call: &str, device: Handle, percent: *mut c_uint, period: *mut c_uint) -> Return {
    let answer = ask_device(call, device, |driver, unit| {
        if driver.units[unit].instance.is_some() { Err(Error::NotSupported) } else { Ok((0, 167_000)) }
    });
    // SAFETY: NVML asks for pointers that may be written.
    code(answer.and_then(|(idle, micros)| unsafe { put(percent, idle).and_then(|()| put(period, micros)) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: Handle,
    percent: *mut c_uint,
    period: *mut c_uint,
) -> Return {
    idle("nvmlDeviceGetEncoderUtilization", device, percent, period)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetDecoderUtilization(
    device: Handle,
    percent: *mut c_uint,
    period: *mut c_uint,
) -> Return {
    idle("nvmlDeviceGetDecoderUtilization", device, percent, period)
}

/// Driver models are for Windows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetDriverModel_v2(
    device: Handle,
    _current: *mut c_uint,
    _pending: *mut c_uint,
) -> Return {
    code(ask_device("nvmlDeviceGetDriverModel_v2", device, |_, _| Err(Error::NotSupported)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetDriverModel(
    device: Handle,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> Return {
    // SAFETY: the same contract.
    unsafe { nvmlDeviceGetDriverModel_v2(device, current, pending) }
}

/// No samples of single processes, as right after a card became idle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetProcessUtilization(
    device: Handle,
    _samples: *mut c_int,
    count: *mut c_uint,
    _since: c_ulonglong,
) -> Return {
    let answer = ask_device("nvmlDeviceGetProcessUtilization", device, |_, _| Ok(()));
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|()| unsafe { put(count, 0) }).and(Err(Error::NotFound)))
}
