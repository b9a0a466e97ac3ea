//! What a card's sensors and counters say. An instance has no sensors of its own.

use std::ffi::{c_uint, c_ulonglong};

use super::errors::{Error, Return};
use super::{Handle, ask_device, code, getters, put};
use crate::driver::Driver;
use crate::machine::{Card, Clocks};

/// `nvmlUtilization_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct UtilizationRates {
    gpu: c_uint,
    memory: c_uint,
}

fn whole(driver: &Driver, unit: usize) -> Option<&Card> {
    driver.units[unit].instance.is_none().then(|| driver.card(unit))
}

/// Which clock: NVML's graphics, SM, memory and video.
fn pick(kind: c_uint, sm: u32, memory: u32) -> Option<c_uint> {
    match kind {
        0 | 1 | 3 => Some(sm),
        2 => Some(memory),
        _ => None,
    }
}

getters! {
    nvmlDeviceGetTemperature(sensor: c_uint) -> c_uint = |driver, unit, sensor| {
        // 0 is the only sensor NVML names.
        whole(driver, unit)?.temperature.filter(|_| sensor == 0)
    };
    nvmlDeviceGetPowerUsage() -> c_uint = |driver, unit| whole(driver, unit)?.power_usage;
    nvmlDeviceGetPowerManagementLimit() -> c_uint = |driver, unit| whole(driver, unit)?.power_limit;
    nvmlDeviceGetPowerManagementDefaultLimit() -> c_uint = |driver, unit| whole(driver, unit)?.power_limit;
    nvmlDeviceGetEnforcedPowerLimit() -> c_uint = |driver, unit| whole(driver, unit)?.power_limit;
    nvmlDeviceGetUtilizationRates() -> UtilizationRates = |driver, unit| {
        whole(driver, unit)?.utilization.map(|rates| UtilizationRates { gpu: rates.gpu, memory: rates.memory })
    };
    nvmlDeviceGetClockInfo(kind: c_uint) -> c_uint = |driver, unit, kind| {
        let Clocks { sm, memory, .. } = whole(driver, unit)?.clocks?;
        pick(kind, sm, memory)
    };
    nvmlDeviceGetMaxClockInfo(kind: c_uint) -> c_uint = |driver, unit, kind| {
        let Clocks { max_sm, max_memory, .. } = whole(driver, unit)?.clocks?;
        pick(kind, max_sm, max_memory)
    };
    nvmlDeviceGetFanSpeed() -> c_uint = |driver, unit| whole(driver, unit)?.fan;
    nvmlDeviceGetFanSpeed_v2(_fan: c_uint) -> c_uint = |driver, unit, _| whole(driver, unit)?.fan;
    nvmlDeviceGetNumFans() -> c_uint = |driver, unit| Some(c_uint::from(whole(driver, unit)?.fan.is_some()));
    nvmlDeviceGetPerformanceState() -> c_uint = |driver, unit| {
        let busy = whole(driver, unit)?.utilization.is_some_and(|rates| rates.gpu > 0);
        Some(if busy { 0 } else { 8 })
    };
    nvmlDeviceGetComputeMode() -> c_uint = |_, _| Some(0);
    nvmlDeviceGetPersistenceMode() -> c_uint = |driver, unit| whole(driver, unit)?.persistence.map(c_uint::from);
    nvmlDeviceGetDisplayActive() -> c_uint = |driver, unit| {
        Some(c_uint::from(whole(driver, unit)?.processes.iter().any(|process| process.graphics)))
    };
    nvmlDeviceGetCurrentClocksThrottleReasons() -> c_ulonglong = |driver, unit| {
        // 1 is "idle": nothing asks for the clocks.
        whole(driver, unit)?.utilization.map(|rates| c_ulonglong::from(rates.gpu == 0))
    };
    nvmlDeviceGetTotalEccErrors(kind: c_uint, counter: c_uint) -> c_ulonglong = |driver, unit, kind, counter| {
        let counts = whole(driver, unit)?.ecc?;
        let happened = driver.ledger.unit(driver.units[unit].card).uncorrected_errors;
        match (kind, counter) {
            (0, 0) => Some(counts.corrected),
            (1, 0) => Some(counts.uncorrected + happened),
            (0, 1) => Some(counts.lifetime_corrected),
            (1, 1) => Some(counts.lifetime_uncorrected + happened),
            _ => None,
        }
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEccMode(device: Handle, current: *mut c_uint, pending: *mut c_uint) -> Return {
    let answer = ask_device("nvmlDeviceGetEccMode", device, |driver, unit| {
        whole(driver, unit).and_then(|card| card.ecc).map(|_| 1).ok_or(Error::NotSupported)
    });
    // SAFETY: NVML asks for pointers that may be written.
    code(answer.and_then(|mode| unsafe { put(current, mode).and_then(|()| put(pending, mode)) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerManagementLimitConstraints(
    device: Handle,
    least: *mut c_uint,
    most: *mut c_uint,
) -> Return {
    let answer = ask_device("nvmlDeviceGetPowerManagementLimitConstraints", device, |driver, unit| {
        whole(driver, unit).and_then(|card| card.power_limit).ok_or(Error::NotSupported)
    });
    // SAFETY: NVML asks for pointers that may be written.
    code(answer.and_then(|limit| unsafe { put(least, limit / 2).and_then(|()| put(most, limit)) }))
}
