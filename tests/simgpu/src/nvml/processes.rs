//! Who holds memory on a device.

use std::ffi::{c_uint, c_ulonglong};

use super::errors::{Error, Return};
use super::{Handle, ask_device, code};
use crate::driver::Driver;

/// NVML's "not available" for bytes.
const BYTES_UNKNOWN: c_ulonglong = c_ulonglong::MAX;
/// NVML's "no instance".
const NO_INSTANCE: c_uint = c_uint::MAX;

/// `nvmlProcessInfo_v1_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ProcessInfoV1 {
    pid: c_uint,
    used: c_ulonglong,
}

/// `nvmlProcessInfo_v2_t`, which versions 2 and 3 of the calls share.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ProcessInfo {
    pid: c_uint,
    used: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

impl From<ProcessInfo> for ProcessInfoV1 {
    fn from(process: ProcessInfo) -> Self {
        Self { pid: process.pid, used: process.used }
    }
}

/// What kind of work a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Compute,
    Graphics,
    /// Clients of the multi-process service; there are none here.
    SharedCompute,
}

fn list(driver: &Driver, unit: usize, work: Work) -> Vec<ProcessInfo> {
    let mut processes = Vec::new();
    for part in driver.parts(unit) {
        let instance = driver.units[part].mig(&driver.machine).map_or(NO_INSTANCE, |slice| slice.gpu_instance);
        let compute_instance = if instance == NO_INSTANCE { NO_INSTANCE } else { 0 };
        let row = |pid, used| ProcessInfo { pid, used, gpu_instance: instance, compute_instance };
        let others = driver.memory(part).processes.iter().filter(|p| p.graphics == (work == Work::Graphics));
        match work {
            Work::SharedCompute => {}
            Work::Graphics => processes.extend(others.map(|p| row(p.pid, p.bytes.unwrap_or(BYTES_UNKNOWN)))),
            Work::Compute => {
                processes.extend(others.map(|p| row(p.pid, p.bytes.unwrap_or(BYTES_UNKNOWN))));
                processes.extend(driver.ledger.holders(part).into_iter().map(|(pid, bytes)| row(pid, bytes)));
            }
        }
    }
    processes
}

/// Fills the caller's table; when it is too short, says how long it must be.
///
/// # Safety
/// `count` is null or may be written; `table` is null or has room for `*count` rows.
unsafe fn answer<T: From<ProcessInfo>>(
    call: &str,
    device: Handle,
    work: Work,
    count: *mut c_uint,
    table: *mut T,
) -> Return {
    code(ask_device(call, device, |driver, unit| {
        if count.is_null() {
            return Err(Error::InvalidArgument);
        }
        let processes = list(driver, unit, work);
        // SAFETY: not null; NVML asks for the length of the table in it.
        let room = unsafe { *count } as usize;
        let length = c_uint::try_from(processes.len()).map_err(|_| Error::Unknown)?;
        // SAFETY: not null; NVML writes the number of processes there.
        unsafe { count.write(length) };
        if processes.len() > room {
            return Err(Error::InsufficientSize);
        }
        if processes.is_empty() {
            return Ok(());
        }
        if table.is_null() {
            return Err(Error::InvalidArgument);
        }
        for (at, process) in processes.into_iter().enumerate() {
            // SAFETY: the table has room for `room` rows, and `at` is below that.
            unsafe { table.add(at).write(process.into()) };
        }
        Ok(())
    }))
}

macro_rules! lists {
    ($($symbol:ident as $call:literal: $work:ident, $row:ty;)*) => { $(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(device: Handle, count: *mut c_uint, table: *mut $row) -> Return {
            // SAFETY: NVML asks for the same.
            unsafe { answer($call, device, Work::$work, count, table) }
        }
    )* };
}

// Every version of a call fails with the newest one's planned fault, so that a plan need not name them all.
lists! {
    nvmlDeviceGetComputeRunningProcesses as "nvmlDeviceGetComputeRunningProcesses_v3": Compute, ProcessInfoV1;
    nvmlDeviceGetComputeRunningProcesses_v2 as "nvmlDeviceGetComputeRunningProcesses_v3": Compute, ProcessInfo;
    nvmlDeviceGetComputeRunningProcesses_v3 as "nvmlDeviceGetComputeRunningProcesses_v3": Compute, ProcessInfo;
    nvmlDeviceGetGraphicsRunningProcesses as "nvmlDeviceGetGraphicsRunningProcesses_v3": Graphics, ProcessInfoV1;
    nvmlDeviceGetGraphicsRunningProcesses_v2 as "nvmlDeviceGetGraphicsRunningProcesses_v3": Graphics, ProcessInfo;
    nvmlDeviceGetGraphicsRunningProcesses_v3 as "nvmlDeviceGetGraphicsRunningProcesses_v3": Graphics, ProcessInfo;
    nvmlDeviceGetMPSComputeRunningProcesses_v3 as "nvmlDeviceGetMPSComputeRunningProcesses_v3": SharedCompute, ProcessInfo;
}
