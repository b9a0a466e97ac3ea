//! NVML's refusals as readings.

use nvml_wrapper::error::NvmlError;

use crate::hardware::Reading;

/// A reading of what NVML answered: each refusal keeps its meaning.
pub(super) fn reading<T>(answer: Result<T, NvmlError>) -> Reading<T> {
    match answer {
        Ok(value) => Reading::Known(value),
        Err(error) => absent(&error),
    }
}

/// The reading that an error stands for.
pub(super) fn absent<T>(error: &NvmlError) -> Reading<T> {
    match error {
        // A driver too old for a call lacks its symbol, or its part in the kernel module.
        NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            Reading::Unsupported
        }
        NvmlError::NoPermission | NvmlError::OperatingSystem => Reading::Denied,
        NvmlError::GpuLost | NvmlError::ResetRequired => Reading::Lost,
        _ => Reading::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_their_meaning() {
        let cases = [
            (NvmlError::NotSupported, Reading::Unsupported),
            (NvmlError::FailedToLoadSymbol("nvmlDeviceGetMemoryInfo_v2".into()), Reading::Unsupported),
            (NvmlError::NoPermission, Reading::Denied),
            (NvmlError::GpuLost, Reading::Lost),
            (NvmlError::Unknown, Reading::Failed),
            (NvmlError::UnexpectedVariant(99), Reading::Failed),
        ];
        for (error, expected) in cases {
            assert_eq!(reading::<u32>(Err(error)), expected);
        }
        assert_eq!(reading(Ok(7)), Reading::Known(7));
    }
}
