//! How much memory a device has, and how much of it is in use.

use std::ffi::{c_uint, c_ulonglong};

use super::errors::{Error, Return};
use super::{Handle, ask_device, code, getters};
use crate::driver::Driver;

/// `nvmlMemory_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MemoryInfo {
    total: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MemoryInfoV2 {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

/// `nvmlMemory_v2`: size of the struct and version 2 in the top byte.
#[allow(clippy::cast_possible_truncation, reason = "the struct has 40 bytes")]
const MEMORY_V2: c_uint = size_of::<MemoryInfoV2>() as c_uint | 2 << 24;

/// Total, reserved, free and used bytes; they add up.
fn figures(driver: &Driver, unit: usize) -> (u64, u64, u64, u64) {
    let memory = driver.memory(unit);
    let used = driver.used(unit).min(memory.cuda_total());
    (memory.total, memory.reserved, memory.cuda_total() - used, used)
}

getters! {
    // Version 1 knows no reserved part and counts it as used.
    nvmlDeviceGetMemoryInfo() -> MemoryInfo = |driver, unit| {
        let (total, _, free, _) = figures(driver, unit);
        Some(MemoryInfo { total, free, used: total - free })
    };
    nvmlDeviceGetMemoryBusWidth() -> c_uint = |driver, unit| {
        Some(if driver.card(unit).nvlinks.is_empty() { 384 } else { 5120 })
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, memory: *mut MemoryInfoV2) -> Return {
    let answer = ask_device("nvmlDeviceGetMemoryInfo_v2", device, |driver, unit| {
        if memory.is_null() {
            return Err(Error::InvalidArgument);
        }
        // SAFETY: not null; NVML asks for the version in the struct.
        if unsafe { (*memory).version } != MEMORY_V2 {
            return Err(Error::ArgumentVersionMismatch);
        }
        let (total, reserved, free, used) = figures(driver, unit);
        // SAFETY: not null; NVML asks for a struct that may be written.
        unsafe { memory.write(MemoryInfoV2 { version: MEMORY_V2, total, reserved, free, used }) };
        Ok(())
    });
    code(answer)
}
