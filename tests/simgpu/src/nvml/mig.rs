//! Instances of a partitioned card.

use std::ffi::{c_uint, c_ulonglong};

use super::errors::{Error, Return};
use super::{Handle, ask_device, code, getters, handle, put};
use crate::machine::Mig;
use crate::units::{Unit, instances};

/// `nvmlDeviceAttributes_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    multiprocessors: c_uint,
    copy_engines: c_uint,
    decoders: c_uint,
    encoders: c_uint,
    jpeg: c_uint,
    optical_flow: c_uint,
    gpu_instance_slices: c_uint,
    compute_instance_slices: c_uint,
    memory_mib: c_ulonglong,
}

getters! {
    nvmlDeviceIsMigDeviceHandle() -> c_uint = |driver, unit| Some(c_uint::from(driver.units[unit].instance.is_some()));
    nvmlDeviceGetMaxMigDeviceCount() -> c_uint = |driver, unit| {
        // Cards that cannot be partitioned answer zero.
        Some(if driver.units[unit].instance.is_some() || driver.card(unit).mig == Mig::Unsupported { 0 } else { 7 })
    };
    nvmlDeviceGetGpuInstanceId() -> c_uint = |driver, unit| {
        driver.units[unit].mig(&driver.machine).map(|slice| slice.gpu_instance)
    };
    nvmlDeviceGetComputeInstanceId() -> c_uint = |driver, unit| driver.units[unit].instance.map(|_| 0);
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle() -> Handle = |driver, unit| {
        let unit = driver.units[unit];
        unit.instance.map(|_| handle(unit.card))
    };
    nvmlDeviceGetAttributes_v2() -> Attributes = |driver, unit| {
        driver.units[unit].mig(&driver.machine).map(|slice| Attributes {
            multiprocessors: slice.multiprocessors,
            copy_engines: slice.slices,
            decoders: 0,
            encoders: 0,
            jpeg: 0,
            optical_flow: 0,
            gpu_instance_slices: slice.slices,
            compute_instance_slices: slice.slices,
            memory_mib: slice.nvml_total >> 20,
        })
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(device: Handle, current: *mut c_uint, pending: *mut c_uint) -> Return {
    let answer = ask_device("nvmlDeviceGetMigMode", device, |driver, unit| {
        match (driver.units[unit].instance, &driver.card(unit).mig) {
            (Some(_), _) | (_, Mig::Unsupported) => Err(Error::NotSupported),
            (None, Mig::Disabled) => Ok(0),
            (None, Mig::Enabled(_)) => Ok(1),
        }
    });
    // SAFETY: NVML asks for pointers that may be written.
    code(answer.and_then(|mode| unsafe { put(current, mode).and_then(|()| put(pending, mode)) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Handle,
    index: c_uint,
    instance: *mut Handle,
) -> Return {
    let answer = ask_device("nvmlDeviceGetMigDeviceHandleByIndex", device, |driver, unit| {
        let whole = driver.units[unit];
        if whole.instance.is_some() || driver.card(unit).mig == Mig::Unsupported {
            return Err(Error::NotSupported);
        }
        let at = index as usize;
        if at >= instances(driver.card(unit)).len() {
            return Err(Error::NotFound);
        }
        let wanted = Unit { card: whole.card, instance: Some(at) };
        driver.units.iter().position(|unit| *unit == wanted).map(handle).ok_or(Error::NotFound)
    });
    // SAFETY: NVML asks for a pointer that may be written.
    code(answer.and_then(|answer| unsafe { put(instance, answer) }))
}
