//! Why there is nothing to tell about the cards.

use std::io;
use std::path::PathBuf;

use nvml_wrapper::error::NvmlError;

/// A machine, or a recording, that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No management library on this machine, which every NVIDIA driver brings.
    #[error("no NVIDIA driver is installed here: the library `libnvidia-ml.so.1` cannot be opened")]
    LibraryMissing,
    /// The library is there and the kernel module is not, or sees no device.
    #[error("the NVIDIA library is installed, but the driver is not loaded or sees no card")]
    DriverNotLoaded,
    /// Library and kernel module are of different releases, as after an update without a reboot.
    #[error("the NVIDIA library and the loaded driver are of different versions")]
    VersionMismatch,
    /// The device files are closed to this user.
    #[error("this user may not talk to the NVIDIA driver")]
    NoPermission,
    /// A driver without cards.
    #[error("the NVIDIA driver answers, but shows no card")]
    NoCards,
    /// Anything else that NVML says at the start.
    #[error("the NVIDIA management library fails: {0}")]
    Nvml(String),
    /// A recording that cannot be read from disk.
    #[error("the recording `{}` cannot be read: {source}", path.display())]
    UnreadableRecording {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is no recording of ours.
    #[error("`{}` is not a recording: {why}", path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A recording that cannot be written.
    #[error("the recording `{}` cannot be written: {source}", path.display())]
    UnwritableRecording {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ProbeError {
    /// What the user can do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::LibraryMissing => Some(
                "name the cards instead of asking them (`--gpus 4xA10`), or start the container with the driver's libraries \
                 (`docker run --gpus all`)",
            ),
            Self::DriverNotLoaded => Some("load it with `sudo modprobe nvidia`, and see `dmesg` for why it may refuse"),
            Self::VersionMismatch => {
                Some("reboot, or reload the `nvidia` kernel modules, to finish the driver's update")
            }
            Self::NoPermission => {
                Some("open /dev/nvidiactl and /dev/nvidia0 … to this user, or start the container with `--gpus all`")
            }
            Self::NoCards => {
                Some("start the container with `--gpus all`, or see `dmesg` for a card that failed to start")
            }
            Self::NotARecording { .. } | Self::UnreadableRecording { .. } => {
                Some("write one with `shardfit probe --save FILE` on the machine in question")
            }
            Self::UnwritableRecording { .. } => Some("name a file in a folder that is there and open to this user"),
            Self::Nvml(_) => None,
        }
    }

    /// Whether the command was wrong rather than the machine.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        match self {
            Self::UnreadableRecording { .. } | Self::NotARecording { .. } | Self::UnwritableRecording { .. } => true,
            Self::LibraryMissing
            | Self::DriverNotLoaded
            | Self::VersionMismatch
            | Self::NoPermission
            | Self::NoCards
            | Self::Nvml(_) => false,
        }
    }
}

impl From<NvmlError> for ProbeError {
    fn from(error: NvmlError) -> Self {
        match error {
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => Self::LibraryMissing,
            NvmlError::DriverNotLoaded => Self::DriverNotLoaded,
            NvmlError::LibRmVersionMismatch => Self::VersionMismatch,
            NvmlError::NoPermission | NvmlError::OperatingSystem => Self::NoPermission,
            other => Self::Nvml(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_at_the_start_says_what_it_is() {
        let cases = [
            (NvmlError::DriverNotLoaded, "driver is not loaded"),
            (NvmlError::LibRmVersionMismatch, "different versions"),
            (NvmlError::NoPermission, "may not talk"),
            (NvmlError::LibraryNotFound, "no NVIDIA driver is installed"),
            (NvmlError::Timeout, "the provided timeout was reached"),
        ];
        for (nvml, words) in cases {
            let error = ProbeError::from(nvml);
            assert!(error.to_string().contains(words), "{error}");
            assert!(!error.is_bad_input());
        }
    }
}
