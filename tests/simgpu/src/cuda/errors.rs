//! CUDA's result codes.

use std::ffi::{CStr, c_char, c_uint};

/// `CUresult` of a failure. A plain number, because a test may plan any code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(pub(super) c_uint);

impl Code {
    pub(super) const INVALID_VALUE: Self = Self(1);
    pub(super) const OUT_OF_MEMORY: Self = Self(2);
    pub(super) const NOT_INITIALIZED: Self = Self(3);
    pub(super) const DEVICE_UNAVAILABLE: Self = Self(46);
    pub(super) const NO_DEVICE: Self = Self(100);
    pub(super) const INVALID_DEVICE: Self = Self(101);
    pub(super) const INVALID_CONTEXT: Self = Self(201);
    pub(super) const ECC_UNCORRECTABLE: Self = Self(214);
    pub(super) const INVALID_HANDLE: Self = Self(400);
    pub(super) const NOT_READY: Self = Self(600);
    pub(super) const ILLEGAL_ADDRESS: Self = Self(700);
    pub(super) const CONTEXT_IS_DESTROYED: Self = Self(709);
    pub(super) const ALREADY_REGISTERED: Self = Self(712);
    pub(super) const NOT_REGISTERED: Self = Self(713);
    pub(super) const LAUNCH_FAILED: Self = Self(719);
    pub(super) const NOT_SUPPORTED: Self = Self(801);
}

/// Number, name and meaning, as the driver tells them.
const CODES: &[(c_uint, &CStr, &CStr)] = &[
    (0, c"CUDA_SUCCESS", c"no error"),
    (1, c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
    (2, c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
    (3, c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error"),
    (4, c"CUDA_ERROR_DEINITIALIZED", c"driver shutting down"),
    (34, c"CUDA_ERROR_STUB_LIBRARY", c"CUDA driver is a stub library"),
    (46, c"CUDA_ERROR_DEVICE_UNAVAILABLE", c"CUDA-capable device(s) is/are busy or unavailable"),
    (100, c"CUDA_ERROR_NO_DEVICE", c"no CUDA-capable device is detected"),
    (101, c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"),
    (201, c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context"),
    (214, c"CUDA_ERROR_ECC_UNCORRECTABLE", c"uncorrectable ECC error encountered"),
    (304, c"CUDA_ERROR_OPERATING_SYSTEM", c"OS call failed or operation not supported on this OS"),
    (400, c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle"),
    (600, c"CUDA_ERROR_NOT_READY", c"device not ready"),
    (700, c"CUDA_ERROR_ILLEGAL_ADDRESS", c"an illegal memory access was encountered"),
    (709, c"CUDA_ERROR_CONTEXT_IS_DESTROYED", c"context is destroyed"),
    (712, c"CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", c"part or all of the requested memory range is already mapped"),
    (713, c"CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", c"pointer does not correspond to a registered memory region"),
    (719, c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure"),
    (801, c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported"),
    (802, c"CUDA_ERROR_SYSTEM_NOT_READY", c"system not yet initialized"),
    (803, c"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", c"system has unsupported display driver / cuda driver combination"),
    (999, c"CUDA_ERROR_UNKNOWN", c"unknown error"),
];

fn find(code: c_uint) -> Option<(&'static CStr, &'static CStr)> {
    CODES.iter().find(|(number, ..)| *number == code).map(|(_, name, meaning)| (*name, *meaning))
}

/// Writes a text's address, or null when the code has none.
///
/// # Safety
/// `out` is null or may be written.
unsafe fn tell(text: Option<&'static CStr>, out: *mut *const c_char) -> c_uint {
    if out.is_null() {
        return Code::INVALID_VALUE.0;
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { out.write(text.map_or(std::ptr::null(), CStr::as_ptr)) };
    if text.is_some() { 0 } else { Code::INVALID_VALUE.0 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(code: c_uint, name: *mut *const c_char) -> c_uint {
    // SAFETY: CUDA asks for a pointer that may be written.
    unsafe { tell(find(code).map(|(name, _)| name), name) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(code: c_uint, meaning: *mut *const c_char) -> c_uint {
    // SAFETY: CUDA asks for a pointer that may be written.
    unsafe { tell(find(code).map(|(_, meaning)| meaning), meaning) }
}
