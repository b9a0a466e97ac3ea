//! NVML's return codes.

use std::ffi::{CStr, c_char, c_uint};

use crate::machine::NvmlFailure;

/// `nvmlReturn_t`.
pub(super) type Return = c_uint;

/// The codes given here, with NVML's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Error {
    Uninitialized = 1,
    InvalidArgument = 2,
    NotSupported = 3,
    NoPermission = 4,
    NotFound = 6,
    InsufficientSize = 7,
    DriverNotLoaded = 9,
    Timeout = 10,
    FunctionNotFound = 13,
    GpuIsLost = 15,
    LibraryVersionMismatch = 18,
    ArgumentVersionMismatch = 25,
    Unknown = 999,
}

impl From<NvmlFailure> for Error {
    fn from(failure: NvmlFailure) -> Self {
        match failure {
            NvmlFailure::NotSupported => Self::NotSupported,
            NvmlFailure::NoPermission => Self::NoPermission,
            NvmlFailure::FunctionNotFound => Self::FunctionNotFound,
            NvmlFailure::GpuIsLost => Self::GpuIsLost,
            NvmlFailure::DriverNotLoaded => Self::DriverNotLoaded,
            NvmlFailure::VersionMismatch => Self::LibraryVersionMismatch,
            NvmlFailure::Unknown => Self::Unknown,
        }
    }
}

const fn message(result: Return) -> &'static CStr {
    match result {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported",
        4 => c"Insufficient Permissions",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        9 => c"Driver Not Loaded",
        10 => c"Timeout",
        13 => c"Function Not Found",
        15 => c"GPU is lost",
        18 => c"Driver/library version mismatch",
        25 => c"Argument version mismatch",
        _ => c"Unknown Error",
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(result: Return) -> *const c_char {
    message(result).as_ptr()
}
