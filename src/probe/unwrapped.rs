//! The NVML calls that nvml-wrapper 0.13 does not wrap, or wraps in a form that costs too much. This file alone of the probe calls the
//! library directly.

#![expect(unsafe_code, reason = "nvml-wrapper offers no safe form of these calls")]

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper_sys::bindings::{nvmlFieldValue_t, nvmlMemory_t, nvmlProcessInfo_t, nvmlValue_t};

use crate::hardware::{MemoryState, Reading};
use crate::units::Bytes;

/// `nvmlDeviceGetMemoryInfo`: memory without a separate reserved part, which `used` then includes.
///
/// # Errors
/// What NVML answers.
pub(super) fn memory_v1(device: &Device<'_>) -> Result<MemoryState, NvmlError> {
    let nvml = device.nvml();
    let call = nvml_sym(nvml.lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    let mut memory = nvmlMemory_t { total: 0, free: 0, used: 0 };
    // SAFETY: the handle comes from this library and lives as long as `device`, which borrows it; the struct is the one the call fills.
    nvml_try(unsafe { call(device.handle(), &raw mut memory) })?;
    Ok(MemoryState {
        total: Bytes(memory.total),
        reserved: Reading::Unsupported,
        used: Bytes(memory.used),
        free: Bytes(memory.free),
    })
}

/// `nvmlDeviceGetGpuInstanceId`: the GPU instance that a MIG device is part of, as process lists name it.
///
/// # Errors
/// What NVML answers.
pub(super) fn gpu_instance_id(mig_device: &Device<'_>) -> Result<u32, NvmlError> {
    let nvml = mig_device.nvml();
    let call = nvml_sym(nvml.lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: as above; the call writes one unsigned int.
    nvml_try(unsafe { call(mig_device.handle(), &raw mut id) })?;
    Ok(id)
}

/// Which list of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// With a compute context.
    Compute,
    /// With a graphics context.
    Graphics,
}

/// `nvmlDeviceGet…RunningProcesses_v3` in one call where the list has not grown much beyond `expected`; the wrapper always makes two, of
/// which each asks the kernel.
///
/// # Errors
/// What NVML answers.
pub(super) fn running(device: &Device<'_>, work: Work, expected: usize) -> Result<Vec<ProcessInfo>, NvmlError> {
    /// Processes more than expected that are fetched without another call.
    const SPARE: usize = 8;
    /// A list that outgrows its room each time it is asked is given up.
    const TRIES: u32 = 4;
    let nvml = device.nvml();
    let call = nvml_sym(match work {
        Work::Compute => nvml.lib().nvmlDeviceGetComputeRunningProcesses_v3.as_ref(),
        Work::Graphics => nvml.lib().nvmlDeviceGetGraphicsRunningProcesses_v3.as_ref(),
    })?;
    let empty = nvmlProcessInfo_t { pid: 0, usedGpuMemory: 0, gpuInstanceId: 0, computeInstanceId: 0 };
    let mut room = expected.saturating_add(SPARE);
    for _ in 0..TRIES {
        let mut table = vec![empty; room];
        let mut count = u32::try_from(room).unwrap_or(u32::MAX);
        // SAFETY: the handle as above; the table has room for as many rows as `count` says, and the call writes no more.
        let answer = nvml_try(unsafe { call(device.handle(), &raw mut count, table.as_mut_ptr()) });
        match answer {
            Ok(()) => {
                table.truncate(count as usize);
                return Ok(table.into_iter().map(ProcessInfo::from).collect());
            }
            Err(NvmlError::InsufficientSize(_)) => room = (count as usize).max(room).saturating_add(SPARE),
            Err(error) => return Err(error),
        }
    }
    Err(NvmlError::InsufficientSize(None))
}

/// A counter of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counter {
    /// Its value.
    pub value: u64,
    /// When the driver read it, in microseconds of its own clock.
    pub micros: i64,
}

/// `nvmlDeviceGetFieldValues` with a scope for each field, which the wrapper leaves at 0: the link, or [`u32::MAX`] for all together.
/// Fields that hold a counter of 64 bits.
///
/// # Errors
/// What NVML answers to the call as a whole; each field has an answer of its own.
pub(super) fn counters<const N: usize>(
    device: &Device<'_>,
    fields: [(u32, u32); N],
) -> Result<[Result<Counter, NvmlError>; N], NvmlError> {
    let nvml = device.nvml();
    let call = nvml_sym(nvml.lib().nvmlDeviceGetFieldValues.as_ref())?;
    let mut values = fields.map(|(field, scope)| nvmlFieldValue_t {
        fieldId: field,
        scopeId: scope,
        timestamp: 0,
        latencyUsec: 0,
        valueType: 0,
        nvmlReturn: 0,
        value: nvmlValue_t { ullVal: 0 },
    });
    let count = i32::try_from(N).map_err(|_| NvmlError::InvalidArg)?;
    // SAFETY: the handle as above; the call fills as many values as `count` says.
    nvml_try(unsafe { call(device.handle(), count, values.as_mut_ptr()) })?;
    Ok(values.map(|value| {
        nvml_try(value.nvmlReturn)?;
        // SAFETY: all eight bytes of the union were set above or by the call, and every pattern of bits is a number.
        Ok(Counter { value: unsafe { value.value.ullVal }, micros: value.timestamp })
    }))
}
