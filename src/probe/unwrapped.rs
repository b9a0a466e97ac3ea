//! The two NVML calls that nvml-wrapper 0.13 does not wrap. This file alone of the probe calls the library directly.

#![expect(unsafe_code, reason = "nvml-wrapper offers no safe form of these two calls")]

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper_sys::bindings::nvmlMemory_t;

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
